"""The backbone on a CPU, clip by clip, in float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from embedder.encoders.cpu.attention import CpuAttention, slices
from embedder.encoders.cpu.linear import PackedLinear
from embedder.encoders.mvit import STEM_STRIDE, Block, MViT
from embedder.encoders.mvit_attention import Grid


class CpuNorm:
    """A LayerNorm over the width; statistics are float32 whatever the type."""

    def __init__(self, plain: nn.LayerNorm, dtype: torch.dtype) -> None:
        self._shape, self._eps = plain.normalized_shape, plain.eps
        self._weight, self._bias = (p.detach().to(dtype) for p in (plain.weight, plain.bias))

    def __call__(self, x: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
        """Normalise each row."""
        return F.layer_norm(x, self._shape, self._weight, self._bias, self._eps)


class CpuBlock:
    """`Block` on the tokens of one clip."""

    def __init__(self, plain: Block, dtype: torch.dtype) -> None:
        self._grid, self._pools = plain.grid, plain.grid_out != plain.grid
        self._norm1, self._norm2 = (CpuNorm(norm, dtype) for norm in (plain.norm1, plain.norm2))
        self._attention = CpuAttention(plain.attn, dtype)
        self._join = PackedLinear.of(plain.attn.project[0], dtype)
        self._widen = None if plain.project is None else PackedLinear.of(plain.project, dtype)
        self._into, self._out_of = (PackedLinear.of(plain.mlp[i], dtype) for i in (0, 3))

    def __call__(self, x: Float[Tensor, "n dim_in"]) -> Float[Tensor, "m dim_out"]:
        """Attend, then the MLP."""
        normed = self._norm1(x)
        skip = x if self._widen is None else self._widen(normed)
        if self._pools:
            skip = pool_skip(skip, self._grid)
        y = self._join.plus(self._attention(normed), skip)
        out = torch.empty_like(y)
        for part in slices(len(y), self._into.width, y.dtype):
            out[part] = self._out_of.plus(self._into.gelu(self._norm2(y[part])), y[part])
        return out


def pool_skip(x: Float[Tensor, "n c"], grid: Grid) -> Float[Tensor, "m c"]:
    """Halve height and width by the maximum, as `mvit.pool_skip`, without a change of layout."""
    frames = x[1:].view(*grid, -1).permute(0, 3, 1, 2)  # [T, c, H, W], channels last
    pooled = F.max_pool2d(frames, 3, 2, 1).permute(0, 2, 3, 1)
    return torch.cat([x[:1], pooled.reshape(-1, x.shape[1])])


class CpuBackbone:
    """Clips to tokens, as `MViT` would, from a copy of its parameters.

    Each clip is computed by itself, so its tokens do not depend on what shares the batch; together
    they would be no faster.

    Parameters
    ----------
    plain : MViT
        On a CPU, in float32.
    dtype : torch.dtype
        float32, or bfloat16 for activations and weights; tokens are float32 either way.
    """

    def __init__(self, plain: MViT, dtype: torch.dtype) -> None:
        self._dtype = dtype
        stem = plain.conv_proj
        assert stem.bias is not None
        self._bias = stem.bias.detach().to(dtype)
        self._colour = stem.weight.detach().to(dtype)
        # Three equal channels are one, under the sum of their filters: a third of the products.
        self._grey = stem.weight.detach().double().sum(1, keepdim=True).to(dtype)
        self._class_token = plain.pos_encoding.class_token.detach().to(dtype)
        self._blocks = [CpuBlock(block, dtype) for block in cast(Iterable[Block], plain.blocks)]
        self._norm = CpuNorm(plain.norm, torch.float32)

    def __call__(
        self, clips: Float[Tensor, "batch 3 frames height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Encode normalised clips."""
        return torch.stack([self._encode(clip) for clip in clips])

    def _encode(self, clip: Float[Tensor, "3 frames height width"]) -> Float[Tensor, "tokens dim"]:
        is_grey = torch.equal(clip[0], clip[1]) and torch.equal(clip[0], clip[2])
        clip, weight = (clip[:1], self._grey) if is_grey else (clip, self._colour)
        volume = F.conv3d(clip[None].to(self._dtype), weight, self._bias, STEM_STRIDE, (1, 3, 3))
        x = torch.cat([self._class_token[None], volume[0].flatten(1).t()])
        for block in self._blocks:
            x = block(x)
        return self._norm(x.float())
