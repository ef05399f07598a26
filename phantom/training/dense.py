"""Stage A: the video encoder learns from the truth of every picture.

Where each segment is, where which lesion is, and what each segment has: told densely, this is what
lets a small encoder learn in minutes what it would not learn from sentences alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from core.segments import SEGMENTS
from phantom.training.batches import SEGMENT_FACTS, Batch, Batches, shuffled
from phantom.training.dataset import DOMINANCE, TrainingSet
from phantom.training.loop import (
    Journal,
    Log,
    Schedule,
    optimiser,
    resume,
    save_checkpoint,
    take_step,
)
from phantom.training.models import Average, Models
from phantom.words.concepts import CONCEPTS

AVERAGED: Final = 0.998
"""Decay of the running average of the weights, per step."""
RARE: Final = 3.0
"""Weight of what is there against what is not, in the maps and of the segments' facts."""
LVEF_CENTRE: Final = 50.0
LVEF_SCALE: Final = 15.0
_FACTS = len(SEGMENT_FACTS)


@dataclass(frozen=True)
class Weights:
    """How much each loss counts."""

    attention: float = 0.5
    lesions: float = 20.0
    percent: float = 10.0
    facts: float = 4.0
    seen: float = 1.0
    lvef: float = 0.5
    dominance: float = 0.3
    concepts: float = 8.0


class DenseHeads(nn.Module):
    """What turns tokens and vectors into answers that the truth can be held against.

    They are left behind after training.

    Parameters
    ----------
    token_dim, dim : int
        Of a token, and of the joint space.
    """

    def __init__(self, token_dim: int, dim: int) -> None:
        super().__init__()
        n = len(SEGMENTS)
        self.weight = nn.Parameter(torch.randn(n, token_dim, _FACTS + 2) * token_dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(n, _FACTS + 2))
        self.whole = nn.Linear(dim, 1 + len(DOMINANCE))
        self.prototypes = nn.Parameter(torch.randn(len(CONCEPTS), dim))
        self.prior = nn.Parameter(torch.full((len(CONCEPTS),), -3.0))
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def of_segments(self, tokens: Float[Tensor, "n q t"]) -> Float[Tensor, "n 18 9"]:
        """Return, per segment, logits of its facts, its percentage, and a logit of being seen."""
        mixed = torch.einsum("nkt,ktf->nkf", tokens[:, : len(SEGMENTS)], self.weight)
        return mixed + self.bias

    def of_concepts(self, vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n concepts"]:
        """Return the logit of each concept: a scaled cosine and how frequent it is."""
        cosine = F.normalize(vectors, dim=1) @ F.normalize(self.prototypes, dim=1).T
        return self.log_scale.exp() * cosine + self.prior


def dense_losses(
    features: Any, vectors: Tensor, heads: DenseHeads, batch: Batch
) -> dict[str, Tensor]:
    """Hold what a model says of a batch against the truth.

    Parameters
    ----------
    features
        Of the video encoder, see `phantom.training.models.Models`.
    vectors : Float[Tensor, "n d"]
        Each video's place in the joint space.
    heads : DenseHeads
    batch : Batch

    Returns
    -------
    dict
        Mean losses by the names of `Weights`.
    """
    said = heads.of_segments(features.tokens.float())
    whole = heads.whole(features.pooled.float())
    seen = batch.seen.float()
    shown = batch.segments.sum(dim=2)  # 1 where the segment is in the picture, else 0
    logs = features.attention_logits.float().flatten(2).log_softmax(dim=2)
    rare = torch.full((), RARE, device=said.device)
    percent = F.smooth_l1_loss(said[..., _FACTS], batch.percent, reduction="none", beta=0.1)
    facts = F.binary_cross_entropy_with_logits(
        said[..., :_FACTS], batch.facts, reduction="none", pos_weight=rare
    )
    return {
        "attention": -((batch.segments * logs).sum(dim=2) * shown).sum() / shown.sum().clamp_min(1),
        "lesions": F.binary_cross_entropy_with_logits(
            features.lesion_logits.float(), batch.lesions, pos_weight=rare
        ),
        "percent": (percent * seen).sum() / seen.sum().clamp_min(1),
        "facts": (facts.mean(dim=2) * seen).sum() / seen.sum().clamp_min(1),
        "seen": F.binary_cross_entropy_with_logits(said[..., _FACTS + 1], shown),
        "lvef": F.smooth_l1_loss(whole[:, 0], (batch.lvef - LVEF_CENTRE) / LVEF_SCALE),
        "dominance": F.cross_entropy(whole[:, 1:], batch.dominance),
        "concepts": concept_loss(heads.of_concepts(vectors.float()), batch.labels),
    }


def concept_loss(
    logits: Float[Tensor, "n concepts"], labels: Int[Tensor, "n concepts"], *, rare: float = 2.0
) -> Float[Tensor, ""]:
    """Return the mean binary cross-entropy over the labels that are known (not -1)."""
    known = (labels >= 0).float()
    # A label of -1 is put to 0 before and left out after: NaN would spread through a product.
    losses = F.binary_cross_entropy_with_logits(
        logits,
        labels.clamp_min(0).float(),
        reduction="none",
        pos_weight=torch.full((), rare, device=logits.device),
    )
    return (losses * known).sum() / known.sum()


def train_video(
    models: Models,
    data: TrainingSet,
    schedule: Schedule,
    *,
    log: Log,
    device: torch.device,
    checkpoint: Path | None = None,
    weights: Weights | None = None,
    on_check: Callable[[int, nn.ModuleDict], None] | None = None,
) -> None:
    """Train the video encoder, and leave the running average of its weights in `models.video`.

    Parameters
    ----------
    models : Models
        `video` and `aggregator` are trained, in place.
    data : TrainingSet
    schedule : Schedule
        Its batches are videos.
    log : callable
        Told lines.
    device : torch.device
    checkpoint : Path, optional
        Written now and then, and gone on from when it is there.
    weights : Weights, optional
    on_check : callable, optional
        Called at each checkpoint with the step and the averaged ``video`` and ``heads``.
    """
    torch.manual_seed(schedule.seed)
    video, aggregator = models.video.to(device), models.aggregator.to(device)
    heads = _heads_for(models, device)
    trained = nn.ModuleDict({"video": video, "aggregator": aggregator, "heads": heads})
    average = Average(trained, decay=AVERAGED)
    optimizer = optimiser([video, aggregator, heads], schedule)
    parts: dict[str, Any] = {"trained": trained, "average": average, "optimizer": optimizer}
    first = resume(checkpoint, parts, device=device)
    rows = shuffled(len(data), schedule.batch, seed=schedule.seed)
    journal = Journal(log, "video", schedule)
    batches = Batches(data)
    for step in range(first, schedule.steps):
        # A generator of its own for every step: a run taken up again draws the same.
        rng = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
        batch = batches.make(rows(step), rng).to(device)
        video.train()
        losses = _losses(models, heads, batch)
        take_step(losses, weights or Weights(), optimizer, schedule.rate(step))
        average.update(trained)
        journal.note(step, {name: loss.item() for name, loss in losses.items()})
        if (step + 1) % schedule.check_every == 0 or step + 1 == schedule.steps:
            if checkpoint is not None:
                save_checkpoint(checkpoint, parts, step=step + 1)
            if on_check is not None:
                on_check(step + 1, average.module)
    trained.load_state_dict(average.module.state_dict())


def _heads_for(models: Models, device: torch.device) -> DenseHeads:
    """Make heads for the sizes that the models turn out to have."""
    with torch.inference_mode():
        models.video.eval()
        features = models.video(torch.zeros(1, 16, 128, 128, device=device))
    return DenseHeads(features.tokens.shape[2], features.pooled.shape[1]).to(device)


def _losses(models: Models, heads: DenseHeads, batch: Batch) -> dict[str, Tensor]:
    with torch.no_grad():
        # One by one, a clip stays in the processor's cache: twice as fast as all at once.
        inputs = torch.stack([models.normalise(clip) for clip in batch.clips])
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
        features = models.video(inputs)
    pooled = features.pooled.float()[:, None]
    present = torch.ones(pooled.shape[:2], dtype=torch.bool, device=pooled.device)
    return dense_losses(features, models.aggregator(pooled, present), heads, batch)
