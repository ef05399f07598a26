"""Pooled attention over the tokens of one clip; see `mvit_attention` for what it computes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from embedder.encoders.cpu.linear import PackedLinear, product
from embedder.encoders.mvit_attention import HEAD_DIM, LN_EPS, Grid, HeadPool, PooledAttention

CACHE_BYTES = 4 * 2**20
"""What one step may write before the next one reads it: it stays in the cache of two cores.

It also stays below 32 MiB, from where on the C library gives memory back at each call, and takes it
anew page by page.
"""


def slices(rows: int, width: int, dtype: torch.dtype) -> Iterator[slice]:
    """Cut rows so that each part, of `width` numbers a row, fits `CACHE_BYTES`."""
    parts = -(-rows * width * dtype.itemsize // CACHE_BYTES)
    step = -(-rows // parts)
    return (slice(start, start + step) for start in range(0, rows, step))


class CpuPool:
    """`HeadPool` on tokens of all heads side by side, as the linear layer leaves them.

    So the convolution reads channels last, and nothing is copied before or after it.

    Parameters
    ----------
    plain : HeadPool
    heads : int
    dtype : torch.dtype
    scale : float
        Of the result; the norm's parameters take it in.
    """

    def __init__(
        self, plain: HeadPool, heads: int, dtype: torch.dtype, *, scale: float = 1.0
    ) -> None:
        weight = plain.pool.weight.detach().repeat(heads, 1, 1, 1, 1).to(dtype)
        self._weight = weight.contiguous(memory_format=torch.channels_last_3d)
        self._stride = plain.pool.stride
        norm = plain.norm_act[0]
        assert isinstance(norm, nn.LayerNorm)
        self._norm = (
            (norm.weight.detach() * scale).to(dtype),
            (norm.bias.detach() * scale).to(dtype),
        )

    def __call__(
        self, x: Float[Tensor, "n_in heads_96"], grid: Grid
    ) -> tuple[Float[Tensor, "heads 96"], Float[Tensor, "places heads 96"]]:
        """Return the class token and the pooled places, both normed."""
        width = x.shape[1]
        volume = x[1:].reshape(1, *grid, width).permute(0, 4, 1, 2, 3)
        pooled = F.conv3d(volume, self._weight, None, self._stride, 1, 1, width)
        places = pooled.permute(0, 2, 3, 4, 1).reshape(-1, width // HEAD_DIM, HEAD_DIM)
        return self._normed(x[0].reshape(-1, HEAD_DIM)), self._normed(places)

    def _normed(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (HEAD_DIM,), *self._norm, LN_EPS)


class CpuAttention:
    """`PooledAttention` of one clip, but for its last linear layer.

    Parameters
    ----------
    plain : PooledAttention
    dtype : torch.dtype
        float32 or bfloat16.
    """

    def __init__(self, plain: PooledAttention, dtype: torch.dtype) -> None:
        self.grid, self.grid_q, self.heads = plain.grid, plain.grid_q, plain.heads
        weights = plain.qkv.weight.detach().chunk(3), plain.qkv.bias.detach().chunk(3)
        self._q, self._k, self._v = (
            PackedLinear(w, b, dtype) for w, b in zip(*weights, strict=True)
        )
        self._pool_q = CpuPool(plain.pool_q, self.heads, dtype)
        # Of the dot product; positions are scored with unscaled queries.
        self._pool_k = CpuPool(plain.pool_k, self.heads, dtype, scale=HEAD_DIM**-0.5)
        self._pool_v = CpuPool(plain.pool_v, self.heads, dtype)
        along_t, along_h, along_w = (
            table.detach()[index].transpose(1, 2)  # [n_q, 96, n_k]
            for table, index in (
                (plain.rel_pos_t, plain.index_t),
                (plain.rel_pos_h, plain.index_h),
                (plain.rel_pos_w, plain.index_w),
            )
        )
        t, h, _ = self.grid_q
        rows = torch.cat([along_t.repeat_interleave(h, 0), along_h.repeat(t, 1, 1)], dim=2)
        self._along_rows = rows.to(dtype)  # [T*H, 96, t + h]
        self._along_w = along_w.repeat_interleave(self.heads, 0).to(dtype)  # [W*heads, 96, w]
        self._places = plain.key_positions.to(dtype)

    def __call__(self, x: Float[Tensor, "n dim_in"]) -> Float[Tensor, "n_q dim_out"]:
        """Attend from the pooled queries to the pooled keys and values."""
        class_q, q = self._pool_q(self._q(x), self.grid)
        class_k, k = self._pool_k(self._k(x), self.grid)
        class_v, v = self._pool_v(self._v(x), self.grid)
        queries = self._queries(class_q, q)
        keys = torch.cat([class_k[None], k]).transpose(0, 1)  # [heads, n_k, 96]
        values = torch.cat([class_v[None], v]).permute(1, 2, 0).contiguous()  # [heads, 96, n_k]
        out = x.new_empty(1 + len(q), self.heads, HEAD_DIM)
        for head in range(self.heads):
            with_places = torch.cat([keys[head], self._places], dim=1)
            for part in slices(len(out), len(with_places), x.dtype):
                scores = product(queries[head, part], with_places)
                out[part, head] = product(torch.softmax(scores, dim=-1), values[head])
        # Residual pooling: the class token takes no part in it.
        out[1:] += q
        return out.flatten(1)

    def _queries(
        self, class_q: Float[Tensor, "heads 96"], q: Float[Tensor, "places heads 96"]
    ) -> Float[Tensor, "heads n_q width"]:
        """Put the scores of the relative positions behind each query; see `attend`."""
        t, h, w = self.grid_q
        axes = self._places.shape[1]
        by_row = q.view(t * h, w * self.heads, HEAD_DIM)
        along_rows = torch.bmm(by_row, self._along_rows)  # [T*H, W*heads, t + h]
        along_w = torch.bmm(by_row.transpose(0, 1), self._along_w)  # [W*heads, T*H, w]
        cut = HEAD_DIM + along_rows.shape[2]
        queries = q.new_empty(self.heads, 1 + len(q), HEAD_DIM + axes)
        queries[:, 0, :HEAD_DIM] = class_q
        queries[:, 0, HEAD_DIM:] = 0
        queries[:, 1:, :HEAD_DIM] = q.transpose(0, 1)
        queries[:, 1:, HEAD_DIM:cut] = along_rows.view(len(q), self.heads, -1).transpose(0, 1)
        queries[:, 1:].view(self.heads, t * h, w, -1)[..., cut:] = along_w.view(
            w, self.heads, t * h, -1
        ).permute(1, 2, 0, 3)
        return queries
