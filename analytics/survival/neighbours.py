"""What became of the most similar subjects: weights by similarity, and the incidence they give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.curves import Curve, Floats
from analytics.survival.times import Times
from core.errors import UsageError

_SAME: Final = 1e-6
"""Cosines of float32 vectors that differ by less are the same."""
_ROUNDING: Final = 1e-9
"""Incidences as near to 0 or 1 are these."""


@final
@dataclass(frozen=True, eq=False)
class Neighbours:
    """The subjects that count for one who is asked about.

    Attributes
    ----------
    rows : int64 array of shape (neighbours,)
        Of the subjects that there were, the most similar first.
    similarity : float64 array of shape (neighbours,)
        Cosine, −1 to 1.
    weight : float64 array of shape (neighbours,)
        Positive; they sum to 1.
    edge : float
        Similarity of the most similar subject that does not count: the bandwidth of the kernel.
    """

    rows: NDArray[np.int64]
    similarity: Floats
    weight: Floats
    edge: float

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def effective(self) -> float:
        """How many equally weighted subjects would tell as much, see `effective_size`."""
        return effective_size(self.weight)


def nearest(similarity: ArrayLike, k: int) -> Neighbours:
    """Weigh the k most similar subjects.

    Parameters
    ----------
    similarity : array of shape (subjects,)
        Cosines with who is asked about; one row a patient, and none of that patient.
    k : int
        Fewer than there are subjects.

    Returns
    -------
    Neighbours
        Fewer than k where some are as similar as the first that does not count.

    Raises
    ------
    UsageError
        There are not more than k subjects.

    Notes
    -----
    The weight is what the similarity exceeds that of the (k+1)-th by.  That is Epanechnikov's
    kernel of the distance on the sphere, with the distance to the (k+1)-th as its bandwidth:
    the square of that distance is 2 − 2 cosine.

    References
    ----------
    Nearest-neighbour bandwidths in conditional survival: Beran, Nonparametric regression with
    randomly censored survival data, Technical report, Berkeley 1981.
    """
    cosine = np.asarray(similarity, np.float64)
    if not 0 < k < len(cosine):
        raise UsageError(
            f"{k} neighbours of {len(cosine)} patients: expected at least 1, and fewer than all",
            "ask for fewer neighbours, or choose a larger cohort",
        )
    order = np.argsort(-cosine, kind="stable")[: k + 1]
    weight = excess(cosine[order][None])[0]
    counts = weight > 0
    rows, weight = order[:-1][counts], weight[counts]
    return Neighbours(rows, cosine[rows], weight / weight.sum(), float(cosine[order[-1]]))


def excess(similarity: Floats) -> Floats:
    """Return by how much similarities exceed the last of each row, float64 (rows, columns - 1).

    Parameters
    ----------
    similarity : array of shape (rows, columns)
        Descending.  A row of one value throughout weighs all alike.
    """
    above = similarity[:, :-1] - similarity[:, -1:]
    return np.where(above[:, :1] > _SAME, above, 1.0)


def effective_size(weight: Floats) -> float:
    """Return how many equally weighted subjects have as small a variance of their mean.

    References
    ----------
    Kish, Survey Sampling, 1965, 11.7.
    """
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def conditional_incidence(times: Times, weight: Floats, *, level: float = 0.95) -> Curve:
    """Estimate the cumulative incidence of the event among weighted neighbours.

    Without competing events this is one minus Beran's conditional Kaplan-Meier estimate; with
    them it is Aalen and Johansen's with the same weights.

    Parameters
    ----------
    times, weight
        Of the neighbours; weights are positive.
    level : float
        Coverage of the interval.

    Returns
    -------
    Curve
        From time 0 on: that nothing has happened yet is not beyond doubt.  The interval is of the
        weighted mean of the neighbours' incidences; how far that is from the incidence of who is
        asked about, it does not know.

    Notes
    -----
    Wilson's interval at the effective sample size F (1 − F) / se² of Dorey and Korn, with the
    standard error of the infinitesimal jackknife, but at no more than the effective size of the
    weights: with few events the standard error is too small as often as the estimate is.  Until
    the first event the size is that of the weights of those who are still followed, and where
    everybody had the event it is the last one before.

    References
    ----------
    Beran, 1981; Dabrowska, Ann Stat 1989;17:1157.  Dorey and Korn, Stat Med 1987;6:679.  Korn and
    Graubard, Survey Methodology 1998;24:193.
    """
    curve = _from_the_start(aalen_johansen(times, weights=weight), len(times))
    p = curve.estimate.clip(0, 1)
    none, all_ = p < _ROUNDING, p > 1 - _ROUNDING
    size = effective_left(times, weight, curve)
    inside = ~none & ~all_
    spread = p[inside] * (1 - p[inside]) / curve.se[inside] ** 2
    size[inside] = np.minimum(spread, effective_size(weight))
    if inside.any():
        size[all_] = size[inside][-1]
    lower, upper = _wilson(np.where(none, 0.0, np.where(all_, 1.0, p)), size, level)
    return replace(curve, estimate=p, lower=lower, upper=upper)


def _from_the_start(curve: Curve, count: int) -> Curve:
    return Curve(
        np.append(0.0, curve.time),
        np.append(0.0, curve.estimate),
        np.append(0.0, curve.se),
        np.append(0.0, curve.lower),
        np.append(0.0, curve.upper),
        np.append(count, curve.at_risk),
        np.append(0, curve.events),
        curve.start,
    )


def effective_left(times: Times, weight: Floats, curve: Curve) -> Floats:
    """Return the effective size of those followed until just before each time of a curve."""
    step = np.searchsorted(curve.time, times.time)
    total, squares = (
        np.bincount(step, each, minlength=len(curve.time))[::-1].cumsum()[::-1]
        for each in (weight, weight**2)
    )
    found: Floats = total**2 / squares
    return found


def _wilson(p: Floats, n: Floats, level: float) -> tuple[Floats, Floats]:
    z2 = float(stats.norm.ppf(0.5 + level / 2)) ** 2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # At 0 and 1 the limits are these, but for a rounding.
    lower, upper = np.where(p > 0, middle - half, 0.0), np.where(p < 1, middle + half, 1.0)
    return lower.clip(0), upper.clip(max=1)
