"""Every member of a cohort asked about as if new: how many neighbours, and how near is near."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.survival.calibration import brier
from analytics.survival.curves import Floats
from analytics.survival.neighbours import excess
from analytics.survival.times import EVENT, Times
from core.errors import UsageError

GRID: Final = (50, 100, 200, 400, 800, 1600)
"""Numbers of neighbours that are tried."""
LARGEST_SHARE: Final = 0.25
"""Of the cohort: more neighbours than that are not like anybody."""
LONELIEST: Final = 0.01
"""The share of the cohort's own members that would be told to be far from all."""
_ASKED: Final = 2000
"""Members that are left out in turn; of a larger cohort, drawn by the seed."""
_CELLS: Final = 2**23
"""Of a table of cosines that are in memory at once."""


@final
@dataclass(frozen=True, eq=False)
class Tuned:
    """How a cohort is asked.

    Attributes
    ----------
    k : int
        Neighbours that count.
    limit : float
        A cosine: of the cohort's own members, 99 in 100 have a k-th neighbour that is more similar.
    scores : DataFrame
        k, brier (mean over the horizons, lower is better) of each number that was tried.
    asked : int
        Members that were left out in turn.
    """

    k: int
    limit: float
    scores: pd.DataFrame
    asked: int


def tune(
    vectors: NDArray[np.floating],
    times: Times,
    horizons: Sequence[float],
    *,
    k: int | None = None,
    seed: int = 0,
) -> Tuned:
    """Leave members out in turn, and predict each from its neighbours among the others.

    Parameters
    ----------
    vectors : array of shape (patients, dim)
        L2-normalised; one row a patient.
    times : Times
        Of the same patients.
    horizons : sequence of float
        That the cohort's follow-up supports.
    k : int, optional
        Not chosen, but given.
    seed : int
        Of the draw of members, where there are more than 2,000.

    Returns
    -------
    Tuned
        With the number of neighbours of the lowest Brier score, weighted by the inverse
        probability of not being censored; of equal scores the smaller number.

    Raises
    ------
    UsageError
        There are too few patients.
    """
    grid = [k] if k is not None else [each for each in GRID if each <= LARGEST_SHARE * len(times)]
    if not grid or max(grid) > len(times) - 2:
        least = int(GRID[0] / LARGEST_SHARE) if k is None else k + 2
        raise UsageError(
            f"{len(times):,} patients can be compared with: expected at least {least:,}",
            "choose a larger cohort" + ("" if k is None else ", or fewer neighbours"),
        )
    rows = np.arange(len(times))
    if len(rows) > _ASKED:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), _ASKED, replace=False))
    at = np.asarray(horizons, np.float64)
    risks, nearness = [], []
    for others, cosine in _left_out(vectors, rows, max(grid) + 1):
        risks.append([incidences(times, others, cosine, each, at) for each in grid])
        nearness.append(cosine[:, [each - 1 for each in grid]])
    risk, reached = np.concatenate(risks, axis=1), np.concatenate(nearness)
    brier_of = [
        np.mean([brier(times[rows], said[:, i], h, censoring=times) for i, h in enumerate(at)])
        for said in risk
    ]
    best = int(np.argmin(brier_of))
    limit = float(np.quantile(reached[:, best], LONELIEST))
    return Tuned(grid[best], limit, pd.DataFrame({"k": grid, "brier": brier_of}), len(rows))


def incidences(
    times: Times,
    others: NDArray[np.int64],
    cosine: Floats,
    k: int,
    horizons: Floats,
) -> Floats:
    """Return the conditional incidence of many who are asked about, float64 (asked, horizons).

    The same as `neighbours.conditional_incidence` without its intervals, for all at once.

    Parameters
    ----------
    times : Times
    others : int64 array of shape (asked, neighbours)
        Rows of `times`, the most similar first.
    cosine : array of shape (asked, neighbours)
        Descending.
    k : int
        Neighbours that count, fewer than there are.
    horizons : array of shape (horizons,)
    """
    # One after the other at tied times comes to the same, if those who are censored come last.
    known = np.lexsort((times.state == 0, times.time)).argsort()
    order = known[others[:, :k]].argsort(axis=1)
    rows = np.take_along_axis(others[:, :k], order, axis=1)
    weight = np.take_along_axis(excess(cosine[:, : k + 1]), order, axis=1)
    time, state = times.time[rows], times.state[rows]
    left = weight[:, ::-1].cumsum(axis=1)[:, ::-1]
    share = np.divide(weight, left, out=np.zeros_like(weight), where=weight > 0)
    survived = np.cumprod(np.where(state > 0, 1 - share, 1.0), axis=1)
    before = np.concatenate([np.ones((len(rows), 1)), survived[:, :-1]], axis=1)
    steps = np.where(state == EVENT, before * share, 0.0)
    found = [np.where(time <= h, steps, 0.0).sum(axis=1) for h in horizons]
    return np.stack(found, axis=1).clip(0, 1)


def _left_out(
    vectors: NDArray[np.floating], rows: NDArray[np.int64], count: int
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield, for some rows at a time, the most similar other rows and their cosines."""
    unit = np.asarray(vectors, np.float32)
    size = max(1, _CELLS // len(unit))
    for first in range(0, len(rows), size):
        block = rows[first : first + size]
        cosine = unit[block] @ unit.T
        cosine[np.arange(len(block)), block] = -np.inf
        near = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        value = np.take_along_axis(cosine, near, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        yield (
            np.take_along_axis(near, order, axis=1),
            np.take_along_axis(value, order, axis=1).astype(np.float64),
        )
