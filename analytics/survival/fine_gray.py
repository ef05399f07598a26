"""Fine and Gray's model: what covariates do to the cumulative incidence of an event.

A subject that had a competing event stays in the risk set, with the probability that it would still
be followed: the coefficients then say who will have the event, not how fast those who still can
have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analytics.survival.cox import (
    checked_covariates,
    coefficient_table,
    robust_covariance,
)
from analytics.survival.curves import Floats
from analytics.survival.ipcw import censoring_free
from analytics.survival.risk_sets import cumulated
from analytics.survival.times import Times
from core.errors import UsageError

_STEPS: Final = 50
_CLOSE: Final = 1e-8


@final
@dataclass(frozen=True, eq=False)
class FineGrayFit:
    """A fitted model of the subdistribution hazard.

    Attributes
    ----------
    table : DataFrame
        One row a covariate: coef, hr (of the subdistribution), se, z, p, hr_lower, hr_upper (95 %).
    covariance : float64 array of shape (covariates, covariates)
        Robust, by subject or by cluster.
    time, hazard : float64 arrays of shape (event times,)
        Increments of the baseline subdistribution hazard, of covariates of zero.
    """

    table: pd.DataFrame
    covariance: Floats
    time: Floats
    hazard: Floats

    def incidence(self, x: pd.DataFrame, at: ArrayLike) -> Floats:
        """Return predicted cumulative incidences, float64 (rows of x, times)."""
        step = np.searchsorted(self.time, np.asarray(at, np.float64), side="right")
        baseline = np.append(0.0, self.hazard.cumsum())[step]
        beta = self.table["coef"].to_numpy(np.float64)
        relative = np.exp(x[list(self.table.index)].to_numpy(np.float64) @ beta)
        return np.asarray(1 - np.exp(-relative[:, None] * baseline), np.float64)


def fit_fine_gray(
    times: Times, x: pd.DataFrame, *, cluster: ArrayLike | None = None
) -> FineGrayFit:
    """Fit the model; ties are Breslow's.

    Parameters
    ----------
    times : Times
        Without competing events this is Cox's model.
    x : DataFrame of shape (subjects, covariates)
        Numbers without gaps.
    cluster : array of shape (subjects,), optional
        Rows that belong together.

    Raises
    ------
    UsageError
        A covariate has a gap or does not vary, there are too few events, or the fit does not
        converge.

    References
    ----------
    Fine and Gray, JASA 1999;94:496.  Geskus, Biometrics 2011;67:39, for the weights.
    """
    values = checked_covariates(times, x)
    beta = np.zeros(values.shape[1])
    sums = _Sums(times, values)
    likelihood = sums.log_likelihood(beta)
    for _ in range(_STEPS):
        score, information = sums.derivatives(beta)
        step = np.linalg.solve(information, score)
        while (ahead := sums.log_likelihood(beta + step)) < likelihood - _CLOSE:
            step = step / 2
        beta, gained, likelihood = beta + step, ahead - likelihood, ahead
        if gained < _CLOSE and np.abs(step * np.sqrt(np.diag(information))).max() < _CLOSE:
            break
    else:
        raise UsageError(
            "the Fine-Gray model does not converge",
            "a covariate may separate who has the event from who has not: leave it out",
        )
    influence = sums.residuals(beta) @ np.linalg.inv(sums.derivatives(beta)[1])
    covariance = robust_covariance(influence, cluster)
    time, hazard = sums.baseline(beta)
    return FineGrayFit(
        coefficient_table(list(x.columns), beta, covariance), covariance, time, hazard
    )


class _Sums:
    """Sums over risk sets in which competing events linger, at each distinct event time."""

    def __init__(self, times: Times, x: Floats) -> None:
        self._times, self._x = times, x
        self.time, self._deaths = np.unique(times.time[times.event], return_counts=True)
        self._at_event = np.searchsorted(self.time, times.time)  # first event time not before
        self._free = censoring_free(times, self.time, before=True)
        own = censoring_free(times, times.time, before=True)
        # What a competing event counts from then on, as a share of the later probabilities.
        self._lingers = np.where(times.competing, 1 / np.where(own > 0, own, 1.0), 0.0)
        # Event times until which a subject counts whole: those up to its own end.
        self._until = np.searchsorted(self.time, times.time, side="right")

    def _over_risk_set(self, each: Floats) -> Floats:
        """Return, by event time, the sum of rows (subjects, ...) over the risk set."""
        k = len(self.time)
        shape = (k + 1, *each.shape[1:])
        whole, lingering = np.zeros(shape), np.zeros(shape)
        np.add.at(whole, self._until, each)
        spread = self._lingers.reshape(-1, *[1] * (each.ndim - 1))
        np.add.at(lingering, self._until, each * spread)
        followed = whole[::-1].cumsum(axis=0)[::-1][1:]
        left = lingering.cumsum(axis=0)[:k] * self._free.reshape(-1, *[1] * (each.ndim - 1))
        return np.asarray(followed + left, np.float64)

    def _moments(self, beta: Floats) -> tuple[Floats, Floats, Floats]:
        weight = np.exp(self._x @ beta)
        return weight, self._over_risk_set(weight), self._over_risk_set(weight[:, None] * self._x)

    def log_likelihood(self, beta: Floats) -> float:
        """Return the log partial likelihood."""
        total = self._moments(beta)[1]
        reached = (self._x[self._times.event] @ beta).sum()
        return float(reached - self._deaths @ np.log(total))

    def derivatives(self, beta: Floats) -> tuple[Floats, Floats]:
        """Return the score and the information."""
        weight, total, first = self._moments(beta)
        second = self._over_risk_set(weight[:, None, None] * self._x[:, :, None] * self._x[:, None])
        mean = first / total[:, None]
        spread = second / total[:, None, None] - mean[:, :, None] * mean[:, None]
        event = self._times.event
        score = self._x[event].sum(axis=0) - self._deaths @ mean
        return score, np.einsum("k,kij->ij", self._deaths, spread)

    def baseline(self, beta: Floats) -> tuple[Floats, Floats]:
        """Return event times and the baseline hazard at each."""
        return self.time, self._deaths / self._moments(beta)[1]

    def residuals(self, beta: Floats) -> Floats:
        """Return the score of each subject, float64 (subjects, covariates)."""
        weight, total, first = self._moments(beta)
        mean, hazard = first / total[:, None], self._deaths / total
        whole = cumulated(hazard)[self._until], cumulated(hazard[:, None] * mean)[self._until]
        fading = hazard * self._free
        after = [
            (sums[-1] - sums)[self._until]
            for sums in (cumulated(fading), cumulated(fading[:, None] * mean))
        ]
        exposed = whole[0] + self._lingers * after[0]
        pulled = whole[1] + self._lingers[:, None] * after[1]
        found = -weight[:, None] * (exposed[:, None] * self._x - pulled)
        event = self._times.event
        found[event] += self._x[event] - mean[self._at_event[event]]
        return np.asarray(found, np.float64)
