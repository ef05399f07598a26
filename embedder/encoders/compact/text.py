"""The compact text tower: hashed words, two transformer blocks, their mean in the joint space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.schema import EMBEDDING_DIM
from embedder.encoders.compact import words

_DIM: Final = 128
_HEADS: Final = 4
_MLP: Final = 256
_DEPTH: Final = 2
_WORD_DROPOUT: Final = 0.1
"""How often, in training, a word must be told by its letters alone, as a misspelt one must."""


class TextBlock(nn.Module):
    """Pre-norm self-attention and MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_DIM)
        self.qkv = nn.Linear(_DIM, 3 * _DIM)
        self.out = nn.Linear(_DIM, _DIM)
        self.norm2 = nn.LayerNorm(_DIM)
        self.mlp = nn.Sequential(nn.Linear(_DIM, _MLP), nn.GELU(), nn.Linear(_MLP, _DIM))

    def forward(
        self, x: Float[Tensor, "texts words 128"], keep: Bool[Tensor, "texts words"]
    ) -> Float[Tensor, "texts words 128"]:
        """Attend to the kept words, then the MLP, each with a skip."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, _HEADS, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [texts, heads, words, 32]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keep[:, None, None, :])
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class CompactText(nn.Module):
    """Texts to vectors of the joint space."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(words.BUCKETS, _DIM, padding_idx=0)
        self.position = nn.Parameter(torch.zeros(words.MAX_WORDS, _DIM))
        self.blocks = nn.ModuleList(TextBlock() for _ in range(_DEPTH))
        self.norm = nn.LayerNorm(_DIM)
        self.project = nn.Linear(_DIM, EMBEDDING_DIM)

    @staticmethod
    def featurise(texts: Sequence[str]) -> Int[Tensor, "texts words 12"]:
        """Return the numbers of texts, for `forward`; see `words.featurise`."""
        return words.featurise(texts)

    def forward(self, ids: Int[Tensor, "texts words 12"]) -> Float[Tensor, "texts 512"]:
        """Encode texts into the joint space, not normalised.

        Parameters
        ----------
        ids : Int[Tensor, "texts words 12"]
            From `featurise`.  A text without words is read as one empty word.
        """
        keep = (ids > 0).any(dim=2)
        keep[:, 0] = True  # attention over nothing is NaN
        x = self.embed(ids) + self.position[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, keep)
        weights = keep[..., None].to(x.dtype)
        mean = (self.norm(x) * weights).sum(dim=1) / weights.sum(dim=1)
        out: Tensor = self.project(mean)
        return out

    def embed(self, ids: Int[Tensor, "texts words 12"]) -> Float[Tensor, "texts words 128"]:
        """Return the mean of the vectors of each word's features."""
        if self.training:
            ids = ids.clone()
            lost = torch.rand(ids.shape[:2], device=ids.device) < _WORD_DROPOUT
            ids[..., 0] = torch.where(lost & (ids[..., 1] > 0), 0, ids[..., 0])
        count = (ids > 0).sum(dim=2, keepdim=True).clamp_min(1)
        total: Tensor = self.table(ids).sum(dim=2)
        return total / count
