"""How well sentences rank studies that were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from phantom.training.dataset import TrainingSet
from phantom.training.features import Studies, Variant
from phantom.training.joint import encode_sentences, encode_studies
from phantom.training.models import Models
from phantom.training.validate import auroc
from phantom.words.concepts import CONCEPTS, EVALUATION_QUERIES

FEWEST: Final = 5
"""Positives below which a query's figures are left out of the means."""
_WATCHED: Final[Mapping[Variant, str]] = {"plain": "", "short": "_short"}


def average_precision(truth: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Return the mean, over the positives, of the precision at the rank of each.

    Of equal scores the earlier row counts as ranked higher; NaN without a positive.
    """
    ranked = truth[np.argsort(-score, kind="stable")]
    at = np.flatnonzero(ranked) + 1
    return float((np.arange(1, len(at) + 1) / at).mean()) if len(at) else float("nan")


def validate_joint(
    models: Models, studies: Studies, data: TrainingSet, *, device: torch.device
) -> dict[str, float]:
    """Return the mean AUROC and average precision of the evaluation's queries.

    Of clips as they are, and, by names that end in `_short`, of such that end early.  Nothing is
    returned when no query has enough positives.
    """
    texts = encode_sentences(models, models.featurise([*EVALUATION_QUERIES]).to(device))
    found: dict[str, float] = {}
    for variant, suffix in _WATCHED.items():
        vectors = encode_studies(models, studies, device=device, variant=variant)
        for name, mean in _means(data, (vectors @ texts.T).cpu().numpy()).items():
            found[name + suffix] = mean
    return found


def _means(data: TrainingSet, scores: NDArray[np.float32]) -> dict[str, float]:
    areas, precisions = [], []
    for column, concept in enumerate(EVALUATION_QUERIES.values()):
        truth = data.study_labels[:, CONCEPTS.index(concept)] > 0
        if truth.sum() >= FEWEST:
            areas.append(auroc(truth, scores[:, column]))
            precisions.append(average_precision(truth, scores[:, column]))
    if not areas:
        return {}
    return {"auroc": float(np.mean(areas)), "ap": float(np.mean(precisions))}
