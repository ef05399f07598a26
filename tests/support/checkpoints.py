"""Checkpoints in each of the original's formats, from the listed names and the golden weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch

from tests.support.golden import (
    golden_heads_shapes,
    golden_heads_state,
    golden_state,
    golden_text_shapes,
    golden_text_state,
    hollow,
    hollow_state,
)

State = Mapping[str, torch.Tensor]
METRICS = {"epoch": 11, "best_val_loss": 0.5, "scaler": {"scale": 65536.0}}


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def contrastive(video: State, text: State) -> dict[str, object]:
    return {"video_encoder": dict(video), "text_encoder": dict(text), **METRICS}


def probing(video: State, heads: State) -> dict[str, object]:
    """As saved behind a data-parallel wrapper of the heads alone."""
    model = OrderedDict((f"video_encoder.{key}", tensor) for key, tensor in video.items())
    model.update((f"mil_model.module.{key}", tensor) for key, tensor in heads.items())
    return {"linear_probing": model, **METRICS}


def golden_contrastive(path: Path) -> Path:
    """Video and text encoder; about 580 MB."""
    return save(path, contrastive(golden_state(), golden_text_state()))


def golden_probing(path: Path) -> Path:
    """Video encoder and the 90 heads; about 150 MB."""
    return save(path, probing(golden_state(), golden_heads_state()))


def hollow_contrastive(path: Path, **changes: torch.Tensor) -> Path:
    """The right names and shapes in a small file."""
    return save(path, contrastive(hollow_state() | changes, hollow(golden_text_shapes())))


def hollow_probing(path: Path, *, video: State | None = None, heads: State | None = None) -> Path:
    """The right names and shapes in a small file."""
    return save(path, probing(video or hollow_state(), heads or hollow(golden_heads_shapes())))
