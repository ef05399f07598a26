"""The words of the reports, to be searched: a table derived from one set of visible reports.

It lies in a folder that the caller names, outside the store, readable by its owner only, since
reports may name persons.  It is made anew whenever the visible reports are others: a full-text
index of LanceDB does not have rows that came after it was built, and a row that is taken out of a
table leaves its bytes behind.

What is searched are clauses: "occlusion of the proximal LAD; mid RCA patent" is no report of an
occlusion of the RCA.  What a clause and a word are is said here once, for reports and queries, so
nothing that a user types reaches the query language of LanceDB.  (Its own folding of accents comes
after its stemming, so that `sténose` and `stenose` were two words.)
"""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, final

import pyarrow as pa

from core.errors import NotFoundError, StoreError
from core.labels import LabelKind
from store.locks import held
from store.snapshot import Snapshot
from store.store import Position
from store.tables import lance_errors

_FORMAT: Final = b"report text 1"
"""Another one whenever the words of a text, or the index of them, would be others."""
_TABLE: Final = "reports"
_WORDS: Final = "words"
_LOCK: Final = ".lock"
_ENGLISH: Final = (
    "a an and are at be been but by for from has have in is it its no of on or than that the their"
    " there these this to was were which with"
)
_FRENCH: Final = (
    "au aux avec ce ces cette d dans de des du en est et il l la le les leur mais n ne ou par pour"
    " qu que qui s se ses sont sur un une"
)
_STOP_WORDS: Final = frozenset([*_ENGLISH.split(), *_FRENCH.split()])
"""Words that hold a sentence together, with what an apostrophe leaves of them."""
_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae"})
_CLAUSE_END: Final = re.compile(r"[.;!?](?=\s|$)|\n")
_DENIED: Final = re.compile(
    r"\b(?:no|not|without|free|nor|neither|aucune?|sans|pas|ni)\b(?!-)[^,]*"
)
"""A word that denies, and what it denies: up to a comma or the end of the clause, after NegEx
(Chapman et al., "A simple algorithm for identifying negated findings and diseases in discharge
summaries", 2001).  Not the "no" of "no-reflow"."""
_WORD: Final = re.compile(r"[^\W_]+")
_OSIS: Final = re.compile(r"(?<=\w{3})os(?:e|es|is)$")
"""Stenosis, stenoses, sténose and sténoses are one word, which the stemmer leaves apart."""
_ALL: Final = 2**31 - 1
"""The highest limit that LanceDB takes."""


def clauses(text: str) -> list[str]:
    """Return what the clauses of a report or a query say: their words, separated by spaces.

    In lower case, without accents, without what is denied and words that hold a sentence together.
    A clause ends with a line, a semicolon or a sentence.
    """
    apart = unicodedata.normalize("NFKD", text.casefold().translate(_LIGATURES))
    plain = "".join(sign for sign in apart if not unicodedata.combining(sign))
    said = [_WORD.findall(_DENIED.sub(" ", clause)) for clause in _CLAUSE_END.split(plain)]
    kept = [[_OSIS.sub("osis", word) for word in each if word not in _STOP_WORDS] for each in said]
    return [" ".join(words) for words in kept if words]


@final
class ReportText:
    """The searchable words of a store's reports.

    Parameters
    ----------
    folder : Path
        For this store alone; made when it is needed, with the permissions 0700.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready: tuple[Position, str] | None = None

    def search(
        self, snapshot: Snapshot, text: str, *, among: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """Rank the visible reports that say what a text says, by BM25.

        A report does when one of its clauses has all words of a clause of the text.  The index is
        made when it is not there, or not of exactly the visible reports.

        Parameters
        ----------
        snapshot : Snapshot
        text : str
            Read as words; see `clauses`.
        among : collection of str, optional
            Only reports of these studies.  The score of a report does not depend on it.

        Returns
        -------
        list of (study_uid, score)
            All reports that do, best first, equal scores in byte order of study_uid.  A score is
            above 0, higher is better: that of the best clause, summed over the clauses of the text.

        Raises
        ------
        NotFoundError
            No report is visible.
        StoreError
            The folder cannot be written or read.

        Notes
        -----
        BM25 with k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, "The probabilistic relevance
        framework", 2009), its documents all clauses of all visible reports.  All matches are asked
        for and chosen from here: LanceDB would choose after it has cut the list short.

        Words are stemmed by the rules of English, whatever the language of a report: a table has
        one stemmer, and queries are in English.  Of 30 families of English words of such reports
        (artery, arteries) it joins 23, of 22 French ones (artère, artères) 13; that for French
        joins 9 and 18.
        """
        rows = snapshot.labels(LabelKind.REPORTS).num_rows
        if rows == 0:
            self.clear()
            raise NotFoundError(
                f"store version {snapshot.version} has no reports",
                "angioatlas labels import reports.csv (docs/labels.md)",
            )
        name = self._name(snapshot)

        def found() -> list[tuple[str, float]]:
            scores = _scores(_opened(self.folder / name, rows), clauses(text))
            wanted = [(u, s) for u, s in scores.items() if among is None or u in among]
            return sorted(wanted, key=lambda match: (-match[1], match[0]))

        with self._lock(exclusive=False), suppress(StoreError):
            return found()
        with self._lock(exclusive=True):
            with suppress(StoreError):  # another process may have built it meanwhile
                return found()
            self._build(name, snapshot)
            return found()

    def rows(self) -> int | None:
        """Return how many reports the saved index has; None when there is none."""
        if not self.folder.is_dir():
            return None
        with self._lock(exclusive=False):
            saved = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
            with suppress(StoreError):
                return sum(_count(path) for path in saved) if saved else None
        return None  # damaged: the next search builds it again

    def clear(self) -> None:
        """Remove every word of a report from the folder.

        Raises
        ------
        StoreError
            Something could not be removed.
        """
        self._ready = None
        if self.folder.is_dir():
            with self._lock(exclusive=True):
                self._empty()

    def _name(self, snapshot: Snapshot) -> str:
        """Return the name of the index of the visible reports: a hash of what they say of what."""
        position = Position(snapshot.version, snapshot.deletions)
        if self._ready is None or self._ready[0] != position:
            digest = hashlib.sha256(_FORMAT)
            reports = snapshot.labels(LabelKind.REPORTS).sort_by("study_uid")
            for column in ("study_uid", "text"):
                for value in reports[column].to_pylist():
                    data = value.encode()
                    digest.update(len(data).to_bytes(8))
                    digest.update(data)
            self._ready = (position, digest.hexdigest()[:32])
        return self._ready[1]

    def _build(self, name: str, snapshot: Snapshot) -> None:
        """Make the index aside and swap it in; the exclusive lock is held."""
        import lancedb  # takes 1.5 s
        from lancedb.index import FTS
        from lancedb.query import DocumentGranularity

        # First: reports that are no longer to be seen, and the rest of a build that was killed.
        self._empty()
        reports = snapshot.labels(LabelKind.REPORTS)
        words = pa.array(
            [clauses(text) for text in reports["text"].to_pylist()], pa.list_(pa.string())
        )
        rows = pa.table({"study_uid": reports["study_uid"], _WORDS: words})
        aside = self.folder / f".{name}"
        with lance_errors("building the full-text index of the reports"):
            table = lancedb.connect(aside).create_table(_TABLE, rows)
            table.create_index(
                _WORDS,
                name=_WORDS,
                config=FTS(
                    base_tokenizer="whitespace",
                    lower_case=False,
                    ascii_folding=False,
                    remove_stop_words=False,
                    max_token_length=None,
                    stem=True,
                    language="English",
                    document_granularity=DocumentGranularity.LIST_ELEMENT,
                ),
            )
            aside.replace(self.folder / name)

    def _empty(self) -> None:
        with lance_errors("removing the full-text index of the reports"):
            for path in self.folder.iterdir():
                if path.name != _LOCK:
                    shutil.rmtree(path)

    @contextmanager
    def _lock(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the folder: shared to read, exclusive to build or remove."""
        with lance_errors("opening the folder of the full-text index of the reports"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            (self.folder / _LOCK).touch()
        with held(self.folder / _LOCK, exclusive=exclusive):
            yield


def _opened(folder: Path, rows: int) -> Any:
    """Open the table of an index, after a look at whether it covers every report."""
    import lancedb

    if not folder.is_dir():
        raise StoreError("the reports have no full-text index yet")
    with lance_errors("opening the full-text index of the reports"):
        table = lancedb.connect(folder).open_table(_TABLE)
        of_index = table.index_stats(_WORDS)
        there = table.count_rows()
    covered = of_index is not None and of_index.num_indexed_rows == there == rows
    if of_index is None or not covered or of_index.num_unindexed_rows:
        raise StoreError(f"the full-text index of {there} rows does not cover {rows} reports")
    return table


def _scores(table: Any, wanted: list[str]) -> dict[str, float]:
    """Return the score of every report that has a clause with all words of a wanted one."""
    import lancedb.query as of_lance

    # The defaults of its fields are none that mypy knows of.
    match: Any = of_lance.MatchQuery
    total: dict[str, float] = {}
    for clause in dict.fromkeys(wanted):
        with lance_errors("searching the reports"):
            query = match(clause, _WORDS, operator=of_lance.FullTextOperator.AND)
            asked = table.search(query, query_type="fts").select(["study_uid", "_score"])
            found = asked.limit(_ALL).to_arrow()
        best = found.group_by("study_uid").aggregate([("_score", "max")])
        pairs = (best["study_uid"].to_pylist(), best["_score_max"].to_pylist())
        for uid, score in zip(*pairs, strict=True):
            total[uid] = total.get(uid, 0.0) + score
    return total


def _count(folder: Path) -> int:
    import lancedb

    with lance_errors("opening the full-text index of the reports"):
        return int(lancedb.connect(folder).open_table(_TABLE).count_rows())
