"""How far two exams of a patient are apart, and how far exams of unchanged arteries are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytics.conformal import upper_limits
from core.errors import UsageError

Floats = NDArray[np.float64]
Source = Literal["unchanged pairs", "split halves"]
LEVEL: Final = 0.95
"""Unchanged pairs that the threshold lets pass as unchanged."""
FEWEST: Final = 19
"""With fewer patients no value is reached by one unchanged patient in twenty."""
FEWEST_VIEWS: Final = 4


@final
@dataclass(frozen=True, eq=False)
class NoiseFloor:
    """What unchanged arteries differ by, from one exam to the next.

    Attributes
    ----------
    source : {"unchanged pairs", "split halves"}
    values : float64 array
        Changes (1 − cosine), sorted.
    patients : int
        Whose they are.
    threshold : float
        Change that one unchanged patient in twenty exceeds.
    """

    source: Source
    values: Floats
    patients: int
    threshold: float

    @property
    def median(self) -> float:
        """Change that every other unchanged pair exceeds."""
        return float(np.median(self.values))

    def scores(self, change: ArrayLike) -> Floats:
        """Return changes in units of the threshold: 1 is what one unchanged in twenty exceeds."""
        return np.asarray(np.asarray(change, np.float64) / self.threshold)

    def p(self, change: ArrayLike) -> Floats:
        """Return how often unchanged pairs differ by as much, one more of them counted as one."""
        below = np.searchsorted(self.values, np.asarray(change, np.float64), side="left")
        return np.asarray((len(self.values) - below + 1) / (len(self.values) + 1))


def change_of(prior: NDArray[np.floating], now: NDArray[np.floating]) -> Floats:
    """Return 1 − cosine of rows, float64 (rows,), 0 to 2.

    Parameters
    ----------
    prior, now : arrays of shape (rows, dim)
        Not of length 0.
    """
    one, other = _unit(prior), _unit(now)
    return np.asarray(np.clip(1 - np.einsum("ij,ij->i", one, other), 0, 2))


def mean_views(videos: NDArray[np.floating], exam: NDArray[np.int64], count: int) -> Floats:
    """Return the mean direction of the views of each exam, float64 (count, dim).

    Parameters
    ----------
    videos : array of shape (videos, dim)
        L2-normalised.
    exam : int64 array of shape (videos,)
        From 0 to count − 1; every exam has a view.
    count : int
    """
    total = np.zeros((count, videos.shape[1]))
    np.add.at(total, exam, np.asarray(videos, np.float64))
    return _unit(total)


def noise_floor(change: ArrayLike, patient: ArrayLike, source: Source) -> NoiseFloor:
    """Return the floor of changes of unchanged arteries.

    Parameters
    ----------
    change : array of shape (pairs,)
    patient : array of shape (pairs,)
        Each patient weighs the same.
    source : Source
        Where they are from.

    Raises
    ------
    UsageError
        They are of too few patients.
    """
    values, who = np.asarray(change, np.float64), np.asarray(patient)
    patients = len(np.unique(who))
    if patients < FEWEST:
        raise UsageError(
            f"{source} of {patients} patients are too few for a noise floor",
            f"it needs {FEWEST} patients; embed more exams",
        )
    (threshold,) = upper_limits(values, who, [LEVEL])
    return NoiseFloor(source, np.sort(values), patients, threshold)


def split_halves(
    videos: NDArray[np.floating], exam: NDArray[np.int64], *, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Return how far two halves of an exam are apart, as if each had all of its views.

    The views that look most alike are parted, one to each half, so that both halves show the same
    arteries from like angles.

    Parameters
    ----------
    videos : array of shape (videos, dim)
        L2-normalised.
    exam : int64 array of shape (videos,)
    seed : int
        Of which of two like views goes to which half.

    Returns
    -------
    tuple of arrays of shape (exams with `FEWEST_VIEWS` views or more,)
        1 − cosine of the mean directions, and the exam.

    Notes
    -----
    The squared distance of two means of views grows with 1/n + 1/m: between halves of n/2 views it
    is twice that of two exams of n views.  That is put right here.
    """
    rng = np.random.default_rng(seed)
    found, exams = [], []
    for number in np.unique(exam):
        rows = np.flatnonzero(exam == number)
        if len(rows) < FEWEST_VIEWS:
            continue
        one, other = _parted(np.asarray(videos[rows], np.float64), rng)
        halves = [rows[each] for each in (one, other)]
        apart = change_of(*(videos[each].mean(axis=0, keepdims=True) for each in halves))[0]
        found.append(apart * (2 / len(rows)) / (1 / len(one) + 1 / len(other)))
        exams.append(number)
    return np.array(found), np.array(exams, np.int64)


def _parted(views: Floats, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Part views into two halves, pair by pair, the most similar pair first."""
    alike = views @ views.T
    np.fill_diagonal(alike, -np.inf)
    halves: tuple[list[int], list[int]] = ([], [])
    left = list(range(len(views)))
    while len(left) > 1:
        among = alike[np.ix_(left, left)]
        pair = [left[i] for i in np.unravel_index(int(among.argmax()), among.shape)]
        for half, view in zip(halves, rng.permutation(pair).tolist(), strict=True):
            half.append(view)
        left = [each for each in left if each not in pair]
    # Of an odd number the last view would weigh one half more than the other.
    return halves


def _unit(rows: NDArray[np.floating]) -> Floats:
    values = np.asarray(rows, np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))
