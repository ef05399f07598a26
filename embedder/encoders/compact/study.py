"""From the videos of a study, in any order, to its vector and its findings."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.schema import EMBEDDING_DIM
from core.segments import FINDINGS
from embedder.encoders.compact.video import N_SEGMENTS, TOKEN_DIM

_HIDDEN: Final = 384
_HEAD_HIDDEN: Final = 64
_PERCENT: Final = 100.0
"""Weights of unit size then give percentages of usual size."""


class CompactAggregator(nn.Module):
    """Attention over the videos, channel by channel, and a learned correction.

    Untrained it is the mean of the normalised vectors: the attention starts level and the
    correction at zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(EMBEDDING_DIM)
        self.score = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)
        self.hidden = nn.Linear(2 * EMBEDDING_DIM, _HIDDEN)
        self.correct = nn.Linear(_HIDDEN, EMBEDDING_DIM)
        for layer in (self.score, self.correct):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        pooled: Float[Tensor, "studies videos 512"],
        present: Bool[Tensor, "studies videos"],
    ) -> Float[Tensor, "studies 512"]:
        """Combine the videos of each study.

        Parameters
        ----------
        pooled : Float[Tensor, "studies videos 512"]
        present : Bool[Tensor, "studies videos"]
            False where a position is padding; each study has at least one video.

        Returns
        -------
        Float[Tensor, "studies 512"]
            Not normalised.
        """
        x = self.norm(torch.where(present[..., None], pooled, 0.0))
        attended = (_over_videos(self.score(x), present) * x).sum(dim=1)
        highest = x.masked_fill(~present[..., None], -torch.inf).amax(dim=1)
        both = torch.cat([attended, highest], dim=1)
        out: Tensor = attended + self.correct(F.gelu(self.hidden(both)))
        return out


class CompactHeads(nn.Module):
    """The ninety finding heads: each segment attends to the videos that show it."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.zeros(N_SEGMENTS, TOKEN_DIM))
        self.hidden_weight = _stacked(2 * TOKEN_DIM, _HEAD_HIDDEN)
        self.hidden_bias = nn.Parameter(torch.zeros(N_SEGMENTS, _HEAD_HIDDEN))
        self.out_weight = _stacked(_HEAD_HIDDEN, len(FINDINGS))
        self.out_bias = nn.Parameter(torch.zeros(N_SEGMENTS, len(FINDINGS)))

    def forward(
        self,
        tokens: Float[Tensor, "studies videos 18 64"],
        present: Bool[Tensor, "studies videos"],
    ) -> Float[Tensor, "studies 18 5"]:
        """Say what is found in each segment of each study.

        Parameters
        ----------
        tokens : Float[Tensor, "studies videos 18 64"]
            Of the segments, without the free ones.
        present : Bool[Tensor, "studies videos"]
            False where a position is padding; each study has at least one video.

        Returns
        -------
        Float[Tensor, "studies 18 5"]
            Raw, in the order of `core.segments.FINDINGS`: percent diameter stenosis, then logits.
        """
        x = self.pool(tokens, present)
        x = F.gelu(torch.einsum("skt,kth->skh", x, self.hidden_weight) + self.hidden_bias)
        raw = torch.einsum("skh,khf->skf", x, self.out_weight) + self.out_bias
        return torch.cat([raw[..., :1] * _PERCENT, raw[..., 1:]], dim=2)

    def pool(
        self,
        tokens: Float[Tensor, "studies videos 18 64"],
        present: Bool[Tensor, "studies videos"],
    ) -> Float[Tensor, "studies 18 128"]:
        """Return what is kept of a study: per segment, its attended and its highest values."""
        x = torch.where(present[..., None, None], tokens, 0.0)
        weights = _over_videos((x * self.score).sum(dim=3), present)  # [studies, videos, 18]
        attended = (weights[..., None] * x).sum(dim=1)
        highest = x.masked_fill(~present[..., None, None], -torch.inf).amax(dim=1)
        return torch.cat([attended, highest], dim=2)


def _over_videos(
    scores: Float[Tensor, "studies videos channels"], present: Bool[Tensor, "studies videos"]
) -> Float[Tensor, "studies videos channels"]:
    return scores.masked_fill(~present[..., None], -torch.inf).softmax(dim=1)


def _stacked(dim_in: int, dim_out: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(N_SEGMENTS, dim_in, dim_out) * dim_in**-0.5)
