"""How good predictions are, on people that the model has not seen: the one judge of every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.resampling import bootstrap, percentile_interval
from analytics.survival.aalen_johansen import aalen_johansen, incidence
from analytics.survival.calibration import Calibration, brier, calibrate
from analytics.survival.cox import CoxFit, fit_cox
from analytics.survival.curves import Curve, Floats
from analytics.survival.discrimination import auc, harrell, uno
from analytics.survival.fine_gray import fit_fine_gray
from analytics.survival.log_rank import LogRank, log_rank
from analytics.survival.times import Times
from analytics.survival.utility import decision_curve
from core.errors import UsageError

FEWEST_AT_RISK: Final = 20
FEWEST_EVENTS: Final = 10
"""A horizon that fewer subjects reach, or before which fewer events happen, is not judged."""
REPEATS: Final = 300
"""Bootstrap samples."""


@final
@dataclass(frozen=True, eq=False)
class Predictions:
    """What models said of people they had not seen, and what happened.

    Attributes
    ----------
    times : Times
    score : float64 array of shape (rows,)
        Higher means a higher hazard; comparable within a fold only.
    risk : float64 array of shape (rows, horizons)
        Probability of the event until each horizon.
    horizons : tuple of float
    patient : array of str of shape (rows,)
    fold : int64 array of shape (rows,)
        Which model said so.
    group : int64 array of shape (rows,)
        Of risk, 0 the lowest, by thresholds of each model's training side.
    """

    times: Times
    score: Floats
    risk: Floats
    horizons: tuple[float, ...]
    patient: NDArray[np.str_]
    fold: NDArray[np.int64]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Predictions:
        return Predictions(
            self.times[rows],
            self.score[rows],
            self.risk[rows],
            self.horizons,
            self.patient[rows],
            self.fold[rows],
            self.group[rows],
        )

    def supported(self) -> tuple[Predictions, tuple[str, ...]]:
        """Return the predictions at the horizons that the data support, and what was cut and why.

        Raises
        ------
        UsageError
            None is supported.
        """
        kept, cut = [], []
        for i, horizon in enumerate(self.horizons):
            at_risk = int((self.times.time > horizon).sum())
            events = int((self.times.event & (self.times.time <= horizon)).sum())
            if at_risk >= FEWEST_AT_RISK and events >= FEWEST_EVENTS:
                kept.append(i)
            else:
                cut.append(
                    f"{horizon:g} days: {at_risk} followed for longer (at least {FEWEST_AT_RISK}), "
                    f"{events} events (at least {FEWEST_EVENTS})"
                )
        if not kept:
            raise UsageError(
                "no horizon is supported by the data: " + "; ".join(cut),
                "take a larger cohort, a wider endpoint or other horizons",
            )
        left = tuple(self.horizons[i] for i in kept)
        narrowed = Predictions(
            self.times, self.score, self.risk[:, kept], left, self.patient, self.fold, self.group
        )
        return narrowed, tuple(cut)


@final
@dataclass(frozen=True, eq=False)
class Validation:
    """The verdict.

    Attributes
    ----------
    subjects, patients, events, competing : int
    cut : tuple of str
        Horizons that the data do not support.
    measures : DataFrame
        measure, horizon (NaN: all follow-up), estimate, lower, upper (95 %).
    calibrations : tuple of Calibration
        One a horizon.
    decisions : DataFrame
        horizon, and the columns of `analytics.survival.utility.decision_curve`.
    incidence : mapping of int to Curve
        Cumulative incidence of the event by group of risk.
    differ : LogRank or None
        Whether the groups have one hazard; None with a single group.
    hazards : DataFrame
        Hazard ratio of one standard deviation of the score: cause-specific of the event, of what
        competes, and of the subdistribution (Fine and Gray).
    proportional : DataFrame
        Whether the first of these is constant in time.
    subgroups : DataFrame
        subgroup, value, subjects, events, c, lower, upper, ratio (observed to expected at the last
        horizon), ratio_lower, ratio_upper.
    """

    subjects: int
    patients: int
    events: int
    competing: int
    cut: tuple[str, ...]
    measures: pd.DataFrame
    calibrations: tuple[Calibration, ...]
    decisions: pd.DataFrame
    incidence: Mapping[int, Curve]
    differ: LogRank | None
    hazards: pd.DataFrame
    proportional: pd.DataFrame
    subgroups: pd.DataFrame

    def measure(self, name: str, horizon: float | None = None) -> pd.Series:
        """Return the estimate and the limits of one measure."""
        rows = self.measures[self.measures["measure"] == name]
        rows = rows if horizon is None else rows[rows["horizon"] == horizon]
        return rows.iloc[0]


def validate(
    predictions: Predictions,
    *,
    subgroups: pd.DataFrame | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Validation:
    """Judge predictions.

    Parameters
    ----------
    predictions : Predictions
        Horizons that the data do not support are cut, and said.
    subgroups : DataFrame of shape (rows, ...), optional
        A column for each way to divide the rows, such as sex, age band, site.
    repeats : int
        Bootstrap samples of patients for the intervals of AUC and Brier score.
    seed : int
    """
    seen, cut = predictions.supported()
    times = seen.times
    groups = sorted({int(each) for each in seen.group})
    return Validation(
        subjects=len(seen),
        patients=len(np.unique(seen.patient)),
        events=int(times.event.sum()),
        competing=int(times.competing.sum()),
        cut=cut,
        measures=_measures(seen, repeats, seed),
        calibrations=tuple(
            calibrate(times, seen.risk[:, i], horizon) for i, horizon in enumerate(seen.horizons)
        ),
        decisions=_decisions(seen),
        incidence={each: aalen_johansen(times[seen.group == each]) for each in groups},
        differ=log_rank(times, seen.group) if len(groups) > 1 else None,
        hazards=_hazards(seen),
        proportional=_standardised(seen).proportional(),
        subgroups=_subgroups(seen, subgroups),
    )


def _measures(seen: Predictions, repeats: int, seed: int) -> pd.DataFrame:
    times, horizons = seen.times, seen.horizons
    rows = []
    for name, c in (
        ("harrell_c", harrell(times, seen.score, stratum=seen.fold, cluster=seen.patient)),
        (
            "uno_c",
            uno(times, seen.score, until=horizons[-1], stratum=seen.fold, cluster=seen.patient),
        ),
    ):
        horizon = np.nan if name == "harrell_c" else horizons[-1]
        rows.append((name, horizon, c.c, *c.interval()))
    found = _by_horizon(seen)
    samples = bootstrap(
        lambda drawn: _by_horizon(seen[drawn]), seen.patient, repeats=repeats, seed=seed
    )
    low, high = percentile_interval(samples)
    names = [(name, h) for name in ("auc", "brier", "scaled_brier") for h in horizons]
    names += [("integrated_brier", horizons[-1])] if len(horizons) > 1 else []
    limits = zip(names, found, low, high, strict=True)
    rows += [(*each, *values) for each, *values in limits]
    return pd.DataFrame(rows, columns=["measure", "horizon", "estimate", "lower", "upper"])


def _by_horizon(seen: Predictions) -> Floats:
    """Return AUC, Brier score and its share of the null model's at each horizon, then the mean."""
    columns: list[list[float]] = [[], [], []]
    areas, scores, scaled = columns
    for i, horizon in enumerate(seen.horizons):
        risk = seen.risk[:, i]
        try:
            score = brier(seen.times, risk, horizon)
            nobody_differs = np.full(len(seen), incidence(seen.times, horizon))
            null = brier(seen.times, nobody_differs, horizon)
            values = auc(seen.times, risk, horizon), score, 1 - score / null
        except UsageError:  # a sample may have no event until an early horizon
            values = np.nan, np.nan, np.nan
        for each, value in zip(columns, values, strict=True):
            each.append(value)
    mean = []
    if len(seen.horizons) > 1:
        span = seen.horizons[-1] - seen.horizons[0]
        mean = [float(np.trapezoid(scores, seen.horizons) / span)]
    return np.array([*areas, *scores, *scaled, *mean], np.float64)


def _decisions(seen: Predictions) -> pd.DataFrame:
    parts = [
        decision_curve(seen.times, {"model": seen.risk[:, i]}, horizon).assign(horizon=horizon)
        for i, horizon in enumerate(seen.horizons)
    ]
    return pd.concat(parts, ignore_index=True)


def _scaled_score(seen: Predictions) -> pd.DataFrame:
    return pd.DataFrame({"score": (seen.score - seen.score.mean()) / seen.score.std()})


def _standardised(seen: Predictions) -> CoxFit:
    return fit_cox(seen.times, _scaled_score(seen), strata=seen.fold, cluster=seen.patient)


def _hazards(seen: Predictions) -> pd.DataFrame:
    x, times = _scaled_score(seen), seen.times
    found = {"event, cause-specific": _standardised(seen).table}
    if times.competing.sum() >= FEWEST_EVENTS:
        other = Times(times.time, np.where(times.competing, 1, 0).astype(np.int8))
        found["competing, cause-specific"] = fit_cox(other, x, cluster=seen.patient).table
        found["event, subdistribution"] = fit_fine_gray(times, x, cluster=seen.patient).table
    rows = [table.loc["score", ["hr", "hr_lower", "hr_upper", "p"]] for table in found.values()]
    return pd.DataFrame(rows, index=list(found))


def _subgroups(seen: Predictions, subgroups: pd.DataFrame | None) -> pd.DataFrame:
    rows = []
    last, horizon = seen.risk[:, -1], seen.horizons[-1]
    table = pd.DataFrame(index=range(len(seen))) if subgroups is None else subgroups
    for name in table.columns:
        column = table[name].reset_index(drop=True)
        for value in sorted(column.dropna().unique(), key=str):
            member = (column == value).to_numpy()
            part = seen[member]
            events = int(part.times.event.sum())
            row = [name, str(value), len(part), events]
            if events < FEWEST_EVENTS or (part.times.time > horizon).sum() < FEWEST_AT_RISK:
                rows.append((*row, *[np.nan] * 6))
                continue
            c = harrell(part.times, part.score, stratum=part.fold, cluster=part.patient)
            ratio = _ratio(part.times, last[member], horizon)
            rows.append((*row, c.c, *c.interval(), *ratio))
    columns = ["subgroup", "value", "subjects", "events", "c", "lower", "upper"]
    columns += ["ratio", "ratio_lower", "ratio_upper"]
    return pd.DataFrame(rows, columns=columns)


def _ratio(times: Times, risk: Floats, horizon: float) -> tuple[float, float, float]:
    """Return observed to expected risk with its limits."""
    observed, _, low, high = aalen_johansen(times).at(horizon)
    expected = float(risk.mean())
    return float(observed) / expected, float(low) / expected, float(high) / expected
