"""One way to see clips: a video encoder with the statistics that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from core.schema import CLIP_FRAMES
from embedder.encoders.backbone import Backbone, prepare
from embedder.encoders.deepcoro_spec import FRAME_SIZE
from embedder.encoders.spec import PrecisionName
from embedder.encoders.video_encoder import VideoEncoder
from embedder.preprocess import preprocess


class VideoPass:
    """Clips to tokens.

    Parameters
    ----------
    model : VideoEncoder
        In evaluation mode, on `device`.
    mean, std : float
        Of its training pixels, 0 to 255.
    rounds_clips : bool
        Round normalised clips to float16 and back, as the original's release does.
    device : torch.device
    precision : {"fp32", "bf16"}
        Of the backbone; everything after it is float32.
    """

    def __init__(
        self,
        model: VideoEncoder,
        *,
        mean: float,
        std: float,
        rounds_clips: bool,
        device: torch.device,
        precision: PrecisionName = "fp32",
    ) -> None:
        self.model = model
        self.mean = mean
        self.std = std
        self.rounds_clips = rounds_clips
        self.device = device
        self.precision = precision

    @cached_property
    def _backbone(self) -> Backbone:
        return prepare(self.model.model, self.precision)

    def tokens(self, clips: Sequence[NDArray[np.uint8]]) -> Float[Tensor, "videos 393 512"]:
        """Encode clips, uint8 of shape (16, rows, columns) or (16, rows, columns, 3)."""
        batch = [
            # torch.tensor copies, and so takes read-only and strided arrays too.
            preprocess(
                torch.tensor(np.ascontiguousarray(clip), device=self.device),
                size=FRAME_SIZE,
                mean=self.mean,
                std=self.std,
            )
            for clip in clips
        ]
        return self.encode(torch.stack(batch))

    def encode(
        self, clips: Float[Tensor, "videos 3 16 224 224"]
    ) -> Float[Tensor, "videos 393 512"]:
        """Encode clips that are normalised already."""
        rounded = clips.half().float() if self.rounds_clips else clips
        return self.model.project(self._backbone(rounded))

    def zero_clip(self) -> Float[Tensor, "1 393 512"]:
        """Return the tokens of what the original pads studies with."""
        shape = (1, 3, CLIP_FRAMES, FRAME_SIZE, FRAME_SIZE)
        return self.encode(torch.zeros(shape, device=self.device))

    def in_full(self) -> VideoPass:
        """Return the same pass in float32."""
        return VideoPass(
            self.model,
            mean=self.mean,
            std=self.std,
            rounds_clips=self.rounds_clips,
            device=self.device,
        )

    def sees_like(self, other: VideoPass) -> bool:
        """Whether both give the same tokens, so that one pass serves both."""
        mine, theirs = (
            (each.mean, each.std, each.rounds_clips, each.precision) for each in (self, other)
        )
        return self.model is other.model and mine == theirs
