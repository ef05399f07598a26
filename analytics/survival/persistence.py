"""Fitted models as bytes, in a format that runs no code when it is read (skops)."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import skops.io

from analytics.survival.baseline import Baseline
from analytics.survival.models import ModelSpec, SurvivalModel
from core.errors import AtlasError

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


class ModelError(AtlasError):
    """A saved model cannot be used."""

    code = "model"


def dump_model(model: SurvivalModel, thresholds: np.ndarray) -> bytes:
    """Return a model and the thresholds of its groups of risk as bytes."""
    content = {
        "format": FORMAT,
        "spec": asdict(model.spec),
        "columns": list(model.columns),
        "prepare": model.prepare,
        "estimator": model.estimator,
        "base": {name: getattr(model.base, name) for name in ("time", "event", "competing")},
        "chosen": dict(model.chosen),
        "thresholds": np.asarray(thresholds, np.float64),
    }
    return bytes(skops.io.dumps(content))


def load_model(payload: bytes, *, sha256: str) -> tuple[SurvivalModel, np.ndarray]:
    """Return what `dump_model` wrote.

    Parameters
    ----------
    payload : bytes
    sha256 : str
        What the bytes must hash to.

    Raises
    ------
    ModelError
        The bytes are others, or hold what no model holds.
    """
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise ModelError(
            "the saved model is damaged: its bytes do not give its id", "fit and save it again"
        )
    try:
        strange = set(skops.io.get_untrusted_types(data=payload)) - set(_TRUSTED)
        if strange:
            raise ModelError(
                f"the saved model holds what no model holds: {', '.join(sorted(strange))}",
                "do not use it; fit and save it again",
            )
        content: dict[str, Any] = skops.io.loads(payload, trusted=list(_TRUSTED))
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ModelError("the saved model cannot be read", "fit and save it again") from error
    if content.get("format") != FORMAT:
        raise ModelError(
            f"the saved model has format {content.get('format')}, this software reads {FORMAT}",
            "fit and save it again",
        )
    spec: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content["spec"].items()
    }
    model = SurvivalModel(
        ModelSpec(**spec),
        tuple(content["columns"]),
        content["prepare"],
        content["estimator"],
        Baseline(**content["base"]),
        content["chosen"],
    )
    return model, content["thresholds"]
