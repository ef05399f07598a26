"""How good predicted numbers are, on people that the model has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Final, Self, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.agreement import Agreement, agreement
from analytics.lvef.models import LEVELS
from analytics.resampling import bootstrap, percentile_interval
from analytics.roc import auc, average_precision
from core.errors import UsageError

Floats = NDArray[np.float64]
REPEATS: Final = 500
"""Bootstrap samples."""
FEWEST: Final = 20
"""Fewer rows are not judged; nor are subgroups with fewer."""
FEWEST_BELOW: Final = 5
"""A threshold with fewer rows below or above it is not judged."""
_GROUPS: Final = 10


@final
@dataclass(frozen=True, eq=False)
class Predictions:
    """What models said of people they had not seen, and what was measured.

    Attributes
    ----------
    measured, predicted : float64 arrays of shape (rows,)
    lower, upper : float64 arrays of shape (rows, levels)
        Prediction intervals of `analytics.lvef.models.LEVELS`.
    mean : float64 array of shape (rows,)
        Mean of the training side.
    patient : array of str of shape (rows,)
    """

    measured: Floats
    predicted: Floats
    lower: Floats
    upper: Floats
    mean: Floats
    patient: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.measured)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Predictions:
        return Predictions(*(each[rows] for each in _columns(self)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of several, one after the other."""
        columns = zip(*(_columns(part) for part in parts), strict=True)
        return cls(*(np.concatenate(each) for each in columns))


@final
@dataclass(frozen=True, eq=False)
class Verdict:
    """How good they are.

    Attributes
    ----------
    rows, patients : int
    measures : DataFrame
        measure, at (threshold or level; NaN where there is none), estimate, lower, upper (95 %, of
        bootstrap samples of patients).  The measures are those of `analytics.agreement`, the mean
        absolute error of the training side's mean (``mae_of_mean``), ``auc`` and
        ``average_precision`` of being below a threshold, with the share that is (``below``), and
        ``coverage`` and ``width`` of the prediction intervals.
    cut : tuple of str
        Thresholds that the data do not support.
    calibration : DataFrame
        Tenths by the predictions: rows, predicted, measured, lower, upper (95 %).
    subgroups : DataFrame
        subgroup, value, rows, mae, mae_lower, mae_upper, bias, bias_lower, bias_upper; NaN where
        there are too few rows.
    predictions : Predictions
    """

    rows: int
    patients: int
    measures: pd.DataFrame
    cut: tuple[str, ...]
    calibration: pd.DataFrame
    subgroups: pd.DataFrame
    predictions: Predictions

    def measure(self, name: str, at: float | None = None) -> pd.Series:
        """Return one measure: estimate, lower, upper.

        Raises
        ------
        KeyError
            There is none of this name, at this threshold or level.
        """
        table = self.measures
        rows = table[
            (table["measure"] == name) & (table["at"].isna() if at is None else table["at"] == at)
        ]
        if len(rows) != 1:
            raise KeyError(f"{len(rows)} measures {name!r} at {at}")
        return rows.iloc[0]


def validate(
    seen: Predictions,
    *,
    thresholds: Sequence[float],
    subgroups: pd.DataFrame | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Verdict:
    """Judge predictions.

    Parameters
    ----------
    seen : Predictions
    thresholds : sequence of float
        Values below which people are told apart.
    subgroups : DataFrame of shape (rows, subgroups), optional
    repeats : int
        Bootstrap samples.
    seed : int

    Raises
    ------
    UsageError
        There are too few rows.
    """
    if len(seen) < FEWEST:
        raise UsageError(
            f"{len(seen)} exams with a measurement are too few to judge predictions",
            f"at least {FEWEST}: take a larger cohort, or a wider window",
        )
    kept, cut = _supported(seen.measured, thresholds)
    names = _names(kept)
    samples = bootstrap(
        lambda drawn: _measures(seen[drawn], kept), seen.patient, repeats=repeats, seed=seed
    )
    low, high = percentile_interval(samples)
    rows = [
        (*name, *values)
        for name, *values in zip(names, _measures(seen, kept), low, high, strict=True)
    ]
    return Verdict(
        rows=len(seen),
        patients=len(np.unique(seen.patient)),
        measures=pd.DataFrame(rows, columns=["measure", "at", "estimate", "lower", "upper"]),
        cut=cut,
        calibration=_calibration(seen),
        subgroups=_subgroups(seen, subgroups, repeats, seed),
        predictions=seen,
    )


def _supported(
    measured: Floats, thresholds: Sequence[float]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    kept, cut = [], []
    for each in thresholds:
        below = int((measured < each).sum())
        if min(below, len(measured) - below) >= FEWEST_BELOW:
            kept.append(each)
        else:
            cut.append(f"{each:g}: {below} of {len(measured)} are below (at least {FEWEST_BELOW})")
    return tuple(kept), tuple(cut)


def _names(thresholds: Sequence[float]) -> list[tuple[str, float]]:
    own = [(field.name, np.nan) for field in fields(Agreement)]
    own += [("mae_of_mean", np.nan)]
    own += [(name, at) for at in thresholds for name in ("auc", "average_precision", "below")]
    return own + [(name, level) for level in LEVELS for name in ("coverage", "width")]


def _measures(seen: Predictions, thresholds: Sequence[float]) -> Floats:
    values = [*astuple(agreement(seen.measured, seen.predicted))]
    values.append(float(np.abs(seen.mean - seen.measured).mean()))
    for at in thresholds:
        below = seen.measured < at
        values += [auc(below, -seen.predicted), average_precision(below, -seen.predicted)]
        values.append(float(below.mean()))
    inside = (seen.lower <= seen.measured[:, None]) & (seen.measured[:, None] <= seen.upper)
    for covered, width in zip(
        inside.mean(axis=0), (seen.upper - seen.lower).mean(axis=0), strict=True
    ):
        values += [float(covered), float(width)]
    return np.array(values, np.float64)


def _calibration(seen: Predictions) -> pd.DataFrame:
    order = np.argsort(seen.predicted, kind="stable")
    rows = []
    for part in np.array_split(order, min(_GROUPS, len(seen) // 5)):
        mean = float(seen.measured[part].mean())
        half = 1.96 * float(seen.measured[part].std(ddof=1)) / len(part) ** 0.5
        predicted = float(seen.predicted[part].mean())
        rows.append((len(part), predicted, mean, mean - half, mean + half))
    return pd.DataFrame(rows, columns=["rows", "predicted", "measured", "lower", "upper"])


def _subgroups(
    seen: Predictions, subgroups: pd.DataFrame | None, repeats: int, seed: int
) -> pd.DataFrame:
    rows = []
    table = pd.DataFrame(index=range(len(seen))) if subgroups is None else subgroups
    for name in table.columns:
        column = table[name].reset_index(drop=True)
        for value in sorted(column.dropna().unique(), key=str):
            part = seen[(column == value).to_numpy()]
            row = (name, str(value), len(part))
            if len(part) < FEWEST:
                rows.append((*row, *[np.nan] * 6))
                continue
            rows.append((*row, *_errors_with_limits(part, repeats, seed)))
    columns = ["subgroup", "value", "rows"]
    columns += [f"{name}{end}" for name in ("mae", "bias") for end in ("", "_lower", "_upper")]
    return pd.DataFrame(rows, columns=columns)


def _errors_with_limits(seen: Predictions, repeats: int, seed: int) -> tuple[float, ...]:
    samples = bootstrap(
        lambda drawn: _errors(seen[drawn]), seen.patient, repeats=repeats, seed=seed
    )
    low, high = percentile_interval(samples)
    mae, bias = _errors(seen)
    return mae, low[0], high[0], bias, low[1], high[1]


def _errors(seen: Predictions) -> Floats:
    error = seen.predicted - seen.measured
    return np.array([np.abs(error).mean(), error.mean()])


def _columns(seen: Predictions) -> tuple[Any, ...]:
    return tuple(getattr(seen, field.name) for field in fields(seen))
