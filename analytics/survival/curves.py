"""Step functions of time, and the counts at every end of a follow-up that they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytics.survival.times import Times
from core.errors import UsageError

Floats = NDArray[np.floating[Any]]
Of = Literal["event", "competing", "neither"]
"""Which ends are counted; "neither" asks for the probability that nothing has happened."""


@final
@dataclass(frozen=True, eq=False)
class Curve:
    """A step function of time with pointwise intervals.

    Attributes
    ----------
    time : float64 array of shape (steps,)
        Distinct times at which somebody's follow-up ended, ascending.
    estimate, se, lower, upper : float64 arrays of shape (steps,)
        From each of them on; before the first the estimate is `start` without any doubt.
    at_risk, events : int64 arrays of shape (steps,)
        Followed just before each time, and events then.
    start : float
        1 for survival, 0 for incidence.
    """

    time: Floats
    estimate: Floats
    se: Floats
    lower: Floats
    upper: Floats
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]
    start: float

    def at(self, times: ArrayLike) -> Floats:
        """Return estimate, se, lower and upper at some times, float64 (times, 4).

        Beyond the last time it stays as it is.
        """
        step = np.searchsorted(self.time, np.asarray(times, np.float64), side="right")
        columns = [(self.estimate, self.start), (self.se, 0.0)]
        columns += [(self.lower, self.start), (self.upper, self.start)]
        return np.stack([np.append(first, each)[step] for each, first in columns], axis=-1)

    def left(self, times: ArrayLike) -> NDArray[np.int64]:
        """Return how many are followed until just before some times, int64 (times,)."""
        step = np.searchsorted(self.time, np.asarray(times, np.float64), side="left")
        return np.append(self.at_risk, 0)[step]


@dataclass(frozen=True, eq=False)
class Ends:
    """Who is followed and what happens at each distinct time at which a follow-up ends.

    Attributes
    ----------
    time : float64 array of shape (steps,)
        Ascending.
    at_risk : array of shape (steps,)
        Followed just before; int64, or float64 where subjects have weights.
    events, competing : arrays of shape (steps,)
        Likewise.
    """

    time: Floats
    at_risk: NDArray[Any]
    events: NDArray[Any]
    competing: NDArray[Any]

    def counted(self, of: Of) -> NDArray[Any]:
        """Return the ends that a curve counts; for "neither" all that are no censoring."""
        counts = {"event": self.events, "competing": self.competing}
        return counts[of] if of in counts else self.events + self.competing


def tabulate(times: Times, weights: Floats | None = None) -> Ends:
    """Count ends by time.

    Parameters
    ----------
    times : Times
    weights : float array of shape (subjects,), optional
        What each subject counts; one each by default.

    Raises
    ------
    UsageError
        There is nobody, or a weight is not positive.
    """
    if not len(times):
        raise UsageError("a curve of nobody", "choose a cohort with members")
    if weights is not None and (
        weights.shape != times.time.shape or not np.isfinite(weights).all() or (weights <= 0).any()
    ):
        raise UsageError(
            f"weights of shape {weights.shape} for {len(times)} subjects: expected one positive "
            "number for each",
            "leave out subjects without any weight",
        )
    distinct, step = np.unique(times.time, return_inverse=True)

    def counted(chosen: NDArray[np.bool_]) -> NDArray[Any]:
        own = None if weights is None else weights[chosen]
        return np.bincount(step[chosen], own, minlength=len(distinct))

    at_risk = counted(np.ones(len(times), bool))[::-1].cumsum()[::-1]
    return Ends(distinct, at_risk, counted(times.event), counted(times.competing))
