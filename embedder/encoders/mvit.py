"""MViTv2-S for clips of 16 x 224 x 224: the backbone of DeepCORO-CLIP.

Li et al., "MViTv2: Improved Multiscale Vision Transformers", CVPR 2022.  Parameter names are those
of torchvision's `mvit_v2_s`, without its classification head; all tokens are returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from embedder.encoders.mvit_attention import LN_EPS, Grid, PooledAttention, pooled_grid

STEM_DIM = 96
STEM_STRIDE: Grid = (2, 4, 4)


@dataclass(frozen=True)
class BlockShape:
    """Width and strides of one block; the width grows inside its attention."""

    dim_in: int
    dim_out: int
    stride_q: int
    stride_kv: int


MVIT_V2_S: tuple[BlockShape, ...] = (
    BlockShape(96, 96, 1, 8),
    BlockShape(96, 192, 2, 4),
    BlockShape(192, 192, 1, 4),
    BlockShape(192, 384, 2, 2),
    *(BlockShape(384, 384, 1, 2) for _ in range(10)),
    BlockShape(384, 768, 2, 1),
    BlockShape(768, 768, 1, 1),
)


def pool_skip(x: Float[Tensor, "b n c"], grid: Grid) -> Float[Tensor, "b m c"]:
    """Halve the grid tokens' height and width by their maximum; keep the class token."""
    volume = x[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, *grid)  # [b, c, T, H, W]
    pooled = F.max_pool3d(volume, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    return torch.cat([x[:, :1], pooled.flatten(2).transpose(1, 2)], dim=1)


class Block(nn.Module):
    """Pooled attention and an MLP, each with a skip."""

    def __init__(self, shape: BlockShape, grid: Grid) -> None:
        super().__init__()
        stride_q = (1, shape.stride_q, shape.stride_q)
        self.grid, self.grid_out = grid, pooled_grid(grid, stride_q)
        self.norm1 = nn.LayerNorm(shape.dim_in, eps=LN_EPS)
        self.attn = PooledAttention(
            shape.dim_in,
            shape.dim_out,
            grid=grid,
            stride_q=stride_q,
            stride_kv=(1, shape.stride_kv, shape.stride_kv),
        )
        self.norm2 = nn.LayerNorm(shape.dim_out, eps=LN_EPS)
        self.mlp = nn.Sequential(
            nn.Linear(shape.dim_out, 4 * shape.dim_out),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(4 * shape.dim_out, shape.dim_out),
        )
        widens = shape.dim_in != shape.dim_out
        self.project = nn.Linear(shape.dim_in, shape.dim_out) if widens else None

    def forward(self, x: Float[Tensor, "b n dim_in"]) -> Float[Tensor, "b m dim_out"]:
        """Attend, then the MLP."""
        normed = self.norm1(x)
        # Where the width grows, the skip starts from the normed input, not from x.
        skip = x if self.project is None else self.project(normed)
        if self.grid_out != self.grid:
            skip = pool_skip(skip, self.grid)
        y = skip + self.attn(normed)
        out: Tensor = y + self.mlp(self.norm2(y))
        return out


class ClassToken(nn.Module):
    """A learned token in front of the grid tokens; there is no absolute position embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(STEM_DIM))

    def forward(self, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b n_plus_1 c"]:
        """Put the class token in front."""
        return torch.cat([self.class_token.expand(tokens.shape[0], 1, -1), tokens], dim=1)


class MViT(nn.Module):
    """The backbone: clips to tokens.

    Parameters
    ----------
    frames, size : int
        Frames, and rows and columns, of a clip.  The lengths of the relative position tables
        follow from them, so weights fit one size only.
    blocks : sequence of BlockShape
        MViTv2-S unless said otherwise.
    """

    def __init__(
        self, *, frames: int = 16, size: int = 224, blocks: Sequence[BlockShape] = MVIT_V2_S
    ) -> None:
        super().__init__()
        self.conv_proj = nn.Conv3d(3, STEM_DIM, (3, 7, 7), STEM_STRIDE, (1, 3, 3))
        self.pos_encoding = ClassToken()
        self.blocks = nn.ModuleList()
        grid = pooled_grid((frames, size, size), STEM_STRIDE)
        for shape in blocks:
            block = Block(shape, grid)
            self.blocks.append(block)
            grid = block.grid_out
        self.norm = nn.LayerNorm(blocks[-1].dim_out, eps=LN_EPS)

    def forward(
        self, clips: Float[Tensor, "batch 3 frames height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Encode normalised clips.

        Returns
        -------
        Float[Tensor, "batch tokens dim"]
            For 16 x 224 x 224: 393 tokens of 768, the class token first, then 8 x 7 x 7.
        """
        volume = self.conv_proj(clips)  # [batch, 96, T, H, W]
        x = self.pos_encoding(volume.flatten(2).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        tokens: Tensor = self.norm(x)
        return tokens
