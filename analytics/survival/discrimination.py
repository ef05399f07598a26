"""Whether higher predicted risks had the event earlier: concordance and AUC over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analytics.survival.curves import Floats
from analytics.survival.ipcw import censoring_free, weights_at
from analytics.survival.times import Times
from core.errors import UsageError


@dataclass(frozen=True)
class Concordance:
    """Probability that of two comparable subjects the one with the higher risk had the event first.

    Attributes
    ----------
    c : float
        0.5 is chance, 1 perfect; below 0.5 the direction is wrong.
    se : float
        Of the infinitesimal jackknife over subjects.
    """

    c: float
    se: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the limits, symmetric for the log odds so that they stay between 0 and 1."""
        if not 0 < self.c < 1:
            return self.c, self.c
        z = float(stats.norm.ppf(0.5 + level / 2))
        spread = np.exp(z * self.se / (self.c * (1 - self.c)))
        odds = self.c / (1 - self.c)
        low, high = odds / spread, odds * spread
        return float(low / (1 + low)), float(high / (1 + high))


_ROWS: Final = 512


def harrell(
    times: Times,
    risk: ArrayLike,
    *,
    stratum: NDArray[np.int64] | None = None,
    cluster: ArrayLike | None = None,
) -> Concordance:
    """Return Harrell's C.

    Parameters
    ----------
    times : Times
        Competing events count as censored.
    risk : array of shape (subjects,)
        Higher means an earlier event.  Never a survival probability.
    stratum : int64 array of shape (subjects,), optional
        Only subjects of one stratum are compared, such as those that one model predicted.
    cluster : array of shape (subjects,), optional
        Rows that belong together, such as exams of one patient, for the standard error.

    Returns
    -------
    Concordance
        Equal risks count a half.

    Raises
    ------
    UsageError
        No two subjects are comparable.

    References
    ----------
    Harrell et al., Stat Med 1996;15:361.  Therneau and Atkinson, Concordance, vignette of R's
    survival.
    """
    return _weighted(times, np.asarray(risk, np.float64), np.ones(len(times)), stratum, cluster)


def uno(
    times: Times,
    risk: ArrayLike,
    *,
    until: float,
    censoring: Times | None = None,
    stratum: NDArray[np.int64] | None = None,
    cluster: ArrayLike | None = None,
) -> Concordance:
    """Return Uno's C: Harrell's without its dependence on how long people were followed.

    Parameters
    ----------
    times : Times
    risk : array of shape (subjects,)
        Higher means an earlier event.
    until : float
        Events after this time are not compared.
    censoring : Times, optional
        See `analytics.survival.ipcw.weights_at`.
    stratum, cluster
        As for `harrell`.

    References
    ----------
    Uno et al., Stat Med 2011;30:1105.
    """
    free = censoring_free(times if censoring is None else censoring, times.time, before=True)
    weight = np.where(times.event & (times.time <= until), 1.0, 0.0)
    used = weight > 0
    if (free[used] <= 0).any():
        raise UsageError(
            f"nobody is followed until {times.time[used][free[used] <= 0].min():g}",
            "choose an earlier time",
        )
    weight[used] /= free[used] ** 2
    return _weighted(times, np.asarray(risk, np.float64), weight, stratum, cluster)


def auc(times: Times, risk: ArrayLike, horizon: float, *, censoring: Times | None = None) -> float:
    """Return the cumulative, dynamic AUC at a horizon.

    Parameters
    ----------
    times : Times
    risk : array of shape (subjects,)
        Higher means that the event is more likely until the horizon.
    horizon : float
    censoring : Times, optional
        See `analytics.survival.ipcw.weights_at`.

    Returns
    -------
    float
        Probability that who has the event until then has a higher risk than who has not, be it that
        nothing happened or a competing event.  Equal risks count a half.

    Raises
    ------
    UsageError
        Until then everybody or nobody had the event, or nobody is followed for so long.

    References
    ----------
    Blanche, Dartigues and Jacqmin-Gadda, Stat Med 2013;32:5381.
    """
    values = np.asarray(risk, np.float64)
    weight = weights_at(times, horizon, censoring=censoring)
    case = times.event & (times.time <= horizon) & (weight > 0)
    control = ~case & (weight > 0)
    if not case.any() or not control.any():
        raise UsageError(
            f"until {horizon:g} everybody or nobody had the event", "choose another horizon"
        )
    order = np.argsort(values[control], kind="stable")
    sorted_, mass = values[control][order], np.append(0.0, weight[control][order].cumsum())
    below, upto = (np.searchsorted(sorted_, values[case], side=s) for s in ("left", "right"))
    ahead = (mass[below] + mass[upto]) / 2 / mass[-1]
    return float(weight[case] @ ahead / weight[case].sum())


def _weighted(
    times: Times,
    risk: Floats,
    weight: Floats,
    stratum: NDArray[np.int64] | None,
    cluster: ArrayLike | None,
) -> Concordance:
    """Compare each event with everybody followed for longer, `weight` being that of the event."""
    n, time = len(times), times.time
    if not np.isfinite(risk).all() or risk.shape != (n,):
        raise UsageError(f"risks of shape {risk.shape} for {n} subjects, or not finite", "one each")
    # A matrix product may give equal rows results that differ in the last digit.
    risk = np.round(risk / max(np.abs(risk).max(), 1e-300), 12)
    events = np.flatnonzero(times.event & (weight > 0))
    right, all_ = np.zeros(n), np.zeros(n)
    for first in range(0, len(events), _ROWS):
        rows = events[first : first + _ROWS]
        # Who is censored at the time of an event was followed for longer than it.
        longer = (time > time[rows, None]) | ((time == time[rows, None]) & ~times.event)
        if stratum is not None:
            longer &= stratum == stratum[rows, None]
        pairs = weight[rows, None] * longer
        ahead = np.sign(risk[rows, None] - risk) / 2 + 0.5
        scored = pairs * ahead
        for total, each in ((right, scored), (all_, pairs)):
            total[rows] += each.sum(axis=1)
            total += each.sum(axis=0)
    both = all_.sum() / 2
    if both == 0:
        raise UsageError("no two subjects can be compared", "there is no event before another end")
    c = right.sum() / 2 / both
    influence = (right - c * all_) / both
    if cluster is not None:
        influence = np.bincount(np.unique(np.asarray(cluster), return_inverse=True)[1], influence)
    return Concordance(float(c), float(np.sqrt((influence**2).sum())))
