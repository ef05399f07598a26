"""Retrieve: what is nearest to a study, a video or a text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from angioatlas.chance import ChanceCache
from angioatlas.clinical import read
from angioatlas.explain import LoadEncoder, explain
from angioatlas.filters import columns_of_view, rows_where
from angioatlas.hits import Answer, Found, Similar, best, facts
from angioatlas.indexes import IndexCache
from angioatlas.rows import find
from angioatlas.scores import Query, Scorer
from angioatlas.study_videos import VideoCache
from angioatlas.video_files import VideoFiles
from core.errors import NotFoundError, UsageError
from core.schema import Level, StudyScore
from embedder.encoders.spec import Coverage, TextEmbedder
from index.search import QUICK_K
from store.snapshot import Snapshot

_WORDS_SHOWN: Final = 10


_Sort = tuple[str, Level, StudyScore, str | None]
"""What differs between searches in what they derive: space, level, score, and the text encoder."""


@dataclass(frozen=True)
class Caches:
    """What searches of one store derive from it and keep.

    Attributes
    ----------
    asked : dict
        The sorts of searches that there were, with the text encoder of each.
    """

    indexes: IndexCache
    chances: ChanceCache
    files: VideoFiles
    videos: VideoCache = field(default_factory=VideoCache)
    asked: dict[_Sort, TextEmbedder | None] = field(default_factory=dict)

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget what is in memory of other positions of the store."""
        for cache in (self.indexes, self.chances, self.files, self.videos):
            cache.keep_only(snapshot)

    def clear(self) -> None:
        """Remove what holds vectors; calibrations hold nothing of anybody."""
        self.indexes.clear()
        self.files.clear()
        self.videos.clear()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of a ranking, whatever is asked about.

    Attributes
    ----------
    level : Level
    k : int
        Hits; fewer come back only when fewer rows are there.
    score : StudyScore
        Not AUTO; see `angioatlas.scores.chosen_score`.
    where : str or None
        Only rows that this predicate holds for; see `angioatlas.filters.rows_where`.
    one_per_patient : bool
        Only the best row of each patient.
    load_encoder : callable or None
        Say why each hit matched, with this where the encoder is needed; see `angioatlas.explain`.
    """

    level: Level
    k: int
    score: StudyScore
    where: str | None = None
    one_per_patient: bool = False
    load_encoder: LoadEncoder | None = None


def search(
    snapshot: Snapshot,
    caches: Caches,
    text: str,
    *,
    reader: TextEmbedder,
    wanted: Wanted,
    plain: bool = False,
    without: Collection[str] = (),
) -> Found:
    """Rank what is visible in a snapshot by its similarity to a text.

    Parameters
    ----------
    snapshot : Snapshot
    caches : Caches
    text : str
        Not empty; what is beyond 512 tokens is not read.
    reader : TextEmbedder
        Places the text in the space that is searched.
    wanted : Wanted
    plain : bool
        Take the text as it is, instead of reading its clinical words; see `angioatlas.clinical`.
    without : collection of str
        Words of parts that are not used; see `angioatlas.clinical.Question.without`.

    Raises
    ------
    UsageError
        When the text is empty, or the predicate is none.
    NotFoundError
        When the snapshot has no vectors in that space.
    """
    if not text.strip():
        raise UsageError("the text is empty", 'name a finding, such as "proximal LAD occlusion"')
    space, level = reader.encoder_id, wanted.level
    columns = columns_of_view(snapshot, level, space)
    uids = snapshot.keys(space, level)["uid"]
    said = read(text, reader, level, columns, uids, plain=plain, without=without)
    include = said.chosen & said.means_something
    scorer = _scorer(snapshot, caches, space, wanted)
    answer = _answer(scorer, caches, Query.of_text(said.vector), include, wanted, reader)
    note = None if said.covered is None else _vocabulary_note(said.covered, space)
    return Found(text=text, note=note, question=said.question, **vars(answer))


def _vocabulary_note(covered: Coverage, encoder_id: str) -> str | None:
    name = encoder_id.rpartition("-")[0]
    words = ", ".join(covered.unknown[:_WORDS_SHOWN])
    words += ", ..." if len(covered.unknown) > _WORDS_SHOWN else ""
    if covered.known:
        return f"not in the vocabulary of {name}: {words}" if words else None
    if not words:
        return "the query has no word that could name a finding"
    return f"none of the words of this query is in the vocabulary of {name}: {words}"


def similar(
    snapshot: Snapshot,
    caches: Caches,
    uids: Sequence[str],
    *,
    encoder_id: str,
    wanted: Wanted,
    exclude_same_patient: bool,
) -> Similar:
    """Rank what is visible in a snapshot by its similarity to one study or video of it.

    Parameters
    ----------
    snapshot : Snapshot
    caches : Caches
    uids : sequence of str
        What the caller's UID may be in the store; the first that is there counts.
    encoder_id : str
    wanted : Wanted
        Study to study, or video to video.
    exclude_same_patient : bool
        Leave out everything of the query's own patient; otherwise only the query itself.

    Raises
    ------
    UsageError
        When the predicate is none.
    NotFoundError
        When none of `uids` is visible with vectors of this encoder.
    """
    row = _find(snapshot, uids, wanted.level, encoder_id)
    (vector,) = _scorer(snapshot, caches, encoder_id, wanted).stored(np.array([row]))
    return similar_to(
        snapshot,
        caches,
        Query.of_row(snapshot, caches.files, encoder_id, wanted.level, row, vector=vector),
        encoder_id=encoder_id,
        wanted=wanted,
        exclude_same_patient=exclude_same_patient,
    )


def warm(
    snapshot: Snapshot,
    caches: Caches,
    encoder_id: str,
    *,
    score: StudyScore,
    readers: Sequence[TextEmbedder | None],
) -> None:
    """Derive what searches of a snapshot need: of studies, and of what else was asked before.

    Each sort of search is made once, so that nothing is forgotten.

    Parameters
    ----------
    snapshot : Snapshot
    caches : Caches
    encoder_id : str
    score : StudyScore
        Of studies.
    readers : sequence of TextEmbedder or None
        Of texts; None of cases.
    """
    for reader in readers:
        caches.asked[_sort(encoder_id, Level.STUDY, score, reader)] = reader
    for (space, level, of, _), reader in [*caches.asked.items()]:
        if space != encoder_id or not snapshot.keys(space, level).num_rows:
            continue
        # More than a quick search gives: so all of a mapped index is read into memory now.
        wanted = Wanted(level=level, k=QUICK_K + 1, score=of)
        scorer = _scorer(snapshot, caches, space, wanted)
        (vector,) = scorer.stored(np.zeros(1, np.int64))
        query = Query.of_row(snapshot, caches.files, space, level, 0, vector=vector)
        # Here the query's patient is looked up, too.
        include = np.ones(scorer.keys.num_rows, bool)
        include[scorer.patients.rows_of(query.patient_id)] = True
        _answer(scorer, caches, query, include, wanted, reader)


def _sort(encoder_id: str, level: Level, score: StudyScore, reader: TextEmbedder | None) -> _Sort:
    return encoder_id, level, score, None if reader is None else reader.text_id


def similar_to(
    snapshot: Snapshot,
    caches: Caches,
    query: Query,
    *,
    encoder_id: str,
    wanted: Wanted,
    exclude_same_patient: bool,
) -> Similar:
    """Rank what is visible in a snapshot by its similarity to a study or video from anywhere.

    Parameters and errors as for `similar`; the query has the identity that it has, or would have,
    in the store.
    """
    assert query.uid is not None
    scorer = _scorer(snapshot, caches, encoder_id, wanted)
    include = np.ones(scorer.keys.num_rows, bool)
    own = find(snapshot, encoder_id, wanted.level, query.uid)
    if own is not None:
        include[own] = False
    if exclude_same_patient:
        include[scorer.patients.rows_of(query.patient_id)] = False
    answer = _answer(scorer, caches, query, include, wanted)
    return Similar(query_uid=query.uid, **vars(answer))


def _scorer(snapshot: Snapshot, caches: Caches, encoder_id: str, wanted: Wanted) -> Scorer:
    return Scorer(
        snapshot,
        encoder_id,
        wanted.level,
        wanted.score,
        caches.indexes,
        caches.videos,
        caches.files,
    )


def _answer(
    scorer: Scorer,
    caches: Caches,
    query: Query,
    include: NDArray[np.bool_],
    wanted: Wanted,
    reader: TextEmbedder | None = None,
) -> Answer:
    """Rank the rows of `include`, by row of the snapshot's keys, and say what came of it."""
    keys, snapshot, level = scorer.keys, scorer.snapshot, scorer.level
    caches.asked[_sort(scorer.encoder_id, level, scorer.score, reader)] = reader
    if wanted.where is not None:
        include &= rows_where(
            snapshot, keys, wanted.where, level=level, encoder_id=scorer.encoder_id
        )
    rows, scores = best(
        lambda k, left: scorer.rank(query, k=k, include=left),
        k=wanted.k,
        include=include,
        owners=scorer.patients.owners if wanted.one_per_patient else None,
    )
    meaning = caches.chances.meaning(
        scorer, scores, include=include, patient_id=query.patient_id, reader=reader
    )
    ranked = {
        "rank": np.arange(1, len(rows) + 1),
        "score": scores,
        "chance": meaning.chance,
        "chance_is_bound": meaning.is_bound,
    }
    told = {}
    if wanted.load_encoder is not None:
        told = explain(scorer, query, rows, scores, wanted.load_encoder)
    return Answer(
        level=level,
        encoder_id=scorer.encoder_id,
        store_version=snapshot.version,
        score=scorer.score,
        table=facts(snapshot, level, scorer.encoder_id, rows, before=ranked),
        chance_note=meaning.note,
        explanations=told,
    )


def _find(snapshot: Snapshot, uids: Sequence[str], level: Level, encoder_id: str) -> int:
    for uid in uids:
        row = find(snapshot, encoder_id, level, uid)
        if row is not None:
            return row
    raise NotFoundError(
        f"no {level.value} {uids[0]} with vectors of {encoder_id} in store version "
        f"{snapshot.version}",
        "angioatlas store inputs shows what became of its files",
    )
