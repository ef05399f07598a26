"""torchvision's MViTv2-S, to measure against; the project itself does without torchvision."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from embedder.encoders.mvit import MViT

_DECLARED: list[Any] = []
"""Kept, since what a library declares goes with it."""


def find(folder: Path | None) -> Any | None:
    """Return the module `torchvision.models.video`, or None when torchvision is not here.

    Parameters
    ----------
    folder : Path, optional
        That torchvision was unpacked to, if it is not installed.
    """
    if folder is not None:
        sys.path.append(str(folder))
    if not _DECLARED:
        # Its own operators are not loaded beside another build of torch, and it asks for these.
        library: Any = cast(Any, torch.library).Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
    try:
        return import_module("torchvision.models.video")
    except ImportError:
        return None


def with_weights(video: Any, ours: MViT) -> Callable[[Tensor], Tensor]:
    """Return torchvision's backbone with the weights of ours: clips to all tokens."""
    model = video.mvit_v2_s().eval().requires_grad_(False)
    model.head = nn.Identity()
    model.load_state_dict(ours.state_dict())
    model.to(ours.norm.weight.device)
    grid = (model.pos_encoding.temporal_size, *model.pos_encoding.spatial_size)

    def tokens(clips: Tensor) -> Tensor:
        x = model.pos_encoding(model.conv_proj(clips).flatten(2).transpose(1, 2))
        size = grid
        for block in model.blocks:
            x, size = block(x, size)
        normed: Tensor = model.norm(x)
        return normed

    return tokens
