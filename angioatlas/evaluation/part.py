"""What the Atlas does to tell how good its answers are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.clinical import read
from angioatlas.evaluation.queries import (
    Queries,
    Rows,
    defined_queries,
    judged_queries,
    labelled_queries,
)
from angioatlas.evaluation.tables import Judged, Relevance, read_relevance
from angioatlas.filters import columns_of_view
from angioatlas.searches import Searches
from angioatlas.spaces import choose_space
from core.errors import NotFoundError, UsageError
from core.schema import HIGHEST_GRADE, Level
from embedder.dicom.header import is_uid
from store.judgements import Judgement, Judgements
from store.snapshot import Snapshot

if TYPE_CHECKING:
    # SciPy takes a second to import: who searches does without it.
    from angioatlas.evaluation.index_quality import IndexQuality
    from angioatlas.evaluation.labelled import Evaluated, ReadText
    from angioatlas.evaluation.overlap import EncoderOverlap

MOST_LABELLED: Final = 2000
"""Labelled studies that ask, at the most: for each of them every row is scored and sorted."""


class Evaluation(Searches):
    """Quality of retrieval; a part of `Atlas`, made like it."""

    @audited(Action.ANALYSE, "level", "k")
    def index_quality(
        self,
        level: Level | str = Level.STUDY,
        *,
        k: int = 10,
        queries: int = 200,
        seed: int = 0,
        encoder: str | None = None,
    ) -> IndexQuality:
        """Hold the searches that the index answers against a full scan in float64.

        Parameters
        ----------
        level : Level
        k : int
        queries : int
            Rows of the store to ask with, drawn; reference texts are asked too when the encoder
            reads text.
        seed : int
            Of the rows and of the filters.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.

        Raises
        ------
        UsageError
            There are fewer than two rows.
        """
        from angioatlas.evaluation.index_quality import index_quality

        level = Level(level)
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            ready = self._caches.indexes.searchable(snapshot, space, level)
            return index_quality(
                lambda query, k, include: ready.search(query, k=k, include=include).rows,
                snapshot.vectors(space, level)[1],
                level=level,
                encoder_id=space,
                store_version=snapshot.version,
                kind=ready.kind.value,
                reader=self._text_reader(space),
                k=k,
                queries=queries,
                seed=seed,
            )

    @audited(Action.ANALYSE, "level", "k", "plain")
    def evaluate(
        self,
        relevance: Path | str | None = None,
        *,
        level: Level | str = Level.STUDY,
        k: int = 10,
        seed: int = 0,
        plain: bool = False,
        encoder: str | None = None,
    ) -> Evaluated:
        """Measure how well queries find what they ask for.

        Parameters
        ----------
        relevance : path, optional
            What is relevant to which query, see `angioatlas.evaluation.tables`; the judgements in
            the store by default.
        level : Level
            What is ranked.
        k : int
            Depth of precision, nDCG and recall.
        seed : int
            Of the intervals.
        plain : bool
            Take texts as they are; by default they are read as a search reads them, and rows that
            their predicates leave out come last.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.

        Raises
        ------
        UsageError
            The table cannot be used.
        NotFoundError
            Nothing that is judged is in the store.
        EncoderError
            There are texts, and the encoder reads none.
        """
        from angioatlas.evaluation.labelled import evaluate

        level = Level(level)
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            keys, vectors = snapshot.vectors(space, level)
            rows = Rows.of(keys)
            said = self._stored(level) if relevance is None else read_relevance(Path(relevance))
            return evaluate(
                self._queries(said, rows, snapshot, level=level, encoder_id=space, seed=seed),
                rows,
                vectors,
                read=self._read_text(snapshot, space, level, plain=plain),
                level=level,
                encoder_id=space,
                store_version=snapshot.version,
                k=k,
                seed=seed,
            )

    def _read_text(
        self, snapshot: Snapshot, space: str, level: Level, *, plain: bool
    ) -> ReadText | None:
        reader = self._text_reader(space)
        if reader is None:
            return None
        columns = columns_of_view(snapshot, level, space)
        uids = snapshot.keys(space, level)["uid"]
        return lambda text: read(text, reader, level, columns, uids, plain=plain)

    @audited(Action.WRITE, "relevance", "level")
    def judge(
        self,
        query: str,
        uid: str,
        relevance: int,
        *,
        level: Level | str = Level.STUDY,
        rank: int | None = None,
        score: float | None = None,
        encoder: str | None = None,
    ) -> Judgement:
        """Store how well one study or video answers a query; a later judgement replaces it.

        Parameters
        ----------
        query : str
            A text, or the UID of the study (or video) that was asked with.
        uid : str
            StudyInstanceUID (SOPInstanceUID for videos), the original or the store's surrogate.
        relevance : int
            0 (not relevant), 1 (somewhat), 2 (well), 3 (exactly what was asked for).
        level : Level
        rank, score : int, float, optional
            Where it was shown, when that is known.
        encoder : str, optional
            Which space was searched; needed when the store has several.

        Raises
        ------
        UsageError
            The relevance is none, the query is empty, or a study is judged by itself.
        NotFoundError
            The store does not show the study or video.
        """
        if isinstance(relevance, bool) or relevance not in range(HIGHEST_GRADE + 1):
            raise UsageError(
                f"the relevance is {relevance!r}; expected a whole number",
                f"0 is not relevant, {HIGHEST_GRADE} exactly what was asked for",
            )
        if not query.strip():
            raise UsageError("the query is empty", "give the text or the UID that was asked with")
        level = Level(level)
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            keys = snapshot.keys(space, level)
            rows = Rows.of(keys)
            judged = _found(rows.find(uid, self._may_be), level, uid)
            asking = rows.find(query, self._may_be)
            if asking is None and is_uid(query):
                _found(asking, level, query)
            if asking == judged:
                raise UsageError(f"this {level} is the query itself", "judge another one")
            uids, patients = keys["uid"], keys["patient_id"]
            note(uid=uids[judged].as_py(), encoder_id=space)
            return Judgements(self.store).add(
                Judgement(
                    text=query.strip() if asking is None else None,
                    query_uid=None if asking is None else uids[asking].as_py(),
                    level=level.value,
                    uid=uids[judged].as_py(),
                    relevance=int(relevance),
                    patient_id=patients[judged].as_py(),
                    query_patient_id=None if asking is None else patients[asking].as_py(),
                    encoder_id=space,
                    store_version=snapshot.version,
                    rank=rank,
                    score=score,
                )
            )

    @audited(Action.READ)
    def judgements(self) -> pd.DataFrame:
        """Return the judgements, one a row, the oldest first; replaced ones are left out.

        Returns
        -------
        DataFrame
            query (the text, or the store's UID), uid, relevance, and what else is known of it.
        """
        rows = [
            {
                "query": each.query,
                "uid": each.uid,
                "relevance": each.relevance,
                "level": each.level,
                "rank": each.rank,
                "score": each.score,
                "encoder_id": each.encoder_id,
                "store_version": each.store_version,
                "created_at": each.created_at,
            }
            for each in Judgements(self.store).current()
        ]
        columns = ["query", "uid", "relevance", "level", "rank", "score"]
        columns += ["encoder_id", "store_version", "created_at"]
        # As objects, so that a rank stays a whole number where others are not known.
        return pd.DataFrame(rows, columns=columns, dtype=object)

    @audited(Action.ANALYSE, "level", "k")
    def encoder_overlap(
        self,
        one: str,
        other: str,
        *,
        level: Level | str = Level.STUDY,
        k: int = 10,
        sample: int = 500,
        seed: int = 0,
    ) -> EncoderOverlap:
        """Tell whether two encoders find the same neighbours of the same studies or videos.

        Parameters
        ----------
        one, other : str
            Encoders whose vectors the store holds.
        level : Level
        k : int
            Neighbours.
        sample : int
            Rows to ask with, at the most.
        seed : int
            Of the sample and the interval.

        Raises
        ------
        UsageError
            No row of both spaces has so many neighbours.
        """
        from angioatlas.evaluation.overlap import EncoderOverlap, neighbour_overlap

        level = Level(level)
        with self.snapshot() as snapshot:
            spaces = (
                choose_space(snapshot, one, self.settings),
                choose_space(snapshot, other, self.settings),
            )
            keys = [snapshot.keys(space, level) for space in spaces]
            both = np.intersect1d(*(each["uid"].to_numpy() for each in keys))
            found = [_of(snapshot, space, level, both) for space in spaces]
            table, queries = neighbour_overlap(
                found[0][1],
                found[1][1],
                found[0][0].patient,
                k=k,
                sample=sample,
                seed=seed,
            )
            return EncoderOverlap(spaces, level, snapshot.version, k, len(both), queries, table)

    def _stored(self, level: Level) -> Relevance:
        said = self.judgements()
        said = said[said["level"] == level.value]
        if said.empty:
            raise NotFoundError(
                f"the store has no judgement of a {level}",
                "angioatlas judgements add stores one; or name a table of relevance",
            )
        rows = said[["query", "uid", "relevance"]].itertuples(index=False)
        return Relevance(judged=[Judged(*row) for row in rows])

    def _queries(
        self,
        said: Relevance,
        rows: Rows,
        snapshot: Snapshot,
        *,
        level: Level,
        encoder_id: str,
        seed: int,
    ) -> Queries:
        may_be = self._uid_lookup()
        if said.judged:
            found = judged_queries(said.judged, rows, may_be)
        elif said.labelled:
            found = labelled_queries(said.labelled, rows, may_be, most=MOST_LABELLED, seed=seed)
        else:
            found = defined_queries(
                said.defined, rows, snapshot, level=level, encoder_id=encoder_id
            )
        patients = rows.keys["patient_id"].unique().to_pylist()
        trained = self._patients_of_the_encoder(encoder_id, patients)
        if not trained:
            return found
        note = (
            f"too good: the encoder was trained on {len(trained):,} of the {len(patients):,} "
            "patients whose rows are ranked"
        )
        return replace(found, notes=(*found.notes, note))


def _of(
    snapshot: Snapshot, encoder_id: str, level: Level, uids: NDArray[np.object_]
) -> tuple[Rows, NDArray[np.float32]]:
    keys = snapshot.keys(encoder_id, level)
    keys = keys.filter(pc.is_in(keys["uid"], value_set=pa.array(uids, pa.string())))
    return Rows.of(keys), snapshot.vectors(encoder_id, level, keys=keys)[1]


def _found(row: int | None, level: Level, uid: str) -> int:
    if row is None:
        raise NotFoundError(
            f"the store shows no {level} {uid}", "angioatlas store inputs shows what became of it"
        )
    return row
