"""How well a video encoder tells segments apart, on runs that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.segments import SEGMENTS
from phantom.training.batches import SEGMENT_FACTS, Batches, segment_facts
from phantom.training.dataset import TrainingSet
from phantom.training.dense import LVEF_CENTRE, LVEF_SCALE, DenseHeads
from phantom.training.models import Models

_BATCH = 64
_FEWEST = 3
"""Positives and negatives below which no area is worth a mean."""


def auroc(truth: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Return the area under the ROC curve; NaN when only one class is there.

    Ties count a half (the Mann-Whitney statistic).
    """
    positive, negative = score[truth], np.sort(score[~truth])
    if not len(positive) or not len(negative):
        return float("nan")
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    return float((below + upto).mean() / 2 / len(negative))


def validate_video(models: Models, trained: nn.ModuleDict, data: TrainingSet) -> dict[str, float]:
    """Score segments by their highest logit over the views that fill them.

    Parameters
    ----------
    models : Models
        For the preparation of clips.
    trained : ModuleDict
        ``video`` and its dense ``heads``.
    data : TrainingSet

    Returns
    -------
    dict
        Mean AUROC over segments of each of `SEGMENT_FACTS`, and the mean absolute error of the
        ejection fraction (mean over the views), in percent.
    """
    video, heads = trained["video"], cast(DenseHeads, trained["heads"])
    device = heads.bias.device
    logits, lvef = [], []
    for clips in _clips(data):
        with torch.inference_mode():
            features = video(models.normalise(clips.to(device)))
            logits.append(heads.of_segments(features.tokens)[..., : len(SEGMENT_FACTS)].cpu())
            lvef.append(heads.whole(features.pooled)[:, 0].cpu())
    said = torch.cat(logits).numpy()
    seen = data.seen(np.arange(len(data)))
    said = np.where(seen[..., None], said, -np.inf)
    studies = len(data.lvef)
    best = np.full((studies, *said.shape[1:]), -np.inf, np.float32)
    np.maximum.at(best, data.study, said)
    truth = segment_facts(data.states) > 0
    found = {name: _mean_area(truth[..., i], best[..., i]) for i, name in enumerate(SEGMENT_FACTS)}
    sums = np.bincount(data.study, torch.cat(lvef).numpy(), studies)
    mean = LVEF_CENTRE + LVEF_SCALE * sums / np.bincount(data.study, minlength=studies)
    return found | {"lvef_mae": float(np.abs(mean - data.lvef).mean())}


def _mean_area(truth: NDArray[np.bool_], score: NDArray[np.float32]) -> float:
    areas = []
    for segment in range(len(SEGMENTS)):
        known = np.isfinite(score[:, segment])
        right = truth[known, segment]
        if min(right.sum(), (~right).sum()) >= _FEWEST:
            areas.append(auroc(right, score[known, segment]))
    return float(np.mean(areas)) if areas else float("nan")


def _clips(data: TrainingSet) -> Iterator[torch.Tensor]:
    batches = Batches(data)
    for first in range(0, len(data), _BATCH):
        yield batches.make(np.arange(first, min(first + _BATCH, len(data)))).clips
