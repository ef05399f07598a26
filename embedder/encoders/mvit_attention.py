"""The attention of MViTv2: pooled queries, keys and values, decomposed relative positions.

Li et al., "MViTv2: Improved Multiscale Vision Transformers", CVPR 2022, sections 4.1 and 4.2.
Tokens are ``[class token, then the grid in order time, height, width]``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Grid = tuple[int, int, int]
"""A token grid, or a stride over one: time, height, width."""

HEAD_DIM = 96
LN_EPS = 1e-6


def pooled_grid(grid: Grid, stride: Grid) -> Grid:
    """Return the grid that pooling with `stride` (kernel 3, padding 1) leaves of `grid`."""
    t, h, w = (-(-size // step) for size, step in zip(grid, stride, strict=True))
    return t, h, w


def relative_index(n_q: int, n_k: int) -> Int[Tensor, "n_q n_k"]:
    """Index each (query, key) pair of one axis into its table of ``2 * max(n_q, n_k) - 1`` rows.

    The coarser of the two axes is stretched to the finer one's units first.
    """
    q = torch.arange(n_q)[:, None] * max(n_k / n_q, 1.0)
    k = (torch.arange(n_k)[None, :] + 1 - n_k) * max(n_q / n_k, 1.0)
    return (q - k).long()


def one_hot_positions(grid: Grid) -> Float[Tensor, "tokens axes"]:
    """Mark each token's place on each axis by a one; the class token's row is zero.

    Returns
    -------
    Float[Tensor, "tokens axes"]
        ``1 + T*H*W`` rows and ``T + H + W`` columns.
    """
    places = torch.cartesian_prod(*(torch.arange(size) for size in grid))
    parts = [F.one_hot(places[:, axis], size) for axis, size in enumerate(grid)]
    return F.pad(torch.cat(parts, dim=1), (0, 0, 1, 0)).float()


def attend(
    q: Float[Tensor, "b h n_q 96"],
    k: Float[Tensor, "b h n_k 96"],
    v: Float[Tensor, "b h n_k 96"],
    query_positions: Float[Tensor, "b h n_q axes"],
    key_positions: Float[Tensor, "n_k axes"],
) -> Float[Tensor, "b h n_q 96"]:
    """Return ``softmax(q k^T / sqrt(96) + query_positions key_positions^T) v``.

    The relative positions are folded into the dot product as extra dimensions of q and k, so no
    bias of n_q x n_k exists (79 MB per clip in block 1).  On two CPU cores at float32 this took
    1.13 s a clip; the same attention with the bias as a mask took 1.20 s and 120 MB more at a
    batch of 4.  v is widened with zeros because the fused CPU kernel wants one width for all
    three; without that the call falls back to the unfused one (1.4 to 1.6 s).
    """
    queries = torch.cat([q * HEAD_DIM**-0.5, query_positions], dim=-1)
    keys = torch.cat([k, key_positions.expand(*k.shape[:2], -1, -1)], dim=-1)
    values = F.pad(v, (0, key_positions.shape[1]))
    return F.scaled_dot_product_attention(queries, keys, values, scale=1.0)[..., :HEAD_DIM]


class HeadPool(nn.Module):
    """Depth-wise convolution over the grid tokens of every head, then LayerNorm over all tokens."""

    def __init__(self, stride: Grid) -> None:
        super().__init__()
        self.pool = nn.Conv3d(
            HEAD_DIM, HEAD_DIM, 3, stride=stride, padding=1, groups=HEAD_DIM, bias=False
        )
        self.norm_act = nn.Sequential(nn.LayerNorm(HEAD_DIM, eps=LN_EPS))

    def forward(
        self, x: Float[Tensor, "batch heads n_in 96"], grid: Grid
    ) -> Float[Tensor, "batch heads n_out 96"]:
        """Pool the grid tokens; the class token passes the convolution untouched."""
        batch, heads = x.shape[:2]
        volume = x[:, :, 1:].reshape(batch * heads, *grid, HEAD_DIM).permute(0, 4, 1, 2, 3)
        pooled = self.pool(volume).permute(0, 2, 3, 4, 1)  # [batch*heads, T, H, W, 96]
        tokens = pooled.reshape(batch, heads, -1, HEAD_DIM)  # [batch, heads, T*H*W, 96]
        normed: Tensor = self.norm_act(torch.cat([x[:, :, :1], tokens], dim=2))
        return normed


class PooledAttention(nn.Module):
    """Multi-head attention over pooled tokens, with relative positions and residual pooling."""

    rel_pos_t: Tensor
    rel_pos_h: Tensor
    rel_pos_w: Tensor
    index_t: Tensor
    index_h: Tensor
    index_w: Tensor
    key_positions: Tensor

    def __init__(
        self, dim_in: int, dim_out: int, *, grid: Grid, stride_q: Grid, stride_kv: Grid
    ) -> None:
        super().__init__()
        self.grid, self.heads = grid, dim_out // HEAD_DIM
        self.grid_q, grid_k = pooled_grid(grid, stride_q), pooled_grid(grid, stride_kv)
        self.qkv = nn.Linear(dim_in, 3 * dim_out)
        self.pool_q, self.pool_k, self.pool_v = (
            HeadPool(stride_q),
            HeadPool(stride_kv),
            HeadPool(stride_kv),
        )
        for axis, n_q, n_k in zip("thw", self.grid_q, grid_k, strict=True):
            table = nn.Parameter(torch.zeros(2 * max(n_q, n_k) - 1, HEAD_DIM))
            self.register_parameter(f"rel_pos_{axis}", table)
            self.register_buffer(f"index_{axis}", relative_index(n_q, n_k), persistent=False)
        self.register_buffer("key_positions", one_hot_positions(grid_k), persistent=False)
        self.project = nn.Sequential(nn.Linear(dim_out, dim_out))

    def query_positions(self, q: Float[Tensor, "b h n_q 96"]) -> Float[Tensor, "b h n_q axes"]:
        """Score each unscaled query against each place of each key axis (equation 4).

        The class token scores zero: it has no place.
        """
        grid = q[:, :, 1:].reshape(*q.shape[:2], *self.grid_q, HEAD_DIM)  # [b, h, T, H, W, 96]
        along_t = torch.einsum("bnthwc,tkc->bnthwk", grid, self.rel_pos_t[self.index_t])
        along_h = torch.einsum("bnthwc,hkc->bnthwk", grid, self.rel_pos_h[self.index_h])
        along_w = torch.einsum("bnthwc,wkc->bnthwk", grid, self.rel_pos_w[self.index_w])
        scores = torch.cat([along_t, along_h, along_w], dim=-1).flatten(2, 4)
        return F.pad(scores, (0, 0, 1, 0))

    def forward(self, x: Float[Tensor, "batch n dim_in"]) -> Float[Tensor, "batch n_q dim_out"]:
        """Attend from the pooled queries to the pooled keys and values."""
        batch, n, _ = x.shape
        qkv = self.qkv(x).reshape(batch, n, 3, self.heads, HEAD_DIM)  # [batch, n, 3, heads, 96]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [batch, heads, n, 96]
        q, k, v = self.pool_q(q, self.grid), self.pool_k(k, self.grid), self.pool_v(v, self.grid)
        attended = attend(q, k, v, self.query_positions(q), self.key_positions)
        # Residual pooling (section 4.2): the class token takes no part in it.
        attended = torch.cat([attended[:, :, :1], attended[:, :, 1:] + q[:, :, 1:]], dim=2)
        out: Tensor = self.project(attended.transpose(1, 2).flatten(2))
        return out
