"""Retrieve: what is nearest to a study, a video or a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from angioatlas.clinical import Question, chosen_by, understand
from angioatlas.filters import filter_view, rows_where, satisfying
from angioatlas.indexes import IndexCache
from core.errors import NotFoundError, UsageError
from core.schema import UID_COLUMN, Level
from embedder.encoders.spec import Coverage, TextEmbedder
from store.snapshot import Snapshot

_SHOWN = {
    Level.STUDY: ["study_uid", "patient_id", "study_date", "n_videos"],
    Level.VIDEO: ["sop_uid", "study_uid", "patient_id", "view", "n_frames"],
}

_WORDS_SHOWN = 10


@dataclass(frozen=True)
class Similar:
    """The answer to "what is most similar to this?".

    Attributes
    ----------
    query_uid : str
        The store's UID of the study or video that was asked about.
    hits : DataFrame
        Best first: `rank`, `score` (cosine similarity, −1 to 1, higher is more similar), and facts.
    """

    query_uid: str
    level: Level
    encoder_id: str
    store_version: int
    hits: pd.DataFrame


@dataclass(frozen=True)
class Found:
    """The answer to "which of these does this text describe?".

    Attributes
    ----------
    text : str
    hits : DataFrame
        Best first: `rank`, `score` (cosine similarity, −1 to 1, higher is more similar), and facts.
    note : str or None
        Which words the encoder has never met.  Without any that it knows there are no hits, unless
        predicates chose them: a ranking by them would mean nothing.
    question : Question or None
        How the text was read; None where it was taken as it is.
    """

    text: str
    level: Level
    encoder_id: str
    store_version: int
    hits: pd.DataFrame
    note: str | None = None
    question: Question | None = None


def search(
    snapshot: Snapshot,
    indexes: IndexCache,
    text: str,
    *,
    reader: TextEmbedder,
    level: Level,
    k: int,
    where: str | None = None,
    plain: bool = False,
) -> Found:
    """Rank what is visible in a snapshot by its similarity to a text.

    Parameters
    ----------
    snapshot : Snapshot
    indexes : IndexCache
    text : str
        Not empty; what is beyond 512 tokens is not read.
    reader : TextEmbedder
        Places the text in the space that is searched.
    level : Level
    k : int
        Hits wanted; fewer come back only when fewer rows are there.
    where : str, optional
        Only rows that this predicate holds for; see `angioatlas.filters.rows_where`.
    plain : bool
        Take the text as it is, instead of reading its clinical words; see `angioatlas.clinical`.

    Raises
    ------
    UsageError
        When the text is empty, or the predicate is none.
    NotFoundError
        When the snapshot has no vectors in that space.
    """
    if not text.strip():
        raise UsageError("the text is empty", 'name a finding, such as "proximal LAD occlusion"')
    space = reader.encoder_id
    columns = cache(lambda: filter_view(snapshot, level, encoder_id=space))
    question = None if plain else understand(text, reader, level, columns)
    covered = reader.coverage(text if question is None else question.said)
    query = reader.encode([text])[0] if question is None else question.vector(reader)
    keys = snapshot.keys(space, level)
    include = None
    if where is not None:
        include = satisfying(columns(), keys["uid"], where, level=level)
    if question is not None and question.where:
        chosen, question = chosen_by(question, columns(), keys["uid"], level)
        include = chosen if include is None else include & chosen
    hits = _ranked(snapshot, indexes, query, encoder_id=space, level=level, k=k, include=include)
    if covered is not None and not (covered.known or (question and question.where)):
        hits = hits.iloc[:0]
    note = None if covered is None else _vocabulary_note(covered, space)
    return Found(text, level, space, snapshot.version, hits, note, question)


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
    indexes: IndexCache,
    uids: Sequence[str],
    *,
    encoder_id: str,
    level: Level,
    k: int,
    exclude_same_patient: bool,
    where: str | None = None,
) -> Similar:
    """Rank what is visible in a snapshot by its similarity to one study or video.

    Parameters
    ----------
    snapshot : Snapshot
    indexes : IndexCache
    uids : sequence of str
        What the caller's UID may be in the store; the first that is there counts.
    encoder_id : str
    level : Level
        Study to study, or video to video.
    k : int
        Hits wanted; fewer come back only when fewer rows remain.
    exclude_same_patient : bool
        Leave out everything of the query's own patient; otherwise only the query itself.
    where : str, optional
        Only rows that this predicate holds for; see `angioatlas.filters.rows_where`.

    Raises
    ------
    UsageError
        When the predicate is none.
    NotFoundError
        When none of `uids` is visible with vectors of this encoder.
    """
    keys = snapshot.keys(encoder_id, level)
    row = _find(keys, uids, level, snapshot, encoder_id)
    query_uid = keys["uid"][row].as_py()
    _, query = snapshot.vectors(encoder_id, level, keys=keys.slice(row, 1))
    wanted = np.ones(keys.num_rows, bool)
    wanted[row] = False
    if exclude_same_patient:
        same = pc.equal(keys["patient_id"], keys["patient_id"][row])
        wanted &= ~same.to_numpy(zero_copy_only=False)
    if where is not None:
        wanted &= rows_where(snapshot, keys, where, level=level, encoder_id=encoder_id)
    hits = _ranked(
        snapshot, indexes, query[0], encoder_id=encoder_id, level=level, k=k, include=wanted
    )
    return Similar(query_uid, level, encoder_id, snapshot.version, hits)


def _ranked(
    snapshot: Snapshot,
    indexes: IndexCache,
    query: NDArray[np.float32],
    *,
    encoder_id: str,
    level: Level,
    k: int,
    include: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return rank, score and facts of the nearest rows; `include` by row of the snapshot's keys."""
    found = indexes.searchable(snapshot, encoder_id, level).search(query, k=k, include=include)
    hits = pd.DataFrame({"rank": found.ranks, "score": found.scores})
    return pd.concat([hits, _facts(snapshot, level, found.uids)], axis=1)


def _find(
    keys: pa.Table, uids: Sequence[str], level: Level, snapshot: Snapshot, encoder_id: str
) -> int:
    for uid in uids:
        row = pc.index(keys["uid"], uid).as_py()
        if row >= 0:
            return int(row)
    raise NotFoundError(
        f"no {level.value} {uids[0]} with vectors of {encoder_id} in store version "
        f"{snapshot.version}",
        "angioatlas store inputs shows what became of its files",
    )


def _facts(snapshot: Snapshot, level: Level, uids: list[str]) -> pd.DataFrame:
    """Return the facts to show for each uid, in order."""
    table = snapshot.studies() if level is Level.STUDY else snapshot.videos()
    rows = pc.index_in(pa.array(uids, pa.string()), value_set=table[UID_COLUMN[level]])
    frame: pd.DataFrame = table.select(_SHOWN[level]).take(rows).to_pandas()
    return frame
