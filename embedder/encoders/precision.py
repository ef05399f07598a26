"""True float32: the switches of torch that trade precision for speed, held off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_PRECISION = threading.Lock()


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
