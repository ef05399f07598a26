"""Weights by the inverse probability of not being censored: those who are seen stand for all."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from analytics.survival.curves import Floats
from analytics.survival.times import Times
from core.errors import UsageError


def censoring_free(times: Times, at: ArrayLike, *, before: bool = False) -> Floats:
    """Return the probability of not being censored until times, by Kaplan and Meier.

    Parameters
    ----------
    times : Times
        Ends by an event, of either kind, are what hides the censoring here.
    at : array of shape (times,)
    before : bool
        Just before each time rather than just after.
    """
    distinct, step = np.unique(times.time, return_inverse=True)
    ended = np.bincount(step, minlength=len(distinct)).astype(np.float64)
    happened = np.bincount(step[times.state > 0], minlength=len(distinct))
    # Who has an event at a time is not at risk of being censored then.
    at_risk = ended[::-1].cumsum()[::-1] - happened
    with np.errstate(divide="ignore", invalid="ignore"):
        free = np.cumprod(np.where(at_risk > 0, 1 - (ended - happened) / at_risk, 1.0))
    side: Literal["left", "right"] = "left" if before else "right"
    return np.append(1.0, free)[np.searchsorted(distinct, np.asarray(at, np.float64), side=side)]


def weights_at(times: Times, horizon: float, *, censoring: Times | None = None) -> Floats:
    """Return what each subject counts when asked what has happened until a horizon.

    Parameters
    ----------
    times : Times
    horizon : float
    censoring : Times, optional
        Subjects that the censoring is estimated from, such as the training side; `times` by
        default.

    Returns
    -------
    float64 array of shape (subjects,)
        0 for who was censored before: nobody knows what happened to them.

    Raises
    ------
    UsageError
        Nobody is followed until the horizon.

    References
    ----------
    Graf et al., Stat Med 1999;18:2529.
    """
    source = times if censoring is None else censoring
    ended = (times.time <= horizon) & (times.state > 0)
    free = censoring_free(source, np.minimum(times.time, horizon), before=True)
    at_horizon = censoring_free(source, [horizon])[0]
    free = np.where(ended, free, at_horizon)
    known = ended | (times.time > horizon)
    if at_horizon <= 0 or (free[known] <= 0).any():
        raise UsageError(f"nobody is followed until {horizon:g}", "choose an earlier horizon")
    return np.where(known, 1 / np.where(known, free, 1.0), 0.0)
