"""What is asked, and which rows of the store answer it: tables of relevance, held against a store.

A row that is not listed counts as not relevant, as in TREC's evaluations; how much of what a query
shows was judged at all is told beside the measures.  Where a predicate cannot tell (a value is
missing), and of studies without a label, nothing is known: such rows are left out of the ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from angioatlas.evaluation.tables import Defined, Judged, Labelled
from angioatlas.filters import ALIASES, filter_view
from angioatlas.probes.targets import percents, truths
from core.errors import NotFoundError, UsageError
from core.schema import UID_COLUMN, Level
from core.segments import FINDINGS, SEGMENTS
from embedder.dicom.header import is_uid
from store.predicate import compiled, kinds_of
from store.snapshot import Snapshot
from store.sql import matching

MEASURED: Final = "measured_"
"""Columns of what was measured begin so; those of finding heads have the same name without it."""
_SAID: Final = frozenset(each.column for each in FINDINGS)

MayBe = Callable[[str], Sequence[str]]
"""From a UID as somebody wrote it to what it may be in the store."""
Grades = NDArray[np.int8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Query:
    """One query with its answers.

    Parameters
    ----------
    name : str
        The text, or the store's UID of the study or video that is asked with.
    row : int or None
        Of the keys, when a study or video is asked with.
    grades : int8 array (rows,)
        Relevance of every row of the keys, 0 to 3.
    known : bool array (rows,)
        Rows whose relevance somebody told.
    ranked : bool array (rows,)
        Rows that may be found.
    """

    name: str
    row: int | None
    grades: Grades = field(repr=False)
    known: Mask = field(repr=False)
    ranked: Mask = field(repr=False)


@dataclass(frozen=True)
class Queries:
    """What is evaluated.

    Attributes
    ----------
    number : int
    notes : tuple of str
        What was left out, and what to beware of.
    each : callable
        Makes the queries one after the other: all of them at once may not fit in memory.
    """

    number: int
    notes: tuple[str, ...]
    each: Callable[[], Iterator[Query]] = field(repr=False)


@dataclass(frozen=True)
class Rows:
    """The rows that a search ranks.

    Attributes
    ----------
    keys : pa.Table
        Of `Snapshot.keys`.
    patient : int64 array (rows,)
        A number for each patient.
    place : dict
        From a uid to its row.
    """

    keys: pa.Table
    patient: NDArray[np.int64]
    place: dict[str, int] = field(repr=False)

    @classmethod
    def of(cls, keys: pa.Table) -> Rows:
        """Describe the rows of some keys."""
        _, patient = np.unique(keys["patient_id"].to_pylist(), return_inverse=True)
        place = {uid: row for row, uid in enumerate(keys["uid"].to_pylist())}
        return cls(keys, patient, place)

    def __len__(self) -> int:
        return len(self.patient)

    def find(self, uid: str, may_be: MayBe) -> int | None:
        """Return the row of a uid, None when it is not among them."""
        return next((self.place[each] for each in may_be(uid) if each in self.place), None)


def judged_queries(said: Iterable[Judged], rows: Rows, may_be: MayBe) -> Queries:
    """Make queries of judgements: texts, and studies or videos whose own patient is left out.

    Raises
    ------
    UsageError
        Nothing that they name is in the store.
    """
    answers: dict[str, dict[int, int]] = {}
    asked: dict[str, int | None] = {}
    lost = 0
    for each in said:
        row = rows.find(each.uid, may_be)
        if each.query not in asked:
            asked[each.query] = rows.find(each.query, may_be)
        unknown = asked[each.query] is None and is_uid(each.query)
        if row is None or unknown:
            lost += 1
            continue
        answers.setdefault(each.query, {})[row] = each.relevance
    _refuse_nothing(len(answers), "judged")
    notes = _left_out(lost, "judgement", "of a study or video that the store does not show")
    return Queries(
        len(answers),
        notes,
        lambda: (_of_judgements(name, asked[name], told, rows) for name, told in answers.items()),
    )


def _of_judgements(name: str, row: int | None, told: dict[int, int], rows: Rows) -> Query:
    at, grades = np.array([*told]), np.zeros(len(rows), np.int8)
    known = np.zeros(len(rows), bool)
    grades[at], known[at] = [*told.values()], True
    if row is None:
        return Query(name, None, grades, known, np.ones(len(rows), bool))
    return Query(
        rows.keys["uid"][row].as_py(), row, grades, known, rows.patient != rows.patient[row]
    )


def labelled_queries(
    said: Iterable[Labelled], rows: Rows, may_be: MayBe, *, most: int, seed: int
) -> Queries:
    """Make a query of every row with a label: who else has it, among the rows with labels.

    Parameters
    ----------
    said : iterable of Labelled
    rows : Rows
    may_be : callable
    most : int
        Of more rows with labels, so many are drawn to ask with.
    seed : int
        Of the drawing.

    Raises
    ------
    UsageError
        Nothing that is labelled is in the store.
    """
    label = np.full(len(rows), -1, np.int64)
    numbers: dict[str, int] = {}
    lost = 0
    for each in said:
        row = rows.find(each.uid, may_be)
        if row is None:
            lost += 1
        else:
            label[row] = numbers.setdefault(each.label, len(numbers))
    known = label >= 0
    asking = np.flatnonzero(known)
    _refuse_nothing(len(asking), "labelled")
    notes = _left_out(lost, "label", "of a study or video that the store does not show")
    notes += _left_out(int((~known).sum()), "row", "without a label: not ranked")
    if len(asking) > most:
        notes += (f"{most:,} of {len(asking):,} labelled rows ask, drawn with seed {seed}",)
        asking = np.sort(np.random.default_rng(seed).choice(asking, most, replace=False))
    return Queries(len(asking), notes, partial(_of_labels, asking, label, rows))


def _of_labels(asking: NDArray[np.int64], label: NDArray[np.int64], rows: Rows) -> Iterator[Query]:
    known = label >= 0
    for row in asking.tolist():
        ranked = known & (rows.patient != rows.patient[row])
        same = (label == label[row]).astype(np.int8)
        yield Query(rows.keys["uid"][row].as_py(), row, same, known, ranked)


def defined_queries(
    said: Sequence[Defined], rows: Rows, snapshot: Snapshot, *, level: Level, encoder_id: str
) -> Queries:
    """Make queries of texts with predicates, each relevant (1) or not by its predicate.

    Raises
    ------
    UsageError
        With file and line: what is no predicate, or names a column that is not there.
    """
    view = evaluation_view(snapshot, level, encoder_id=encoder_id)
    kinds = kinds_of(view.schema)
    own = {f'"{segment}_{each.column}"' for segment in SEGMENTS for each in FINDINGS}
    queries, circular = [], []
    for each in said:
        try:
            sql = compiled(each.where, kinds, aliases=ALIASES)
            holds, fails = (
                _rows_of(matching(level.value, view, wanted)[UID_COLUMN[level]], rows)
                for wanted in (sql, f"NOT {sql}")
            )
        except UsageError as error:
            raise UsageError(f"{each.place}, column where: {error.message}", error.hint) from error
        known = holds | fails
        queries.append(Query(each.query, None, holds.astype(np.int8), known, known))
        if any(name in sql for name in own):
            circular.append(each.query)
    notes = _left_out(
        sum(int((~each.known).sum()) for each in queries),
        "row",
        "over all queries, of which the predicate cannot tell: not ranked",
    )
    if circular:
        notes += (
            f"circular: what is relevant to {len(circular)} of {len(queries)} queries is said by "
            "finding heads of the encoder itself; use columns that begin with measured_",
        )
    return Queries(len(queries), notes, lambda: iter(queries))


def evaluation_view(snapshot: Snapshot, level: Level, *, encoder_id: str) -> pa.Table:
    """Return the columns of `angioatlas.filters.filter_view`, and after them what was measured.

    Such as ``measured_prox_lad_stenosis_percent`` and ``measured_prox_lad_cto`` (1 or 0), of the
    study; a vessel (LAD, LCX, RCA) is as narrow as its worst segment.  See
    `angioatlas.probes.targets.truths` for what counts as known.
    """
    view = filter_view(snapshot, level, encoder_id=encoder_id)
    studies = view["study_uid"].to_pylist()
    percent = percents(snapshot, studies)
    found = {f"{MEASURED}{name}_stenosis_percent": percent[name] for name in percent.columns}
    for name, column in truths(snapshot, studies).items():
        segment, _, what = str(name).partition(" ")
        if what in _SAID:
            found[f"{MEASURED}{segment}_{what}"] = column
    for name, column in found.items():
        values = pd.to_numeric(column).to_numpy(np.float64)
        view = view.append_column(name, pa.array(values, from_pandas=True))
    return view


def _rows_of(uids: pa.ChunkedArray, rows: Rows) -> Mask:
    mask: Mask = pc.is_in(rows.keys["uid"], value_set=uids).to_numpy()
    return mask


def _refuse_nothing(found: int, what: str) -> None:
    if not found:
        raise NotFoundError(
            f"nothing that is {what} is in this version of the store with vectors of the encoder",
            "name studies by StudyInstanceUID (videos by SOPInstanceUID, with --level video), and "
            "the store that they are in",
        )


def _left_out(count: int, what: str, why: str) -> tuple[str, ...]:
    return (f"{count:,} {what}{'s' if count > 1 else ''} left out: {why}",) if count else ()
