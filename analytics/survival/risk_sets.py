"""Moments of covariates over those at risk: Cox's score, information and hazard are their sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analytics.survival.curves import Floats
from analytics.survival.times import Times

Ties = Literal["efron", "breslow"]


@dataclass(frozen=True, eq=False)
class RiskSets:
    """One row an event, by stratum and time.

    Efron's way with ties: of d events at one time, the j-th is drawn from a risk set in which all d
    count (d - j) / d, j from 0.  Breslow's: all of them count whole.

    Attributes
    ----------
    time : float64 array of shape (events,)
    stratum : int64 array of shape (events,)
    x : float64 array of shape (events, covariates)
        Covariates of the subject that had the event.
    gone : float64 array of shape (events,)
        j / d: which share of the tied subjects the risk set no longer holds.
    total : float64 array of shape (events,)
        Sum of exp(x beta) over the risk set.
    mean : float64 array of shape (events, covariates)
        Their weighted mean over the risk set.
    covariance : float64 array of shape (events, covariates, covariates)
    """

    time: Floats
    stratum: NDArray[np.int64]
    x: Floats
    gone: Floats
    total: Floats
    mean: Floats
    covariance: Floats

    def log_likelihood(self, beta: Floats) -> float:
        """Return the log partial likelihood; `beta` is what the sets were made with."""
        return float((self.x @ beta - np.log(self.total)).sum())

    def score(self) -> Floats:
        """Return the derivative of the log partial likelihood, float64 (covariates,)."""
        return np.asarray((self.x - self.mean).sum(axis=0), np.float64)

    def information(self) -> Floats:
        """Return minus its second derivative, float64 (covariates, covariates)."""
        return np.asarray(self.covariance.sum(axis=0), np.float64)


def risk_sets(
    times: Times, x: Floats, beta: Floats, *, stratum: NDArray[np.int64], ties: Ties = "efron"
) -> RiskSets:
    """Return the risk sets of all events.

    Parameters
    ----------
    times : Times
        Competing events count as censored.
    x : float64 array of shape (subjects, covariates)
    beta : float64 array of shape (covariates,)
    stratum : int64 array of shape (subjects,)
        Those of one stratum are at risk together.
    ties : {"efron", "breslow"}
    """
    parts = [
        _of_stratum(times[stratum == each], x[stratum == each], beta, int(each), ties)
        for each in np.unique(stratum)
    ]
    return RiskSets(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _of_stratum(
    times: Times, x: Floats, beta: Floats, stratum: int, ties: Ties
) -> tuple[NDArray[np.int64] | Floats, ...]:
    latest_first = np.argsort(-times.time, kind="stable")
    time, event, x = times.time[latest_first], times.event[latest_first], x[latest_first]
    weight = np.exp(x @ beta)
    first = weight[:, None] * x
    second = first[:, :, None] * x[:, None]
    # Summed from the latest on, a row's sums are over all that are followed until then ...
    sums = [np.cumsum(each, axis=0) for each in (weight, first, second)]
    # ... once those who end at the same time are in.
    last = np.searchsorted(-time, -time[event], side="right") - 1
    of_all = [each[last] for each in sums]
    at, of_time, count = np.unique(-time[event], return_inverse=True, return_counts=True)
    tied = []
    for each in (weight, first, second):
        of_tied = np.zeros((len(at), *each.shape[1:]))
        np.add.at(of_tied, of_time, each[event])
        tied.append(of_tied[of_time])
    place = np.arange(len(of_time)) - np.concatenate([[0], count.cumsum()[:-1]])[of_time]
    gone = place / count[of_time] if ties == "efron" else np.zeros(len(of_time))
    total, s1, s2 = (
        whole - gone.reshape(-1, *[1] * (part.ndim - 1)) * part
        for whole, part in zip(of_all, tied, strict=True)
    )
    mean = s1 / total[:, None]
    covariance = s2 / total[:, None, None] - mean[:, :, None] * mean[:, None]
    rows = (time[event], np.full(len(total), stratum), x[event], gone, total, mean, covariance)
    return tuple(row[::-1] for row in rows)


def score_residuals(
    sets: RiskSets, times: Times, x: Floats, beta: Floats, *, stratum: NDArray[np.int64]
) -> Floats:
    """Return what each subject adds to the score, its share in all risk sets included.

    Parameters
    ----------
    sets : RiskSets
        Of the other arguments.
    times, x, beta, stratum
        As for `risk_sets`.

    Returns
    -------
    float64 array of shape (subjects, covariates)
        Sums to the score.

    References
    ----------
    Lin and Wei, JASA 1989;84:1074.
    """
    found = np.zeros_like(x)
    for each in np.unique(stratum):
        members, rows = np.flatnonzero(stratum == each), sets.stratum == each
        own, mean, gone = x[members], sets.mean[rows], sets.gone[rows]
        hazard = 1 / sets.total[rows]
        whole = [cumulated(hazard), cumulated(hazard[:, None] * mean)]
        tied = [cumulated(hazard * gone), cumulated((hazard * gone)[:, None] * mean)]
        means = cumulated(mean)
        first, last = (
            np.searchsorted(sets.time[rows], times.time[members], side=side)
            for side in ("left", "right")
        )
        event = times.event[members]
        exposed = whole[0][last] - event * (tied[0][last] - tied[0][first])
        pulled = whole[1][last] - event[:, None] * (tied[1][last] - tied[1][first])
        residual = -np.exp(own @ beta)[:, None] * (exposed[:, None] * own - pulled)
        of_events = (means[last] - means[first])[event] / (last - first)[event, None]
        residual[event] += own[event] - of_events
        found[members] = residual
    return found


def cumulated(each: Floats) -> Floats:
    """Return the sums of the first 0, 1, ... rows."""
    return np.concatenate([np.zeros((1, *each.shape[1:])), each.cumsum(axis=0)])
