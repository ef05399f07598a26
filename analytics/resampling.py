"""Intervals by drawing patients again, with replacement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.int64]
Statistic = Callable[[Rows], NDArray[np.floating]]


def bootstrap(
    statistic: Statistic, patient: ArrayLike, *, repeats: int, seed: int
) -> NDArray[np.float64]:
    """Return a statistic of `repeats` samples of patients.

    Parameters
    ----------
    statistic : callable
        From rows to an array of shape (statistics,); NaN where a sample does not allow one.
    patient : array of shape (rows,)
        All rows of a patient are drawn together.
    repeats : int
    seed : int

    Returns
    -------
    float64 array of shape (repeats, statistics)
    """
    number = np.unique(np.asarray(patient), return_inverse=True)[1]
    order = np.argsort(number, kind="stable")
    count = int(number.max()) + 1
    starts = np.searchsorted(number[order], np.arange(count + 1))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(repeats):
        drawn = rng.integers(0, count, count)
        rows = [order[starts[i] : starts[i + 1]] for i in drawn]
        found.append(statistic(np.concatenate(rows)))
    return np.asarray(found, np.float64)


def percentile_interval(
    samples: NDArray[np.floating], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper limit of each statistic, by percentiles of its samples."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(samples, [tail, 1 - tail], axis=0)
    return low, high
