"""The form in which a loaded backbone is computed: by device and precision, for inference alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from embedder.encoders.cpu.backbone import CpuBackbone
from embedder.encoders.cpu.linear import can_pack
from embedder.encoders.mvit import MViT
from embedder.encoders.precision import InBfloat16
from embedder.encoders.spec import PrecisionName

Backbone = Callable[[Tensor], Tensor]
"""From normalised clips (batch, 3, 16, 224, 224) to tokens (batch, 393, 768), both float32."""


def prepare(plain: MViT, precision: PrecisionName) -> Backbone:
    """Return the fastest form of a backbone for the device that it is on.

    Parameters
    ----------
    plain : MViT
        Of float32; stays as it is.  What is returned holds a copy of its parameters, unless it is
        the module itself.
    precision : {"fp32", "bf16"}
        Of weights and activations; there is no autocast.
    """
    if plain.norm.weight.device.type == "cpu" and can_pack():
        return CpuBackbone(plain, torch.float32 if precision == "fp32" else torch.bfloat16)
    return plain if precision == "fp32" else InBfloat16(plain)
