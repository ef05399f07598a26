"""The protocol: models are fitted on one side and judged on the other, everything chosen inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analytics.leakage import refuse, same_patient
from analytics.lvef.models import LEVELS, RegressionModel, RegressionSpec, fit
from analytics.lvef.validation import Predictions
from analytics.splits import Split, even_folds

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
    models : tuple of RegressionModel
        One a split.
    """

    rows: NDArray[np.int64]
    predictions: Predictions
    models: tuple[RegressionModel, ...]


def cross_validate(
    spec: RegressionSpec,
    x: pd.DataFrame,
    y: ArrayLike,
    patient: ArrayLike,
    *,
    range: tuple[float, float],
    outer_folds: int = 5,
    seed: int = 0,
    on_fold: OnFold | None = None,
) -> Judged:
    """Fit on all folds but one and predict that one, in turn.

    Parameters
    ----------
    spec : RegressionSpec
    x : DataFrame of shape (rows, predictors)
    y : array of shape (rows,)
        What was measured.
    patient : array of shape (rows,)
    range : tuple of float
        Lowest and highest value of `y`.
    outer_folds : int
    seed : int
    on_fold : callable, optional
        Told how many folds of how many are done.

    Raises
    ------
    LeakageError
        A patient would be on both sides.
    UsageError
        There are fewer patients than folds.
    """
    splits = list(even_folds(patient, count=outer_folds, seed=seed))
    return hold_out(spec, x, y, patient, splits, range=range, on_fold=on_fold)


def hold_out(
    spec: RegressionSpec,
    x: pd.DataFrame,
    y: ArrayLike,
    patient: ArrayLike,
    splits: Iterable[Split],
    *,
    range: tuple[float, float],
    on_fold: OnFold | None = None,
) -> Judged:
    """Fit on the training side of each split and predict its test side.

    Parameters
    ----------
    spec, x, y, patient, range, on_fold
        As for `cross_validate`.
    splits : iterable of Split
        Their test sides do not overlap.
    """
    target, who, every = np.asarray(y, np.float64), np.asarray(patient).astype(str), tuple(splits)
    refuse(leak for split in every for leak in same_patient(split, who))
    tell = on_fold or (lambda done, total: None)
    tell(0, len(every))
    models, parts = [], []
    for number, split in enumerate(every):
        train = split.train
        model = fit(spec, x.iloc[train], target[train], who[train], range=range)
        mean = float(target[train].mean())
        parts.append(apply(model, x.iloc[split.test], target[split.test], who[split.test], mean))
        models.append(model)
        tell(number + 1, len(every))
    test = np.concatenate([split.test for split in every])
    return Judged(test, Predictions.joined(parts), tuple(models))


def apply(
    model: RegressionModel, x: pd.DataFrame, y: ArrayLike, patient: ArrayLike, mean: float
) -> Predictions:
    """Return what a fitted model says of rows that it was not fitted to.

    Parameters
    ----------
    model : RegressionModel
    x, y, patient
        Of these rows.
    mean : float
        Of the training side: what one would say of everybody without a model.
    """
    said = model.predict(x)
    limits = [model.limits(said, level) for level in LEVELS]
    return Predictions(
        np.asarray(y, np.float64),
        said,
        np.stack([low for low, _ in limits], axis=1),
        np.stack([high for _, high in limits], axis=1),
        np.full(len(said), mean),
        np.asarray(patient).astype(str),
    )
