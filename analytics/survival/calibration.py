"""Whether predicted risks are right in size: observed against predicted at a horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.curves import Floats
from analytics.survival.fine_gray import fit_fine_gray
from analytics.survival.ipcw import weights_at
from analytics.survival.times import Times
from core.errors import UsageError

GROUPS: Final = 10
_KNOTS: Final = (0.1, 0.5, 0.9)
_CURVE_POINTS: Final = 60
_SURE: Final = 1e-6


@final
@dataclass(frozen=True, eq=False)
class Calibration:
    """How predicted risks at one horizon compare with what happened.

    Attributes
    ----------
    horizon : float
    predicted : float
        Mean predicted risk.
    observed, observed_lower, observed_upper : float
        Cumulative incidence by Aalen and Johansen, with its interval.
    ratio, ratio_lower, ratio_upper : float
        Observed to expected (predicted); above 1 the risks are too low.
    slope, slope_lower, slope_upper : float
        Of the complementary log-log of the risk in a Fine-Gray model until the horizon; 1 is right,
        below 1 the risks are too extreme.
    ici, e50, e90 : float
        Mean, median and 90 % quantile of the distance between the smooth curve and the risk.
    groups : DataFrame
        Tenths of the risk: subjects, predicted, observed, lower, upper.
    curve : DataFrame
        Smooth: predicted, observed.
    """

    horizon: float
    predicted: float
    observed: float
    observed_lower: float
    observed_upper: float
    ratio: float
    ratio_lower: float
    ratio_upper: float
    slope: float
    slope_lower: float
    slope_upper: float
    ici: float
    e50: float
    e90: float
    groups: pd.DataFrame
    curve: pd.DataFrame


def calibrate(times: Times, risk: ArrayLike, horizon: float, *, level: float = 0.95) -> Calibration:
    """Compare predicted risks with what happened.

    Parameters
    ----------
    times : Times
        A competing event is one after which the event cannot happen: the risk is then a cumulative
        incidence.
    risk : array of shape (subjects,)
        Predicted probability of the event until the horizon, 0 to 1; of subjects that the model was
        not fitted to.
    horizon : float
    level : float
        Coverage of the intervals.

    Returns
    -------
    Calibration

    Raises
    ------
    UsageError
        A risk is not between 0 and 1, or nobody had the event.

    Notes
    -----
    The smooth curve is a Fine-Gray model (Cox's without competing events) of the complementary
    log-log of the risk by a restricted cubic spline with three knots.

    References
    ----------
    Austin, Harrell and van Klaveren, Stat Med 2020;39:2714; Austin, Putter, Giardiello and van
    Klaveren, Diagn Progn Res 2022;6:2, for competing events.
    """
    values = _checked(times, risk)
    seen = times.until(horizon)
    if not seen.event.any():
        raise UsageError(f"nobody had the event until {horizon:g}", "choose a later horizon")
    z = float(stats.norm.ppf(0.5 + level / 2))
    observed, se, lower, upper = aalen_johansen(times, level=level).at(horizon)
    expected = float(values.mean())
    ratio = observed / expected
    spread = float(np.exp(z * se / observed))
    scale = _log_log(values)
    slope = fit_fine_gray(seen, pd.DataFrame({"scale": scale})).table.iloc[0]
    knots = np.quantile(scale, _KNOTS)
    smooth = fit_fine_gray(seen, _spline(scale, knots))
    gap = np.abs(smooth.incidence(_spline(scale, knots), [horizon])[:, 0] - values)
    low, high = np.quantile(values, (0.005, 0.995))
    grid = np.linspace(float(low), float(high), _CURVE_POINTS)
    on_grid = smooth.incidence(_spline(_log_log(grid), knots), [horizon])[:, 0]
    return Calibration(
        horizon=horizon,
        predicted=expected,
        observed=float(observed),
        observed_lower=float(lower),
        observed_upper=float(upper),
        ratio=float(ratio),
        ratio_lower=float(ratio / spread),
        ratio_upper=float(ratio * spread),
        slope=float(slope["coef"]),
        slope_lower=float(slope["coef"] - z * slope["se"]),
        slope_upper=float(slope["coef"] + z * slope["se"]),
        ici=float(gap.mean()),
        e50=float(np.median(gap)),
        e90=float(np.quantile(gap, 0.9)),
        groups=_by_group(times, values, horizon, level),
        curve=pd.DataFrame({"predicted": grid, "observed": on_grid}),
    )


def brier(
    times: Times, risk: ArrayLike, horizon: float, *, censoring: Times | None = None
) -> float:
    """Return the Brier score: the mean squared error of predicted risks at a horizon.

    Parameters
    ----------
    times, risk, horizon
        As for `calibrate`; lower scores are better.
    censoring : Times, optional
        See `analytics.survival.ipcw.weights_at`.
    """
    happened = times.event & (times.time <= horizon)
    weight = weights_at(times, horizon, censoring=censoring)
    return float((weight * (happened - _checked(times, risk)) ** 2).mean())


def integrated_brier(
    times: Times, risks: ArrayLike, grid: ArrayLike, *, censoring: Times | None = None
) -> float:
    """Return the mean of the Brier score over a span of time, by the trapezoidal rule.

    Parameters
    ----------
    times : Times
    risks : array of shape (subjects, times of the grid)
        Predicted probabilities of the event until each time.
    grid : array of shape (times of the grid,)
        Ascending.
    censoring : Times, optional
    """
    at, table = np.asarray(grid, np.float64), np.asarray(risks, np.float64)
    scores = [
        brier(times, column, float(time), censoring=censoring)
        for time, column in zip(at, table.T, strict=True)
    ]
    return float(np.trapezoid(scores, at) / (at[-1] - at[0]))


def risk_groups(risk: ArrayLike, count: int) -> NDArray[np.int64]:
    """Return the group of each risk, 0 the lowest; of equal size as far as ties allow."""
    values = np.asarray(risk, np.float64)
    inner = np.quantile(values, np.arange(1, count) / count)
    group = np.searchsorted(inner, values, side="left")
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _by_group(times: Times, risk: Floats, horizon: float, level: float) -> pd.DataFrame:
    group = risk_groups(risk, GROUPS)
    rows = []
    for each in np.unique(group):
        members = group == each
        observed, _, lower, upper = aalen_johansen(times[members], level=level).at(horizon)
        rows.append((int(members.sum()), risk[members].mean(), observed, lower, upper))
    return pd.DataFrame(rows, columns=["subjects", "predicted", "observed", "lower", "upper"])


def _checked(times: Times, risk: ArrayLike) -> Floats:
    values = np.asarray(risk, np.float64)
    if values.shape != times.time.shape or not ((values >= 0) & (values <= 1)).all():
        raise UsageError(
            f"risks of shape {values.shape} for {len(times)} subjects, or outside 0 to 1",
            "give each subject's probability of the event until the horizon",
        )
    return values


def _log_log(risk: Floats) -> Floats:
    return np.asarray(np.log(-np.log1p(-risk.clip(_SURE, 1 - _SURE))), np.float64)


def _spline(x: Floats, knots: Floats) -> pd.DataFrame:
    """Return a restricted cubic spline, linear outside its three knots (Harrell, 2015, 2.4)."""
    low, middle, high = knots

    def cubed(knot: float) -> Floats:
        return np.asarray(np.maximum(x - knot, 0) ** 3, np.float64)

    bend = cubed(low) - (cubed(middle) * (high - low) - cubed(high) * (middle - low)) / (
        high - middle
    )
    return pd.DataFrame({"x": x, "bend": bend / (high - low) ** 2})
