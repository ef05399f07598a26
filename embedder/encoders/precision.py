"""What the video network computes in: true float32, or bfloat16 within a stated deviation."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_PRECISION = threading.Lock()


def has_bf16() -> bool:
    """Tell whether this CPU multiplies bfloat16 itself; others imitate it, slower than float32."""
    found = torch.cpu.get_capabilities()
    return any("bf16" in name and bool(there) for name, there in found.items())


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute in true float32, without gradients.

    TF32, which CUDA convolutions use by default, is off by a few 1e-3.  The switches belong to the
    process, so callers take turns; they would on the device anyway.
    """
    with _PRECISION, torch.inference_mode():
        matmul = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                yield
        finally:
            torch.set_float32_matmul_precision(matmul)


class InBfloat16(nn.Module):
    """A float32 module computed in bfloat16, by a rounded copy: float32 in, float32 out."""

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        self.rounded = copy.deepcopy(plain).to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the copy."""
        out: Tensor = self.rounded(x.to(torch.bfloat16)).float()
        return out
