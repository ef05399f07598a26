"""From the tokens of a study's videos to one vector: the pooling of the finding heads.

Multi-instance pooling in two steps, so that the tokens of a study (393 a video) never have to be
held together: `within` each video, then `across` the videos.  Masks follow this part of the
original: True = valid, which is the opposite of the aggregator's.  A set without any valid vector
gets what the original gives it: 0 (mean), -inf (max), NaN (gated attention), the class token's
attention to itself.

Reference: Ilse et al., "Attention-based Deep Multiple Instance Learning", ICML 2018 (the gated
attention).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.schema import EMBEDDING_DIM
from embedder.encoders.deepcoro_spec import HeadsNorm, HeadsPooling


def masked_mean(
    x: Float[Tensor, "sets items dim"], valid: Bool[Tensor, "sets items"]
) -> Float[Tensor, "sets dim"]:
    """Return the mean of the valid vectors."""
    total = torch.where(valid[..., None], x, 0.0).sum(dim=1)
    mean: Tensor = total / valid.sum(dim=1, keepdim=True).clamp(min=1)
    return mean


def masked_max(
    x: Float[Tensor, "sets items dim"], valid: Bool[Tensor, "sets items"]
) -> Float[Tensor, "sets dim"]:
    """Return the maximum of the valid vectors, number by number."""
    return torch.where(valid[..., None], x, -torch.inf).amax(dim=1)


def gated_attention(
    x: Float[Tensor, "sets items dim"],
    valid: Bool[Tensor, "sets items"],
    *,
    tanh: nn.Linear,
    gate: nn.Linear,
    score: nn.Linear,
) -> Float[Tensor, "sets dim"]:
    """Return the mean of the valid vectors, weighted by softmax(score(tanh(Vx) * sigmoid(Ux)))."""
    x = torch.where(valid[..., None], x, 0.0)
    scores = score(torch.tanh(tanh(x)) * torch.sigmoid(gate(x)))[..., 0]
    weights = scores.masked_fill(~valid, -torch.inf).softmax(dim=1)
    mean: Tensor = (weights[:, None] @ x)[:, 0]
    return mean


def class_token_attention(
    x: Float[Tensor, "sets items dim"],
    valid: Bool[Tensor, "sets items"],
    *,
    token: Float[Tensor, "1 1 dim"],
    attention: nn.MultiheadAttention,
    layer_norm: nn.LayerNorm,
    norm: HeadsNorm,
) -> Float[Tensor, "sets dim"]:
    """Return what a learned token becomes by attending to itself and to the valid vectors.

    The norm comes first, over token and vectors, or last, over the result.  There is neither a
    skip nor an MLP.
    """
    x = torch.where(valid[..., None], x, 0.0)
    x = torch.cat([token.expand(len(x), -1, -1), x], dim=1)
    ignore = torch.cat([torch.zeros_like(valid[:, :1]), ~valid], dim=1)
    if norm == "pre_norm":
        x = layer_norm(x)
    # The original attends from every position and keeps the token's; the others are spared here.
    attended, _ = attention(x[:, :1], x, x, key_padding_mask=ignore, need_weights=False)
    pooled: Tensor = attended[:, 0]
    return layer_norm(pooled) if norm == "post_norm" else pooled


class MultiInstancePooling(nn.Module):
    """The pooling by itself; the parameters are those of `FindingHeads`, which adds the heads.

    Attributes
    ----------
    parts : int
        Vectors that `within` makes of a video.
    pooled_dim : int
        Numbers that `across` makes of a study: 512, or 1024 for a pooling with "+".
    """

    def __init__(
        self,
        *,
        pooling: HeadsPooling,
        hidden: int,
        attention_heads: int,
        separate: bool,
        norm: HeadsNorm,
        view_classes: int = 0,
    ) -> None:
        super().__init__()
        self.modes = pooling.split("+")
        self.separate, self.norm, self.view_classes = separate, norm, view_classes
        self.parts = 2 if pooling == "attention+cls_token" else 1
        self.pooled_dim = EMBEDDING_DIM * len(self.modes)
        if "cls_token" in self.modes:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, EMBEDDING_DIM))
            # Within a video, "mean+cls_token" is the mean alone.
            places = ["across"] if "mean" in self.modes else ["within", "across"]
            for suffix in dict.fromkeys(self._suffix(place) for place in places):
                attention = nn.MultiheadAttention(EMBEDDING_DIM, attention_heads, batch_first=True)
                self.add_module(f"cls_attention{suffix}", attention)
                self.add_module(f"cls_norm{suffix}", nn.LayerNorm(EMBEDDING_DIM))
        if "attention" in self.modes:
            self.attention_V = nn.Linear(EMBEDDING_DIM, hidden)
            self.attention_U = nn.Linear(EMBEDDING_DIM, hidden)
            self.attention_w = nn.Linear(hidden, 1)
        if view_classes:
            self.view_embedding = nn.Embedding(view_classes + 1, EMBEDDING_DIM)

    def within(
        self,
        tokens: Float[Tensor, "videos tokens 512"],
        view_ids: Int[Tensor, " videos"] | None = None,
    ) -> Float[Tensor, "videos parts 512"]:
        """Summarise each video by itself.

        Parameters
        ----------
        tokens : Float[Tensor, "videos tokens 512"]
            From `VideoEncoder.patch_tokens`.
        view_ids : Int[Tensor, "videos"], optional
            The view of each video, from 0; `view_classes` stands for padding.
        """
        tokens = self.with_views(tokens, view_ids)
        if self.modes[0] in ("mean", "max"):
            return tokens.mean(dim=1, keepdim=True)
        valid = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return torch.stack([self._pool(m, tokens, valid, "within") for m in self.modes], dim=1)

    def across(
        self,
        summaries: Float[Tensor, "studies videos parts 512"],
        valid: Bool[Tensor, "studies videos"],
    ) -> Float[Tensor, "studies pooled_dim"]:
        """Pool the videos of each study.

        Parameters
        ----------
        summaries : Float[Tensor, "studies videos parts 512"]
            From `within`.
        valid : Bool[Tensor, "studies videos"]
            False where a position is padding; what it holds moves nothing.

        Returns
        -------
        Float[Tensor, "studies pooled_dim"]
            Zeros if no study has a valid video; see the top of this file if only some have none.
        """
        if not valid.any():
            return summaries.new_zeros(len(summaries), self.pooled_dim)
        parts = summaries.expand(-1, -1, len(self.modes), -1).unbind(dim=2)
        pooled = [
            self._pool(mode, part, valid, "across")
            for mode, part in zip(self.modes, parts, strict=True)
        ]
        return torch.cat(pooled, dim=1)

    def with_views(
        self, x: Float[Tensor, "videos tokens 512"], view_ids: Int[Tensor, " videos"] | None
    ) -> Float[Tensor, "videos tokens 512"]:
        """Add what is learned of each video's view, if views are known."""
        if view_ids is None or not self.view_classes:
            return x
        views: Tensor = self.view_embedding(view_ids)
        return x + views[:, None]

    def _suffix(self, place: str) -> str:
        return f"_{place}" if self.separate else ""

    def _pool(
        self,
        mode: str,
        x: Float[Tensor, "sets items 512"],
        valid: Bool[Tensor, "sets items"],
        place: str,
    ) -> Float[Tensor, "sets 512"]:
        if mode == "mean":
            return masked_mean(x, valid)
        if mode == "max":
            return masked_max(x, valid)
        if mode == "attention":
            # The original uses the same weights within a video and across videos.
            layers = {"tanh": self.attention_V, "gate": self.attention_U, "score": self.attention_w}
            return gated_attention(x, valid, **layers)
        return class_token_attention(
            x,
            valid,
            token=self.cls_token,
            attention=getattr(self, f"cls_attention{self._suffix(place)}"),
            layer_norm=getattr(self, f"cls_norm{self._suffix(place)}"),
            norm=self.norm,
        )
