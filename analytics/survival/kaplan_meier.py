"""Survival by Kaplan and Meier, its median and its restricted mean, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from analytics.survival.curves import Curve, Floats, tabulate
from analytics.survival.times import Times

Interval = Literal["log-log", "log", "plain"]


@dataclass(frozen=True)
class Median:
    """A median time with its interval; infinite where the curve does not fall that far."""

    median: float
    lower: float
    upper: float


def kaplan_meier(times: Times, *, interval: Interval = "log-log", level: float = 0.95) -> Curve:
    """Estimate survival: the probability that the event has not happened yet.

    Competing events count as censored, so that with them this is survival in a world without them.

    Parameters
    ----------
    times : Times
    interval : {"log-log", "log", "plain"}
        The scale that the interval is symmetric on.  Log-log keeps it between 0 and 1.
    level : float
        Coverage, 0 to 1.

    Returns
    -------
    Curve
        With Greenwood's standard error.

    References
    ----------
    Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data, 2002, 1.4.
    """
    table = tabulate(times)
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(1 - table.events / table.at_risk)
        terms = table.events / (table.at_risk * (table.at_risk - table.events).astype(np.float64))
        of_log = np.sqrt(np.cumsum(np.where(table.events > 0, terms, 0)))
        se = np.where(survival > 0, survival * of_log, np.nan)
        lower, upper = _limits(survival, of_log, interval, level)
    return Curve(table.time, survival, se, lower, upper, table.at_risk, table.events, 1.0)


def _limits(
    survival: Floats, of_log: Floats, interval: Interval, level: float
) -> tuple[Floats, Floats]:
    z = float(stats.norm.ppf(0.5 + level / 2))
    if interval == "plain":
        lower, upper = survival * (1 - z * of_log), survival * (1 + z * of_log)
    elif interval == "log":
        lower, upper = survival * np.exp(-z * of_log), survival * np.exp(z * of_log)
    else:
        spread = z * of_log / np.log(survival)
        lower, upper = survival ** np.exp(-spread), survival ** np.exp(spread)
        # Nothing has happened yet: no doubt either.
        lower, upper = (np.where(survival == 1, 1.0, each) for each in (lower, upper))
    known = survival > 0
    return np.where(known, lower.clip(0), np.nan), np.where(known, upper.clip(max=1), np.nan)


def median(curve: Curve) -> Median:
    """Return when a survival curve, and the limits of its interval, fall to one half."""
    return Median(
        *(_first_at_half(curve.time, each) for each in (curve.estimate, curve.lower, curve.upper))
    )


def _first_at_half(time: Floats, falling: Floats) -> float:
    # Sums of floating-point numbers miss one half by a rounding; R takes the same margin.
    close = np.abs(falling - 0.5) < 1e-8
    reached = np.flatnonzero(close | (falling < 0.5))
    if not len(reached):
        return float("inf")
    first = int(reached[0])
    if close[first]:  # flat at one half: the middle of the step
        after = np.flatnonzero(falling[first:] < 0.5 - 1e-8)
        if len(after):
            return float((time[first] + time[first + int(after[0])]) / 2)
    return float(time[first])


def restricted_mean(curve: Curve, until: float) -> tuple[float, float]:
    """Return the area under a survival curve up to a time, and its standard error.

    Parameters
    ----------
    curve : Curve
        From `kaplan_meier`.
    until : float
        In the unit of its times.
    """
    inside = curve.time < until
    ends = np.append(curve.time[inside], until)
    heights = np.append(1.0, curve.estimate[inside])
    areas = heights * np.diff(ends, prepend=0.0)
    rest = areas.sum() - np.cumsum(areas)[:-1]  # area beyond each time
    events, at_risk = curve.events[inside], curve.at_risk[inside].astype(np.float64)
    with np.errstate(divide="ignore"):
        terms = np.where(events > 0, events / (at_risk * (at_risk - events)), 0)
    return float(areas.sum()), float(np.sqrt((rest**2 * terms).sum()))
