"""From the tokens of one clip to one vector: the mean, a learned query, or a learned token.

All 393 tokens take part, the class token included.  The learned poolings appear in some training
configurations of the original; its released encoders use the mean.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.schema import EMBEDDING_DIM
from embedder.encoders.deepcoro_spec import TokenPooling

POOLING_HEADS = 8


class AttentionPool(nn.Module):
    """One learned query attends to the tokens; LayerNorm, no residual."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 1, EMBEDDING_DIM))
        self.attn = nn.MultiheadAttention(EMBEDDING_DIM, POOLING_HEADS, batch_first=True)
        self.norm = nn.LayerNorm(EMBEDDING_DIM)

    def forward(self, tokens: Float[Tensor, "videos tokens 512"]) -> Float[Tensor, "videos 512"]:
        """Pool each row of tokens."""
        query = self.query.expand(tokens.shape[0], -1, -1)
        attended, _ = self.attn(query, tokens, tokens, need_weights=False)
        pooled: Tensor = self.norm(attended[:, 0])
        return pooled


class ClassTokenPool(nn.Module):
    """A learned token joins the tokens in one post-norm transformer layer; it is the result."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, EMBEDDING_DIM))
        layer = nn.TransformerEncoderLayer(
            EMBEDDING_DIM, POOLING_HEADS, 2048, dropout=0.0, activation="relu", batch_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(EMBEDDING_DIM)

    def forward(self, tokens: Float[Tensor, "videos tokens 512"]) -> Float[Tensor, "videos 512"]:
        """Pool each row of tokens."""
        first = self.cls_token.expand(tokens.shape[0], -1, -1)
        mixed = self.transformer(torch.cat([first, tokens], dim=1))
        pooled: Tensor = self.norm(mixed[:, 0])
        return pooled


def learned_pool(mode: TokenPooling) -> AttentionPool | ClassTokenPool | None:
    """Return the module of a pooling mode; None for the mean, which has nothing to learn."""
    match mode:
        case "attention":
            return AttentionPool()
        case "cls_token":
            return ClassTokenPool()
        case "mean":
            return None
