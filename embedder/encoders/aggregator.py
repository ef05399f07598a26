"""From the video vectors of a study, in their order, to one vector of the joint space.

Masks follow the original: True = ignore.  What an ignored position holds is replaced before
anything is computed, so it moves no output, whatever it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.schema import EMBEDDING_DIM

MAX_VIDEOS = 1024
"""Rows of the position table: more videos than this have no position."""


class SelfAttention(nn.Module):
    """Multi-head self-attention with packed input weights (q, k, v in that order)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * EMBEDDING_DIM, EMBEDDING_DIM))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * EMBEDDING_DIM))
        self.out_proj = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)

    def forward(
        self, x: Float[Tensor, "studies videos 512"], keep: Bool[Tensor, "studies videos"]
    ) -> Float[Tensor, "studies videos 512"]:
        """Attend from every position to the kept ones; each row must keep at least one."""
        studies, videos, _ = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        qkv = qkv.reshape(studies, videos, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [studies, heads, videos, 512 / heads]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keep[:, None, None, :])
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out


class AggregatorBlock(nn.Module):
    """Pre-norm self-attention and MLP."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(EMBEDDING_DIM)
        self.attn = SelfAttention(heads)
        self.norm2 = nn.LayerNorm(EMBEDDING_DIM)
        self.mlp = nn.Sequential(
            nn.Linear(EMBEDDING_DIM, 4 * EMBEDDING_DIM),
            nn.GELU(),
            nn.Identity(),  # keeps the upstream key of the second layer, mlp.3
            nn.Linear(4 * EMBEDDING_DIM, EMBEDDING_DIM),
        )

    def forward(
        self, x: Float[Tensor, "studies videos 512"], keep: Bool[Tensor, "studies videos"]
    ) -> Float[Tensor, "studies videos 512"]:
        """Attend, then the MLP, each with a skip."""
        x = x + self.attn(self.norm1(x), keep)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Aggregator(nn.Module):
    """Positions, transformer blocks, and a learned query over the result.

    Parameters
    ----------
    heads : int
        Must divide 512.  The weights fit any such number and tell nothing about it.
    depth : int
        Blocks.
    """

    def __init__(self, *, heads: int, depth: int) -> None:
        super().__init__()
        self.pos_encoding = nn.Parameter(torch.zeros(1, MAX_VIDEOS, EMBEDDING_DIM))
        self.attn_query = nn.Parameter(torch.zeros(1, 1, EMBEDDING_DIM))
        self.blocks = nn.ModuleList(AggregatorBlock(heads) for _ in range(depth))
        self.final_ln = nn.LayerNorm(EMBEDDING_DIM)

    def forward(
        self,
        videos: Float[Tensor, "studies videos 512"],
        ignore: Bool[Tensor, "studies videos"] | None = None,
    ) -> Float[Tensor, "studies 512"]:
        """Combine the videos of each study.

        Parameters
        ----------
        videos : Float[Tensor, "studies videos 512"]
            Pooled vectors in the order of the study, at most 1024.
        ignore : Bool[Tensor, "studies videos"], optional
            True where a position is padding.

        Returns
        -------
        Float[Tensor, "studies 512"]
            Not normalised; zeros for a study of padding alone.
        """
        if ignore is None:
            ignore = torch.zeros(videos.shape[:2], dtype=torch.bool, device=videos.device)
        empty = ignore.all(dim=1, keepdim=True)
        keep = ~ignore | empty  # attention over nothing is NaN; such rows are zeroed at the end
        x = torch.where(ignore[..., None], 0.0, videos) + self.pos_encoding[:, : videos.shape[1]]
        for block in self.blocks:
            x = block(x, keep)
        x = self.final_ln(x)
        # The original has neither a scale nor a projection in this last attention.
        scores = (x @ self.attn_query[0, 0]).masked_fill(~keep, -torch.inf)
        combined = (scores.softmax(dim=1)[:, None] @ x)[:, 0]
        return torch.where(empty, 0.0, combined)
