"""The protocol: models are fitted on one side and judged on the other, everything chosen inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analytics.leakage import refuse, same_patient
from analytics.splits import Split, folds
from analytics.survival.models import ModelSpec, SurvivalModel, fit
from analytics.survival.times import Times
from analytics.survival.validation import Predictions

OUTER_FOLDS: Final = 5
GROUPS: Final = 3
"""Groups of risk: thirds of the training side."""
OnFold = Callable[[int, int], None]


@final
@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions of rows that no model was fitted to, and the models that made them.

    Attributes
    ----------
    rows : int64 array
        The rows that were predicted, in the order of the predictions.
    predictions : Predictions
    models : tuple of SurvivalModel
        One a split.
    splits : tuple of Split
    """

    rows: np.ndarray
    predictions: Predictions
    models: tuple[SurvivalModel, ...]
    splits: tuple[Split, ...]


def cross_validate(
    spec: ModelSpec,
    x: pd.DataFrame,
    times: Times,
    patient: ArrayLike,
    *,
    horizons: Sequence[float],
    outer_folds: int = OUTER_FOLDS,
    seed: int = 0,
    on_fold: OnFold | None = None,
) -> Judged:
    """Fit on all folds but one and predict that one, in turn.

    Parameters
    ----------
    spec : ModelSpec
    x : DataFrame of shape (rows, predictors)
    times : Times
    patient : array of shape (rows,)
    horizons : sequence of float
        In the unit of the times.
    outer_folds : int
    seed : int
    on_fold : callable, optional
        Told how many folds of how many are done.

    Raises
    ------
    LeakageError
        A patient would be on both sides.
    """
    splits = list(folds(patient, times.event, count=outer_folds, seed=seed))
    return hold_out(spec, x, times, patient, splits, horizons=horizons, on_fold=on_fold)


def hold_out(
    spec: ModelSpec,
    x: pd.DataFrame,
    times: Times,
    patient: ArrayLike,
    splits: Iterable[Split],
    *,
    horizons: Sequence[float],
    on_fold: OnFold | None = None,
) -> Judged:
    """Fit on the training side of each split and predict its test side.

    Parameters
    ----------
    spec, x, times, patient, horizons, on_fold
        As for `cross_validate`.
    splits : iterable of Split
        Their test sides do not overlap.
    """
    who, every = np.asarray(patient).astype(str), tuple(splits)
    refuse(leak for split in every for leak in same_patient(split, who))
    at = np.asarray(horizons, np.float64)
    models, parts = [], []
    tell = on_fold or (lambda done, total: None)
    tell(0, len(every))
    for number, split in enumerate(every):
        rows = x.iloc[split.train]
        model = fit(spec, rows, times[split.train], who[split.train])
        parts.append(_predicted(model, x.iloc[split.test], rows, at, number))
        models.append(model)
        tell(number + 1, len(every))
    test = np.concatenate([split.test for split in every])
    score, risk, fold, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    said = Predictions(times[test], score, risk, tuple(at.tolist()), who[test], fold, group)
    return Judged(test, said, tuple(models), every)


def apply(
    model: SurvivalModel,
    x: pd.DataFrame,
    times: Times,
    patient: ArrayLike,
    *,
    horizons: Sequence[float],
    thresholds: ArrayLike,
) -> Predictions:
    """Return what a fitted model says of another cohort, without refitting anything.

    Parameters
    ----------
    model : SurvivalModel
    x, times, patient
        Of the other cohort.
    horizons : sequence of float
    thresholds : array of shape (groups - 1,)
        Of the model's training side, see `risk_thresholds`.
    """
    at = np.asarray(horizons, np.float64)
    risk = model.risks(x, at)
    group = np.searchsorted(np.asarray(thresholds), risk[:, -1], side="right").astype(np.int64)
    who = np.asarray(patient).astype(str)
    nobody = np.zeros(len(x), np.int64)
    return Predictions(times, model.scores(x), risk, tuple(at.tolist()), who, nobody, group)


def risk_thresholds(risk: ArrayLike, *, groups: int = GROUPS) -> np.ndarray:
    """Return the risks that part people into groups of equal size."""
    return np.unique(np.quantile(np.asarray(risk), np.arange(1, groups) / groups))


def _predicted(
    model: SurvivalModel, test: pd.DataFrame, train: pd.DataFrame, horizons: np.ndarray, number: int
) -> tuple[np.ndarray, ...]:
    risk = model.risks(test, horizons)
    thresholds = risk_thresholds(model.risks(train, horizons[-1:])[:, 0])
    group = np.searchsorted(thresholds, risk[:, -1], side="right")
    fold = np.full(len(test), number, np.int64)
    return model.scores(test), risk, fold, group.astype(np.int64)
