"""Cumulative incidence with competing events, by Aalen and Johansen, exact under ties."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import stats

from analytics.survival.curves import Curve, Ends, Floats, Of, tabulate
from analytics.survival.times import COMPETING, EVENT, Times

_STATE: Final = {"event": EVENT, "competing": COMPETING}
_BLOCK: Final = 2**22
"""Cells of a table of influences that are in memory at once."""
_ROUNDING: Final = 1e-10
"""A smaller share of what is at risk is nothing."""


def aalen_johansen(
    times: Times, *, weights: Floats | None = None, of: Of = "event", level: float = 0.95
) -> Curve:
    """Estimate cumulative incidence: the probability that the event has happened, and first.

    Parameters
    ----------
    times : Times
    weights : float array of shape (subjects,), optional
        What each subject counts, positive; their scale does not matter.  One each by default.
    of : {"event", "competing", "neither"}
        Whose; "neither" is the probability that nothing has happened yet.
    level : float
        Coverage of the interval, which is symmetric for the logarithm.

    Returns
    -------
    Curve
        The standard error is that of the infinitesimal jackknife: the root of the sum over the
        subjects of their squared influence, each times its weight.  Those at risk and events are
        counted in subjects.

    References
    ----------
    Aalen and Johansen, Scand J Stat 1978;5:141.  Therneau, Crowson and Atkinson, Multi-state models
    and competing risks, vignette of R's survival.
    """
    table = tabulate(times, weights)
    before, happened = _happened(table, of)
    estimate = 1 - happened if of == "neither" else happened
    se = np.sqrt(_squared_influence(times, weights, table, before, of))
    z = float(stats.norm.ppf(0.5 + level / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.exp(z * se / estimate)
        lower, upper = estimate / factor, np.minimum(estimate * factor, 1)
    lower, upper = (np.where(estimate > 0, each, 0.0) for each in (lower, upper))
    start = 1.0 if of == "neither" else 0.0
    heads = table if weights is None else tabulate(times)
    return Curve(table.time, estimate, se, lower, upper, heads.at_risk, heads.counted(of), start)


def incidence(times: Times, at: float) -> float:
    """Return the cumulative incidence of the event at one time, without its standard error.

    Much faster than `aalen_johansen`, for samples that are drawn many times.
    """
    table = tabulate(times)
    step = int(np.searchsorted(table.time, at, side="right"))
    return float(_happened(table, "event")[1][step - 1]) if step else 0.0


def _happened(table: Ends, of: Of) -> tuple[Floats, Floats]:
    """Return the probability that nothing happened before each time, and what did until it."""
    y = table.at_risk.astype(np.float64)
    nothing = np.cumprod(_left(table) / y)
    before = np.append(1.0, nothing[:-1])
    return before, np.cumsum(before * table.counted(of) / y)


def _left(table: Ends) -> Floats:
    """Return what is at risk at each time and has no event of any kind then."""
    y = table.at_risk.astype(np.float64)
    left = y - table.counted("neither")
    # Sums of weights miss nothing by a rounding.
    return np.where(left > _ROUNDING * y, left, 0.0)


def _squared_influence(
    times: Times, weights: Floats | None, table: Ends, before: Floats, of: Of
) -> Floats:
    """Return, at each time, the sum over the subjects of their squared influence on the incidence.

    Subjects whose follow-up ended at one time in one way have one influence.  With S the
    probability that nothing has happened, Y at risk and dN events, the incidence is the sum of
    S(s-) dN(s) / Y(s); its derivative by the weight of a subject has a part through dN and Y, and
    one through S: its logarithm falls by dN_i / (Y - dN) - dN / (Y (Y - dN)) while it is followed.
    """
    m, y = len(table.time), table.at_risk.astype(np.float64)
    counted = table.counted(of)
    any_, left = table.counted("neither"), _left(table)
    with np.errstate(divide="ignore", invalid="ignore"):
        at_end = np.where(left > 0, 1 / left, 0.0)  # what one end takes from log S then
        followed = np.where(left > 0, any_ / (y * left), 0.0)
    step_of = np.searchsorted(table.time, times.time)
    groups, group_of = np.unique(np.stack([step_of, times.state]), axis=1, return_inverse=True)
    # Each subject's influence is its weight times the derivative by it.
    sizes = np.bincount(group_of.ravel(), None if weights is None else weights**2)
    own = groups[1] > 0 if of == "neither" else groups[1] == _STATE[of]
    total = np.zeros(m)
    block = max(1, _BLOCK // m)
    for first in range(0, groups.shape[1], block):
        end = groups[0, first : first + block, None]
        ended = groups[1, first : first + block, None] > 0
        step = np.arange(m)
        # Of log S: a gain while followed, a loss at an end that was an event of any kind.
        change = np.where(step <= end, followed, 0.0) - np.where((step == end) & ended, at_end, 0.0)
        of_log = np.concatenate([np.zeros((len(end), 1)), change.cumsum(axis=1)[:, :-1]], axis=1)
        direct = np.where(step <= end, -counted / y, 0.0)
        direct += np.where((step == end) & own[first : first + block, None], 1.0, 0.0)
        influence = np.cumsum(before * (of_log * counted + direct) / y, axis=1)
        total += (sizes[first : first + block, None] * influence**2).sum(axis=0)
    return total
