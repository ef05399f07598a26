"""Survival models as bytes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import numpy as np

from analytics.model_files import pack, spec_values, unpack
from analytics.survival.baseline import Baseline
from analytics.survival.models import ModelSpec, SurvivalModel

FORMAT: Final = 1
_TRUSTED: Final = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sksurv.ensemble.boosting.GradientBoostingSurvivalAnalysis",
    "sksurv.ensemble.forest.RandomSurvivalForest",
    "sksurv.ensemble.survival_loss.CoxPH",
    "sksurv.functions.StepFunction",
    "sksurv.linear_model.coxnet.CoxnetSurvivalAnalysis",
    "sksurv.linear_model.coxph.BreslowEstimator",
    "sksurv.linear_model.coxph.CoxPHSurvivalAnalysis",
    "sksurv.tree.tree.SurvivalTree",
)
"""What a model may be made of besides numbers, texts and scikit-learn's own."""


def dump_model(model: SurvivalModel, thresholds: np.ndarray) -> bytes:
    """Return a model and the thresholds of its groups of risk as bytes."""
    content = {
        "spec": asdict(model.spec),
        "columns": list(model.columns),
        "prepare": model.prepare,
        "estimator": model.estimator,
        "base": {name: getattr(model.base, name) for name in ("time", "event", "competing")},
        "chosen": dict(model.chosen),
        "thresholds": np.asarray(thresholds, np.float64),
    }
    return pack(content, format=FORMAT)


def load_model(payload: bytes, *, sha256: str) -> tuple[SurvivalModel, np.ndarray]:
    """Return what `dump_model` wrote; `sha256` is what the bytes must hash to.

    Raises
    ------
    ModelError
        The bytes are others, or hold what no model holds.
    """
    content = unpack(payload, sha256=sha256, format=FORMAT, trusted=_TRUSTED)
    model = SurvivalModel(
        ModelSpec(**spec_values(content["spec"])),
        tuple(content["columns"]),
        content["prepare"],
        content["estimator"],
        Baseline(**content["base"]),
        content["chosen"],
    )
    return model, content["thresholds"]
