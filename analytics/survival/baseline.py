"""From relative hazards to absolute risks, with competing events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike

from analytics.survival.curves import Floats, tabulate
from analytics.survival.times import Times

_BLOCK: Final = 2**22


def partial_likelihoods(times: Times, scores: Floats) -> Floats:
    """Return Cox's log partial likelihood (Breslow's ties) of several scores at once.

    Parameters
    ----------
    times : Times
        Competing events count as censored.
    scores : array of shape (subjects, scores)
        Log relative hazards.

    Returns
    -------
    float64 array of shape (scores,)
    """
    latest_first = np.argsort(-times.time, kind="stable")
    time, event = times.time[latest_first], times.event[latest_first]
    ordered = scores[latest_first]
    top = ordered.max(axis=0)
    at_risk = np.cumsum(np.exp(ordered - top), axis=0)
    last = np.searchsorted(-time, -time[event], side="right") - 1
    return np.asarray((ordered[event] - top - np.log(at_risk[last])).sum(axis=0), np.float64)


@final
@dataclass(frozen=True, eq=False)
class Baseline:
    """Baseline hazards of the event and of what competes with it.

    Attributes
    ----------
    time : float64 array of shape (steps,)
        Ascending.
    event, competing : float64 arrays of shape (steps,)
        Increments of the cumulative hazards: Breslow's at a score of zero, and Nelson and Aalen's
        of everybody, since the scores say nothing of it.
    """

    time: Floats
    event: Floats
    competing: Floats

    def risks(self, scores: ArrayLike, horizons: ArrayLike) -> Floats:
        """Return probabilities of the event until horizons, float64 (subjects, horizons).

        Parameters
        ----------
        scores : array of shape (subjects,)
            Log relative hazards, on the scale of those that the baseline was made with.
        horizons : array of shape (horizons,)
        """
        step = np.searchsorted(self.time, np.asarray(horizons, np.float64), side="right")
        used = int(step.max(initial=0))
        other = np.append(0.0, self.competing[:used].cumsum()[:-1]) if used else np.zeros(0)
        relative = np.exp(np.asarray(scores, np.float64))
        out = np.zeros((len(relative), len(step)))
        block = max(1, _BLOCK // max(used, 1))
        for first in range(0, len(relative), block):
            some = slice(first, first + block)
            own = relative[some, None] * self.event[:used]
            before = np.cumsum(own, axis=1) - own + other
            # What happens in a step, of those to whom nothing has happened: at most all of them.
            happens = np.exp(-before) * -np.expm1(-own)
            cumulated = np.concatenate([np.zeros((len(own), 1)), happens.cumsum(axis=1)], axis=1)
            out[some] = cumulated[:, step]
        return out.clip(0, 1)


def baseline(times: Times, scores: ArrayLike) -> Baseline:
    """Return the baseline hazards of subjects with scores.

    Parameters
    ----------
    times : Times
    scores : array of shape (subjects,)
        Log relative hazards.
    """
    ends = tabulate(times)
    step = np.searchsorted(ends.time, times.time)
    weight = np.bincount(step, np.exp(np.asarray(scores, np.float64)), minlength=len(ends.time))
    total = weight[::-1].cumsum()[::-1]
    return Baseline(ends.time, ends.events / total, ends.competing / ends.at_risk)
