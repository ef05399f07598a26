"""What makes a figure too good: the test side known to the training side, or the future known.

Every check returns the rows that are at fault, so that they can be looked at; `refuse` ends an
analysis that has any.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.stats import spearmanr

from analytics.splits import Split
from analytics.survival.discrimination import harrell
from analytics.survival.times import Times
from core.errors import AtlasError, UsageError
from core.labels import EVENT_KINDS

DUPLICATE_COSINE: Final = 0.999
"""Two runs of different patients whose vectors are nearer than this are one run."""
TELLING_C: Final = 0.98
"""A single predictor that orders the outcomes as well as this is made of them."""
_TELLING_EVENTS: Final = 10
TELLING_CORRELATION: Final = 0.98
"""A single predictor whose ranks are as near to those of the measurement is made of it."""
_TELLING_ROWS: Final = 20
_SHOWN: Final = 10
_AXES: Final = 8
"""Of the projection in which near runs are looked for."""
_ROUNDING: Final = 1e-4
"""Added to the distance that is looked for: vectors are float32."""
_TOO_MANY: Final = 10_000_000
"""More candidates than this, and a hundred a run, are no copies but vectors that tell nothing."""
_OUTCOME_NAMES: Final = frozenset(EVENT_KINDS) | {"event", "outcome", "time_days", "state", "died"}


@dataclass(frozen=True)
class Leak:
    """One way in which something leaks.

    Attributes
    ----------
    what : str
        A sentence.
    rows : tuple of str
        What is at fault: patients, studies, pairs of runs, names of predictors.
    """

    what: str
    rows: tuple[str, ...]


class LeakageError(AtlasError):
    """The data of an analysis leak; the figures would be too good.

    Attributes
    ----------
    leaks : tuple of Leak
        For who shows them where rows must not be named.
    """

    code = "leakage"

    def __init__(self, message: str, hint: str, leaks: Iterable[Leak]) -> None:
        super().__init__(message, hint)
        self.leaks = tuple(leaks)


def refuse(leaks: Iterable[Leak]) -> None:
    """Raise when anything leaks.

    Raises
    ------
    LeakageError
        With every leak, and the first rows of each.
    """
    found = list(leaks)
    if not found:
        return
    lines = []
    for leak in found:
        more = len(leak.rows) - _SHOWN
        rows = ", ".join(leak.rows[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"{leak.what} ({len(leak.rows)}): {rows}")
    raise LeakageError(
        "the analysis is refused, its figures would be too good:\n  " + "\n  ".join(lines),
        "leave these rows or predictors out, and give the same command again",
        found,
    )


def same_patient(split: Split, patient: ArrayLike) -> Iterator[Leak]:
    """Find patients on both sides of a split."""
    who = np.asarray(patient).astype(str)
    both = np.intersect1d(who[split.train], who[split.test])
    if len(both):
        yield Leak(f"{split.name}: patients on both sides", tuple(both.tolist()))


def near_duplicates(
    vectors: NDArray[np.floating],
    patient: ArrayLike,
    name: ArrayLike,
    *,
    cosine: float = DUPLICATE_COSINE,
) -> Iterator[Leak]:
    """Find runs that two patients have in common: one file under two names.

    Parameters
    ----------
    vectors : array of shape (runs, dim)
        L2-normalised; of the runs of all sides.
    patient, name : arrays of shape (runs,)
        Whose run it is, and what it is called.
    cosine : float
        From which on two runs are one.

    Raises
    ------
    UsageError
        All but every run looks like every other one.

    Notes
    -----
    Patients are what is split, so a run that only one patient has is never on two sides.

    No pair is missed: two vectors are never farther apart in a projection than they are, so the
    candidates are the neighbours in a projection on few axes.
    """
    who, names = np.asarray(patient).astype(str), np.asarray(name).astype(str)
    unit = np.asarray(vectors, np.float32)
    if len(unit) < 2:
        return
    centred = unit - unit.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, -_AXES:]
    tree = KDTree(centred @ axes)
    apart = float(np.sqrt(2 - 2 * cosine)) + _ROUNDING
    if tree.count_neighbors(tree, apart) > _TOO_MANY + 100 * len(unit):
        raise UsageError(
            "the vectors of the runs are nearly all the same: nothing can be told from them",
            "look at the videos of the store; or leave the embeddings out",
        )
    one, other = tree.query_pairs(apart, output_type="ndarray").T
    of_two = who[one] != who[other]
    one, other = one[of_two], other[of_two]
    same = np.einsum("ij,ij->i", unit[one], unit[other]) >= cosine
    if same.any():
        pairs = sorted(zip(one[same].tolist(), other[same].tolist(), strict=True))
        rows = tuple(f"{names[i]} = {names[j]}" for i, j in pairs)
        yield Leak("runs that two patients share", rows)


def from_the_future(predictors: pd.DataFrame, index: pd.DataFrame) -> Iterator[Leak]:
    """Find predictors that are dated after the index date of their patient.

    Parameters
    ----------
    predictors : DataFrame
        patient_id, date (null: always true), name.
    index : DataFrame
        patient_id, index_date.
    """
    joined = predictors.merge(index[["patient_id", "index_date"]], on="patient_id")
    late = pd.to_datetime(joined["date"]) > pd.to_datetime(joined["index_date"])
    if late.any():
        rows = joined[late].apply(lambda row: f"{row['name']} of {row['patient_id']}", axis=1)
        yield Leak("predictors dated after the index date", tuple(rows.unique().tolist()))


def from_the_outcome(x: pd.DataFrame, times: Times) -> Iterator[Leak]:
    """Find predictors that are made of the outcome: by their names, and by what they know.

    Parameters
    ----------
    x : DataFrame of shape (subjects, predictors)
        Clinical predictors (not embeddings); gaps are left out of the comparison.
    times : Times
    """
    named = [str(name) for name in x.columns if str(name).lower() in _OUTCOME_NAMES]
    telling = []
    for name in x.columns.difference(named, sort=False):
        values = _as_numbers(x[name])
        known = np.isfinite(values)
        if times[known].event.sum() < _TELLING_EVENTS or np.ptp(values[known]) == 0:
            continue
        if _orders(values[known], times[known]):
            telling.append(str(name))
    if named or telling:
        yield Leak("predictors made of the outcome", tuple(named + telling))


def from_the_measurement(x: pd.DataFrame, measured: ArrayLike, name: str) -> Iterator[Leak]:
    """Find predictors that are the measured number itself: by their names, and by their values.

    Parameters
    ----------
    x : DataFrame of shape (rows, predictors)
        Clinical predictors (not embeddings); gaps are left out of the comparison.
    measured : array of shape (rows,)
    name : str
        Of the measurement.
    """
    y = np.asarray(measured, np.float64)
    telling = []
    for column in x.columns:
        values = _as_numbers(x[column])
        known = np.isfinite(values)
        enough = known.sum() >= _TELLING_ROWS and np.ptp(values[known]) > 0
        same = enough and abs(spearmanr(values[known], y[known]).statistic) >= TELLING_CORRELATION
        if same or str(column).lower() == name.lower():
            telling.append(str(column))
    if telling:
        yield Leak(f"predictors that are {name} itself", tuple(telling))


def _as_numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Return numbers as they are, and words as numbers in alphabetical order; NaN for gaps."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64)
    codes, _ = pd.factorize(column, sort=True)
    return np.where(codes < 0, np.nan, codes.astype(np.float64))


def _orders(values: NDArray[np.float64], times: Times) -> bool:
    # A binary copy of the event knows who, not when: among its two values there are ties.
    exact = np.array_equal(values > values.min(), times.event)
    reversed_ = np.array_equal(values < values.max(), times.event)
    try:
        c = harrell(times, values).c
    except UsageError:
        return False
    return exact or reversed_ or max(c, 1 - c) >= TELLING_C


def known_to_the_encoder(patient: ArrayLike, trained_on: Collection[str]) -> Iterator[Leak]:
    """Find patients that the encoder was trained on.

    Parameters
    ----------
    patient : array of shape (rows,)
    trained_on : collection of str
        Patients.
    """
    both = sorted({str(each) for each in np.asarray(patient)} & set(trained_on))
    if both:
        yield Leak("patients that the encoder was trained on", tuple(both))
