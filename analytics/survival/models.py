"""Models that predict events: estimators of scikit-survival behind one preparation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.compose import ColumnTransformer
from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest
from sksurv.linear_model import CoxnetSurvivalAnalysis, CoxPHSurvivalAnalysis

from analytics.preparation import possible_components, preparation, prepared
from analytics.splits import folds
from analytics.survival.baseline import Baseline, baseline, partial_likelihoods
from analytics.survival.curves import Floats
from analytics.survival.times import Times, follow_up

Kind = Literal["elastic-net", "components", "forest", "boosting"]
KINDS: Final[tuple[Kind, ...]] = ("elastic-net", "components", "forest", "boosting")

_PATH: Final[Mapping[str, Any]] = {"n_alphas": 40, "alpha_min_ratio": 0.02, "max_iter": 10_000}
_FOREST: Final[Mapping[str, Any]] = {
    "n_estimators": 200,
    "min_samples_leaf": 15,
    "max_features": "sqrt",
    "max_samples": 0.5,
}
_BOOSTING: Final[Mapping[str, Any]] = {
    "n_estimators": 300,
    "learning_rate": 0.1,
    "max_depth": 2,
    "subsample": 0.5,
    "min_samples_leaf": 15,
    "max_features": "sqrt",
}
_TREE_STEPS: Final = 60
"""Distinct times that a forest distinguishes: quantiles of the event times."""


@dataclass(frozen=True)
class ModelSpec:
    """What is to be fitted.

    Attributes
    ----------
    kind : {"elastic-net", "components", "forest", "boosting"}
        Cox with elastic-net penalty, Cox on principal components, random survival forest, gradient
        boosting of Cox's likelihood.
    mixing : tuple of float
        Elastic net: shares of the lasso to choose among, 0 to 1.
    components : tuple of int
        Principal components of the embedding to choose among; forest and boosting take the last.
    inner_folds : int
        Of the cross-validation within the training side that chooses.
    seed : int
    """

    kind: Kind = "elastic-net"
    mixing: tuple[float, ...] = (0.1, 0.5)
    components: tuple[int, ...] = (8, 16, 32, 64)
    inner_folds: int = 3
    seed: int = 0


@final
@dataclass(eq=False)
class SurvivalModel:
    """A fitted model; made by `fit`.

    Attributes
    ----------
    spec : ModelSpec
    columns : tuple of str
        The predictors, in order.
    prepare : ColumnTransformer
    estimator : estimator of scikit-survival
    base : Baseline
        From scores to risks; of a forest only what competes is used.
    chosen : mapping of str to float
        Hyper-parameters that the inner cross-validation chose.
    """

    spec: ModelSpec
    columns: tuple[str, ...]
    prepare: ColumnTransformer
    estimator: Any
    base: Baseline
    chosen: Mapping[str, float] = field(default_factory=dict)

    def scores(self, x: pd.DataFrame) -> Floats:
        """Return a score of each row, float64 (rows,); higher means a higher hazard.

        For all but forests it is the log relative hazard.
        """
        return np.asarray(self.estimator.predict(self._prepared(x)), np.float64)

    def risks(self, x: pd.DataFrame, horizons: ArrayLike) -> Floats:
        """Return probabilities of the event until horizons, float64 (rows, horizons)."""
        if self.spec.kind != "forest":
            return self.base.risks(self.scores(x), horizons)
        hazards = self.estimator.predict_cumulative_hazard_function(
            self._prepared(x), return_array=True
        )
        steps = np.diff(hazards, axis=1, prepend=0.0)
        at = self.estimator.unique_times_
        competing = np.diff(
            np.append(0.0, self.base.competing.cumsum())[
                np.searchsorted(self.base.time, at, side="right")
            ],
            prepend=0.0,
        )
        return np.stack([Baseline(at, row, competing).risks([0.0], horizons)[0] for row in steps])

    def _prepared(self, x: pd.DataFrame) -> Floats:
        return prepared(self.prepare, x, self.columns)


def fit(spec: ModelSpec, x: pd.DataFrame, times: Times, patient: ArrayLike) -> SurvivalModel:
    """Fit a model, its hyper-parameters by cross-validation within these rows.

    Parameters
    ----------
    spec : ModelSpec
    x : DataFrame of shape (rows, predictors)
        See `analytics.preparation`.
    times : Times
    patient : array of shape (rows,)
        Rows of one patient stay together in the cross-validation.
    """
    fitted = _FITTERS[spec.kind](spec, x, times, np.asarray(patient))
    prepare, estimator, chosen = fitted
    scores = estimator.predict(prepare.transform(x))
    base = baseline(times, np.zeros(len(x)) if spec.kind == "forest" else scores)
    return SurvivalModel(spec, tuple(map(str, x.columns)), prepare, estimator, base, chosen)


_Fitted = tuple[ColumnTransformer, Any, dict[str, float]]


def _elastic_net(spec: ModelSpec, x: pd.DataFrame, times: Times, patient: Any) -> _Fitted:
    prepare = preparation(x, components=None)
    values, target = prepare.fit_transform(x), times.structured()
    inner = list(folds(patient, times.event, count=spec.inner_folds, seed=spec.seed))
    best: tuple[float, float, float] | None = None
    for mixing in spec.mixing:
        alphas = CoxnetSurvivalAnalysis(l1_ratio=mixing, **_PATH).fit(values, target).alphas_
        told = np.zeros(len(alphas))
        for each in inner:
            path = CoxnetSurvivalAnalysis(
                l1_ratio=mixing, alphas=alphas, max_iter=_PATH["max_iter"]
            )
            own = preparation(x, components=None).fit(x.iloc[each.train])
            path.fit(own.transform(x.iloc[each.train]), target[each.train])
            told += _left_out(times, own.transform(x) @ path.coef_, each.train)
        at = int(told.argmax())
        if best is None or told[at] > best[0]:
            best = float(told[at]), mixing, float(alphas[at])
    assert best is not None
    _, mixing, alpha = best
    estimator = CoxnetSurvivalAnalysis(l1_ratio=mixing, alphas=[alpha], max_iter=_PATH["max_iter"])
    return prepare, estimator.fit(values, target), {"mixing": mixing, "alpha": alpha}


def _left_out(times: Times, scores: Floats, train: Any) -> Floats:
    """Return what the left-out rows add to the likelihood (Verweij and van Houwelingen, 1993)."""
    return partial_likelihoods(times, scores) - partial_likelihoods(times[train], scores[train])


def _components(spec: ModelSpec, x: pd.DataFrame, times: Times, patient: Any) -> _Fitted:
    target = times.structured()
    inner = list(folds(patient, times.event, count=spec.inner_folds, seed=spec.seed))
    # With as many coefficients as events the likelihood may have no highest point.
    counts = possible_components(
        spec.components, min(times.event[each.train].sum() for each in inner)
    )
    told = []
    for count in counts:
        scores = []
        for each in inner:
            own = preparation(x, components=count).fit(x.iloc[each.train])
            model = _ridge(own.transform(x.iloc[each.train]), target[each.train])
            scores.append(_left_out(times, model.predict(own.transform(x))[:, None], each.train))
        told.append(float(np.sum(scores)))
    count = counts[int(np.argmax(told))]
    prepare = preparation(x, components=count)
    return prepare, _ridge(prepare.fit_transform(x), target), {"components": count}


def _ridge(values: Floats, target: Any) -> CoxPHSurvivalAnalysis:
    # Its own baseline hazard, which is not used, divides by zero at some last times.
    with np.errstate(divide="ignore", invalid="ignore"):
        return CoxPHSurvivalAnalysis(alpha=_RIDGE, ties="efron").fit(values, target)


_RIDGE: Final = 1e-3
"""Keeps a covariate that nearly is a sum of others from taking an endless coefficient."""


def _forest(spec: ModelSpec, x: pd.DataFrame, times: Times, patient: Any) -> _Fitted:
    del patient
    prepare = preparation(x, components=possible_components(spec.components, len(x))[-1])
    events = times.time[times.event]
    grid = np.unique(np.quantile(events, np.linspace(0, 1, _TREE_STEPS), method="higher"))
    # The next grid time at or after each end; later ends are censored beyond the grid.
    at = np.searchsorted(grid, times.time, side="left")
    coarse = np.append(grid, grid[-1] + 1)[at]
    model = RandomSurvivalForest(random_state=spec.seed, n_jobs=-1, **_FOREST)
    model.fit(prepare.fit_transform(x), follow_up(coarse, times.state).structured())
    # Several threads would add the trees up in any order, and differ in the last digit.
    return prepare, model.set_params(n_jobs=1), {}


def _boosting(spec: ModelSpec, x: pd.DataFrame, times: Times, patient: Any) -> _Fitted:
    del patient
    prepare = preparation(x, components=possible_components(spec.components, len(x))[-1])
    model = GradientBoostingSurvivalAnalysis(random_state=spec.seed, **_BOOSTING)
    return prepare, model.fit(prepare.fit_transform(x), times.structured()), {}


_FITTERS: Final = {
    "elastic-net": _elastic_net,
    "components": _components,
    "forest": _forest,
    "boosting": _boosting,
}
