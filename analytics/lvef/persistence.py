"""Regression models as bytes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from analytics.lvef.models import RegressionModel, RegressionSpec
from analytics.model_files import pack, spec_values, unpack

FORMAT: Final = 1
_TRUSTED: Final = (
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
"""What a model may be made of besides numbers, texts and scikit-learn's own."""


def dump_model(model: RegressionModel, mean: float) -> bytes:
    """Return a model, and the mean of the measurements that it was fitted to, as bytes."""
    content = {
        "spec": asdict(model.spec),
        "columns": list(model.columns),
        "estimator": model.estimator,
        "levels": list(model.half_width),
        "half_widths": list(model.half_width.values()),
        "range": list(model.range),
        "chosen": dict(model.chosen),
        "mean": float(mean),
    }
    return pack(content, format=FORMAT)


def load_model(payload: bytes, *, sha256: str) -> tuple[RegressionModel, float]:
    """Return what `dump_model` wrote; `sha256` is what the bytes must hash to.

    Raises
    ------
    ModelError
        The bytes are others, or hold what no model holds.
    """
    content = unpack(payload, sha256=sha256, format=FORMAT, trusted=_TRUSTED)
    low, high = content["range"]
    model = RegressionModel(
        RegressionSpec(**spec_values(content["spec"])),
        tuple(content["columns"]),
        content["estimator"],
        dict(zip(content["levels"], content["half_widths"], strict=True)),
        (low, high),
        content["chosen"],
    )
    return model, content["mean"]
