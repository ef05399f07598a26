"""Stage B: studies and sentences find one space, over tokens that stay as they are.

Every sentence has all the studies, and all the videos, that it is true of as positives: the truth
is known.  The video encoder itself is not trained further, save its last projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.schema import EMBEDDING_DIM
from core.segments import FINDINGS, SEGMENTS
from phantom.training.batches import shuffled
from phantom.training.dense import LVEF_CENTRE, LVEF_SCALE, concept_loss
from phantom.training.features import Studies, StudyBatch, Variant
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
from phantom.training.sentences import Sentences

_ENCODED = 256
"""Studies that are encoded at once."""


@dataclass(frozen=True)
class JointWeights:
    """How much each loss counts, and how studies are varied.

    Attributes
    ----------
    study, video, pairs : float
        Sentences against studies, against single videos, and sentences of two concepts.
    rank : float
        Positives of a sentence before its negatives, by a softmax over the batch.
    findings : float
        The ninety heads.
    decode : float
        The state of every segment and the ejection fraction as a linear function of the vector.
    steady : float
        Two choices of a study's views against each other.
    dropped : float
        Probability that a view is left out.
    """

    study: float = 10.0
    video: float = 6.0
    pairs: float = 3.0
    rank: float = 0.3
    findings: float = 3.0
    decode: float = 2.0
    steady: float = 0.5
    dropped: float = 0.15


class JointHeads(nn.Module):
    """What is left behind after the stage: the prior of each sentence, and the decoder."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.prior = nn.Linear(dim, 1)
        nn.init.constant_(self.prior.bias, -3.0)
        self.log_scale = nn.Parameter(torch.tensor(2.7))
        self.decode = nn.Linear(dim, len(SEGMENTS) * len(FINDINGS) + 1)

    def score(
        self, vectors: Float[Tensor, "n d"], raw: Float[Tensor, "texts d"]
    ) -> Float[Tensor, "n texts"]:
        """Return the logit of each sentence for each vector: a scaled cosine and a prior."""
        cosine = vectors @ F.normalize(raw, dim=1).T
        logits: Tensor = self.log_scale.exp() * cosine + self.prior(raw)[:, 0]
        return logits


def train_joint(
    models: Models,
    studies: Studies,
    schedule: Schedule,
    *,
    log: Log,
    device: torch.device,
    checkpoint: Path | None = None,
    weights: JointWeights | None = None,
) -> None:
    """Train projection, aggregator, finding heads and text encoder, in place.

    Parameters
    ----------
    models : Models
    studies : Studies
        Of cached tokens.
    schedule : Schedule
        Its batches are studies.
    log, device, checkpoint
        As for `phantom.training.dense.train_video`.
    weights : JointWeights, optional
    """
    weights = weights or JointWeights()
    torch.manual_seed(schedule.seed)
    trained = nn.ModuleDict(
        {
            "project": models.project,
            "aggregator": models.aggregator,
            "heads": models.heads,
            "text": models.text,
            "joint": JointHeads(EMBEDDING_DIM),
        }
    ).to(device)
    sentences = Sentences(models.featurise)
    average = Average(trained, decay=0.995)
    optimizer = optimiser([trained], schedule)
    parts: dict[str, Any] = {"trained": trained, "average": average, "optimizer": optimizer}
    first = resume(checkpoint, parts, device=device)
    rows = shuffled(len(studies), schedule.batch, seed=schedule.seed)
    journal = Journal(log, "joint", schedule)
    for step in range(first, schedule.steps):
        rng = np.random.default_rng([schedule.seed, step])
        torch.manual_seed(schedule.seed * 1_000_003 + step)
        batch = studies.make(rows(step), rng).to(device)
        trained.train()
        losses = joint_losses(trained, batch, sentences, rng, weights)
        take_step(losses, weights, optimizer, schedule.rate(step))
        average.update(trained)
        journal.note(step, {name: loss.item() for name, loss in losses.items()})
        if checkpoint is not None and (step + 1) % schedule.check_every == 0:
            save_checkpoint(checkpoint, parts, step=step + 1)
    trained.load_state_dict(average.module.state_dict())
    trained.eval()


def joint_losses(
    trained: nn.ModuleDict,
    batch: StudyBatch,
    sentences: Sentences,
    rng: np.random.Generator,
    weights: JointWeights,
) -> dict[str, Tensor]:
    """Return the mean losses of a batch by the names of `JointWeights`."""
    joint: Any = trained["joint"]
    device = batch.tokens.device
    pooled = trained["project"](batch.tokens.flatten(2))  # [s, v, d]
    kept = drop_views(batch.present, weights.dropped, rng)
    vectors = F.normalize(trained["aggregator"](pooled, kept), dim=1)
    other = drop_views(batch.present, 2 * weights.dropped, rng)
    again = F.normalize(trained["aggregator"](pooled, other), dim=1)
    alone = pooled[batch.present][:, None]
    single = torch.ones(alone.shape[:2], dtype=torch.bool, device=device)
    videos = F.normalize(trained["aggregator"](alone, single), dim=1)
    video_labels = batch.video_labels[batch.present]
    raw = trained["text"](sentences.draw(rng).to(device))
    logits = joint.score(vectors, raw)
    pairs, numbers = sentences.draw_pairs(batch.study_labels.cpu().numpy() > 0, 48, rng)
    both = batch.study_labels[:, torch.from_numpy(pairs).to(device)].amin(dim=2)
    segment_tokens = batch.tokens[:, :, : len(SEGMENTS)]
    return {
        "study": concept_loss(logits, batch.study_labels),
        "video": concept_loss(joint.score(videos, raw), video_labels),
        "pairs": concept_loss(joint.score(vectors, trained["text"](numbers.to(device))), both),
        "rank": rank_loss(logits, batch.study_labels > 0),
        "findings": finding_loss(trained["heads"](segment_tokens, kept), batch.findings),
        "decode": _decode_loss(joint.decode(vectors), batch),
        "steady": 1 - (vectors * again).sum(dim=1).mean(),
    }


def drop_views(
    present: Bool[Tensor, "s v"], share: float, rng: np.random.Generator
) -> Bool[Tensor, "s v"]:
    """Leave out some views; a study whose views would all go keeps them all."""
    drawn = torch.from_numpy(rng.random(tuple(present.shape)) >= share).to(present.device)
    kept = present & drawn
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)


def rank_loss(
    logits: Float[Tensor, "s texts"], positive: Bool[Tensor, "s texts"]
) -> Float[Tensor, ""]:
    """Return how far positives of a sentence are from being before its negatives.

    Each positive against all negatives of the batch by a softmax, the mean over the positives of a
    sentence, then over the sentences that have both.
    """
    negatives = logits.masked_fill(positive, -torch.inf).logsumexp(dim=0, keepdim=True)
    each = F.softplus(negatives - logits) * positive
    count = positive.sum(dim=0)
    both = (count > 0) & (count < len(logits))
    return (each.sum(dim=0) / count.clamp_min(1))[both].mean()


def finding_loss(raw: Float[Tensor, "s 18 5"], truth: Float[Tensor, "s 18 5"]) -> Float[Tensor, ""]:
    """Return the loss of the finding heads: of the percentage, and of the four logits."""
    percent = F.smooth_l1_loss(raw[..., 0] / 100, truth[..., 0] / 100, beta=0.1)
    return 2 * percent + F.binary_cross_entropy_with_logits(raw[..., 1:], truth[..., 1:])


def _decode_loss(decoded: Float[Tensor, "s n"], batch: StudyBatch) -> Float[Tensor, ""]:
    scale = torch.ones(len(FINDINGS), device=decoded.device)
    scale[0] = 100
    lvef = F.mse_loss(decoded[:, -1], (batch.lvef - LVEF_CENTRE) / LVEF_SCALE)
    states = F.mse_loss(decoded[:, :-1], (batch.findings / scale).flatten(1))
    return 0.2 * lvef + 4 * states


def encode_studies(
    models: Models, studies: Studies, *, device: torch.device, variant: Variant = "plain"
) -> Float[Tensor, "studies d"]:
    """Return the vectors of all studies, L2-normalised."""
    found = []
    for first in range(0, len(studies), _ENCODED):
        rows = np.arange(first, min(first + _ENCODED, len(studies)))
        part = studies.make(rows, variant).to(device)
        with torch.inference_mode():
            pooled = models.project(part.tokens.flatten(2))
            found.append(F.normalize(models.aggregator(pooled, part.present), dim=1))
    return torch.cat(found)


def encode_sentences(models: Models, numbers: Int[Tensor, "n words features"]) -> Tensor:
    """Return the vectors of sentences, L2-normalised."""
    models.text.eval()
    with torch.inference_mode():
        return F.normalize(models.text(numbers), dim=1)
