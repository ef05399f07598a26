"""Models that predict a measured number, with prediction intervals that were earned out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from analytics.conformal import upper_limits
from analytics.preparation import possible_components, preparation, prepared
from analytics.splits import even_folds

Floats = NDArray[np.float64]
Kind = Literal["ridge", "elastic-net", "kernel", "boosting"]
KINDS: Final[tuple[Kind, ...]] = ("ridge", "elastic-net", "kernel", "boosting")
LEVELS: Final = (0.8, 0.9, 0.95)
"""Of prediction intervals."""

_RIDGE: Final = tuple(np.logspace(0, 5, 11).tolist())
_WAVES: Final = 1000
"""Random waves that a kernel is made of (Rahimi and Recht, NeurIPS 2007).  Unlike a kernel that is
spanned by rows, such a model keeps nobody's embedding."""
_BOOSTING: Final[Mapping[str, Any]] = {
    "max_iter": 300,
    "learning_rate": 0.05,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "max_features": 0.3,
    "early_stopping": False,
}


@dataclass(frozen=True)
class RegressionSpec:
    """What is to be fitted.

    Attributes
    ----------
    kind : {"ridge", "elastic-net", "kernel", "boosting"}
        Ridge regression; elastic net; ridge regression on a Gaussian kernel; gradient boosting on
        principal components of the embedding.
    components : int
        Principal components of the embedding, for boosting.
    inner_folds : int
        Of the cross-validation within the training side: it chooses the hyper-parameters, and its
        errors give the prediction intervals.
    seed : int
    """

    kind: Kind = "ridge"
    components: int = 64
    inner_folds: int = 5
    seed: int = 0


@final
@dataclass(eq=False)
class RegressionModel:
    """A fitted model; made by `fit`.

    Attributes
    ----------
    spec : RegressionSpec
    columns : tuple of str
        The predictors, in order.
    estimator : Pipeline
    half_width : mapping of float to float
        Half of the width of the prediction interval of each level.
    range : tuple of float
        Lowest and highest value that the measured number can have.
    chosen : mapping of str to float
        Hyper-parameters that the inner cross-validation chose.
    """

    spec: RegressionSpec
    columns: tuple[str, ...]
    estimator: Pipeline
    half_width: Mapping[float, float]
    range: tuple[float, float]
    chosen: Mapping[str, float] = field(default_factory=dict)

    def predict(self, x: pd.DataFrame) -> Floats:
        """Return a prediction for each row, float64 (rows,), within the range.

        Raises
        ------
        UsageError
            Predictors that it was fitted to are missing.
        """
        values = prepared(self.estimator[0], x, self.columns)
        said = self.estimator[1:].predict(values)
        return np.clip(np.asarray(said, np.float64), *self.range)

    def limits(self, predicted: ArrayLike, level: float) -> tuple[Floats, Floats]:
        """Return the prediction interval of predictions, cut at the range.

        Parameters
        ----------
        predicted : array of shape (rows,)
        level : float
            Of `half_width`.
        """
        values, half = np.asarray(predicted, np.float64), self.half_width[level]
        return np.clip(values - half, *self.range), np.clip(values + half, *self.range)


def fit(
    spec: RegressionSpec,
    x: pd.DataFrame,
    y: ArrayLike,
    patient: ArrayLike,
    *,
    range: tuple[float, float],
) -> RegressionModel:
    """Fit a model, its hyper-parameters by cross-validation within these rows.

    Parameters
    ----------
    spec : RegressionSpec
    x : DataFrame of shape (rows, predictors)
        See `analytics.preparation`.
    y : array of shape (rows,)
        What was measured.
    patient : array of shape (rows,)
        Rows of one patient stay together in the cross-validation.
    range : tuple of float
        Lowest and highest value that `y` can have.

    Raises
    ------
    UsageError
        There are fewer patients than inner folds.

    Notes
    -----
    Prediction intervals are conformal, of constant width: their half width is a quantile of the
    errors of rows that were left out.  They hold on average over people like these, not for each
    kind of person.
    """
    target, who = np.asarray(y, np.float64), np.asarray(patient)
    inner = [
        (each.train, each.test) for each in even_folds(who, count=spec.inner_folds, seed=spec.seed)
    ]
    pipeline, grid = _KINDS[spec.kind](spec, x)
    search = GridSearchCV(pipeline, grid, cv=inner, scoring="neg_mean_squared_error")
    search.fit(x, target)
    left_out = cross_val_predict(clone(search.best_estimator_), x, target, cv=inner)
    errors = np.abs(np.clip(left_out, *range) - target)
    return RegressionModel(
        spec,
        tuple(map(str, x.columns)),
        search.best_estimator_,
        dict(zip(LEVELS, upper_limits(errors, who, LEVELS), strict=True)),
        range,
        {name.split("__")[-1]: float(value) for name, value in search.best_params_.items()},
    )


_Made = tuple[Pipeline, dict[str, list[float]]]


def _ridge(spec: RegressionSpec, x: pd.DataFrame) -> _Made:
    del spec
    return make_pipeline(preparation(x, components=None), Ridge()), {"ridge__alpha": [*_RIDGE]}


def _elastic_net(spec: RegressionSpec, x: pd.DataFrame) -> _Made:
    model = ElasticNet(max_iter=3000, tol=1e-3, random_state=spec.seed)
    grid = {
        "elasticnet__alpha": np.logspace(-1.5, 1, 8).tolist(),
        "elasticnet__l1_ratio": [0.1, 0.5],
    }
    return make_pipeline(preparation(x, components=None), model), grid


def _kernel(spec: RegressionSpec, x: pd.DataFrame) -> _Made:
    # Predictors are scaled: two rows are at a squared distance of about twice their number.
    gammas = [scale / x.shape[1] for scale in (0.03, 0.1, 0.3)]
    kernel = RBFSampler(n_components=_WAVES, random_state=spec.seed)
    grid = {"rbfsampler__gamma": gammas, "ridge__alpha": np.logspace(-3, 1, 5).tolist()}
    return make_pipeline(preparation(x, components=None), kernel, Ridge()), grid


def _boosting(spec: RegressionSpec, x: pd.DataFrame) -> _Made:
    few = possible_components((spec.components,), len(x) // 2)[-1]
    model = HistGradientBoostingRegressor(random_state=spec.seed, **_BOOSTING)
    grid = {"histgradientboostingregressor__l2_regularization": [1.0]}
    return make_pipeline(preparation(x, components=few), model), grid


_KINDS: Final = {
    "ridge": _ridge,
    "elastic-net": _elastic_net,
    "kernel": _kernel,
    "boosting": _boosting,
}
