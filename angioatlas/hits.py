"""What a search answers: ranked rows with their facts, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from angioatlas.clinical import Question
from angioatlas.explain import Explanation
from angioatlas.plain_rows import plain
from angioatlas.rows import fact_rows
from core.errors import NotFoundError, UsageError
from core.schema import UID_COLUMN, Level, StudyScore
from index.late import Ranked
from store.snapshot import Snapshot

_SHOWN: Final = {
    Level.STUDY: ["study_uid", "patient_id", "study_date", "n_videos"],
    Level.VIDEO: ["sop_uid", "study_uid", "patient_id", "view", "n_frames"],
}

Rank = Callable[[int, NDArray[np.bool_]], Ranked]
"""Given k and which rows are wanted, returns the best k of them."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What `Found` and `Similar` have in common.

    Attributes
    ----------
    level : Level
    encoder_id : str
    store_version : int
    score : StudyScore
        How studies were compared; of videos the cosine of their vectors, `STUDY`.
    table : pa.Table
        The hits, best first: `rank`; `score` (−1 to 1, higher is more similar); `chance`, how many
        rows of other patients score as high by chance, NaN where that cannot be told;
        `chance_is_bound`, true where it is less than that; and facts.
    chance_note : str or None
        Why `chance` cannot be told, or of which store version it is.
    explanations : mapping of str to Explanation
        By UID of a hit; empty unless they were asked for.
    """

    level: Level
    encoder_id: str
    store_version: int
    score: StudyScore
    table: pa.Table
    chance_note: str | None = None
    explanations: Mapping[str, Explanation] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def hits(self) -> pd.DataFrame:
        """The hits as a DataFrame."""
        # So few rows are not worth other threads.
        frame: pd.DataFrame = self.table.to_pandas(use_threads=False, integer_object_nulls=True)
        return frame

    def rows(self) -> list[dict[str, Any]]:
        """Return the hits as plain rows, with None for what is missing."""
        return plain(self.table.to_pylist())

    def why(self, uid: str) -> Explanation:
        """Say why a hit matched.

        Parameters
        ----------
        uid : str
            Of the hit, as in `hits`.

        Raises
        ------
        UsageError
            No explanation was asked for.
        NotFoundError
            It is not among the hits.
        """
        if uid in self.explanations:
            return self.explanations[uid]
        if uid in self.table[UID_COLUMN[self.level]].to_pylist():
            raise UsageError("the hits were not explained", "ask again with explain=True")
        raise NotFoundError(f"{uid} is not among the hits", "name one of `hits`")


@dataclass(frozen=True, kw_only=True)
class Similar(Answer):
    """The answer to "what is most similar to this?".

    Attributes
    ----------
    query_uid : str
        The store's UID of the study or video that was asked about.
    """

    query_uid: str


@dataclass(frozen=True)
class ReportsRead:
    """How many reports took part in a search.

    Attributes
    ----------
    studies : int
        Studies that could be found.
    with_report : int
        Those of them that have a report.
    matching : int
        Those whose report says what the text says.
    """

    studies: int
    with_report: int
    matching: int

    def __str__(self) -> str:
        return (
            f"reports: {self.with_report:,} of {self.studies:,} studies have one, "
            f"{self.matching:,} with the words of the query"
        )


@dataclass(frozen=True, kw_only=True)
class Found(Answer):
    """The answer to "which of these does this text describe?".

    Attributes
    ----------
    text : str
    note : str or None
        Which words the encoder has never met.  Without any that it knows there are no hits, unless
        predicates chose them: a ranking by them would mean nothing.
    reports : ReportsRead or None
        None where reports were not asked; see `angioatlas.hybrid.search`.
    question : Question or None
        How the text was read; None where it was taken as it is.
    """

    text: str
    note: str | None = None
    question: Question | None = None
    reports: ReportsRead | None = None


def best(
    rank: Rank, *, k: int, include: NDArray[np.bool_], owners: NDArray[np.int64] | None = None
) -> Ranked:
    """Return the best `k` wanted rows, or the best row of each of the best `k` patients.

    Parameters
    ----------
    rank : callable
    k : int
    include : array [rows], bool
    owners : array [rows], int64, optional
        The patient of each row; one row of each is then enough.
    """
    if owners is None:
        return rank(k, include)
    left = include.copy()
    rows, scores = np.empty(0, np.int64), np.empty(0)
    # Each round ranks below the one before: what it leaves out scores less than its last row.
    while len(rows) < k and left.any():
        found, of = rank(k - len(rows), left)
        if not len(found):  # an approximate index may miss what is left
            break
        _, first = np.unique(owners[found], return_index=True)
        first.sort()
        rows, scores = np.append(rows, found[first]), np.append(scores, of[first])
        left &= ~np.isin(owners, owners[found])
    return rows, scores


def facts(
    snapshot: Snapshot,
    level: Level,
    encoder_id: str,
    rows: NDArray[np.int64],
    *,
    before: Mapping[str, NDArray[Any]] | None = None,
) -> pa.Table:
    """Return the facts to show for some rows of the keys, after the columns of `before`."""
    table = snapshot.studies() if level is Level.STUDY else snapshot.videos()
    at = fact_rows(snapshot, encoder_id, level)[rows]
    shown = table.select(_SHOWN[level]).take(pa.array(at))
    for place, (name, values) in enumerate((before or {}).items()):
        shown = shown.add_column(place, name, pa.array(values))
    return shown
