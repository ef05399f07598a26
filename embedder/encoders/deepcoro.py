"""The `deepcoro-clip` encoder: numpy clips in, numpy vectors out, float32 in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.errors import EncoderError, UsageError
from embedder.encoders.aggregator import MAX_VIDEOS
from embedder.encoders.precision import full_precision
from embedder.encoders.spec import EncoderSpec, VideoVectors
from embedder.encoders.video_encoder import VideoEncoder
from embedder.encoders.weights import expected_shapes, fit
from embedder.preprocess import preprocess


def open_deepcoro(spec: EncoderSpec, weights: Path, *, device: str) -> DeepCoroEncoder:
    """Build the model of a specification and load its weights strictly.

    Raises
    ------
    EncoderError
        The tensors of the file are not exactly those of the model.
    """
    expected = expected_shapes(heads=spec.heads, depth=spec.depth, token_pooling=spec.token_pooling)
    hint = f"import it again: angioatlas encoders import CHECKPOINT --name {spec.name} --overwrite"
    what = f"{weights.name} of the encoder {spec.name}"
    try:
        found = load_file(weights)
    except SafetensorError as error:
        raise EncoderError(f"{what} is not a safetensors file", hint) from error
    state, unknown = fit(found, expected, what=what, hint=hint)
    if unknown:
        raise EncoderError(f"{what} holds tensors of another model: {unknown[0]}", hint)
    model = VideoEncoder(heads=spec.heads, depth=spec.depth, token_pooling=spec.token_pooling)
    model.load_state_dict(state, strict=True)
    return DeepCoroEncoder(spec, model, device=device)


class DeepCoroEncoder:
    """An `Encoder` over a loaded `VideoEncoder`.

    Parameters
    ----------
    spec : EncoderSpec
        Of the weights that `model` holds.
    model : VideoEncoder
        Moved to `device` and set to evaluation.
    device : str
        "cpu", "cuda" or what else torch knows.
    """

    def __init__(self, spec: EncoderSpec, model: VideoEncoder, *, device: str = "cpu") -> None:
        self.spec = spec
        self._device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._zero_clip: Float[Tensor, "1 512"] | None = None

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        return self.spec.encoder_id

    @property
    def frames(self) -> int:
        """Frames per clip."""
        return self.spec.frames

    @property
    def profile(self) -> str:
        """How the pixels of a clip must have been made 8-bit grey."""
        return self.spec.profile

    @property
    def batch_size(self) -> int:
        """One on a CPU, where more gain nothing; eight on a GPU."""
        return 1 if self._device.type == "cpu" else 8

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        """Encode clips.

        Parameters
        ----------
        clips : sequence of uint8 arrays
            Of shape (16, rows, columns), or (16, rows, columns, 3); sizes may differ.

        Returns
        -------
        VideoVectors
            One row per clip, in order.  On a CPU the clips are computed one by one (a batch is no
            faster there), so a row does not depend on its neighbours at all.  On a GPU they are
            one batch, which moves a row by float32 rounding: computing four clips together on a
            CPU moved pooled vectors by 1e-7 and embeddings by 5e-7 (relative L2).

        Raises
        ------
        UsageError
            A clip has another shape or type.
        """
        for clip in clips:
            self._check(clip)
        if not clips:
            nothing = np.empty((0, self.spec.dim), np.float32)
            return VideoVectors(pooled=nothing, embedding=nothing)
        step = 1 if self._device.type == "cpu" else len(clips)
        with full_precision():
            chunks = [self._pool(clips[i : i + step]) for i in range(0, len(clips), step)]
            joint = [self._model.aggregator(pooled[:, None]) for pooled in chunks]
            pooled, embedding = torch.cat(chunks), F.normalize(torch.cat(joint), dim=1)
            return VideoVectors(pooled=_to_numpy(pooled), embedding=_to_numpy(embedding))

    def encode_study(self, videos: VideoVectors) -> NDArray[np.float32]:
        """Combine one study's videos, in their order.

        Parameters
        ----------
        videos : VideoVectors
            At least one.

        Returns
        -------
        float32 array of shape (512,)
            L2-normalised, by the specification's `study_rule`.

        Raises
        ------
        UsageError
            There is no video, or more than the aggregator has positions for.
        """
        found = len(videos.pooled)
        if not found:
            raise UsageError("a study without videos has no vector", "offer at least one video")
        with full_precision():
            if self.spec.study_rule == "mean":
                joint = torch.tensor(videos.embedding, device=self._device).mean(dim=0)
            else:
                pooled = self._padded(torch.tensor(videos.pooled, device=self._device))
                joint = self._model.aggregator(pooled[None])[0]
            return _to_numpy(F.normalize(joint, dim=0))

    def _padded(self, pooled: Float[Tensor, "videos 512"]) -> Float[Tensor, "padded 512"]:
        if self.spec.padded_videos is None:
            if len(pooled) > MAX_VIDEOS:
                raise UsageError(
                    f"a study of {len(pooled)} videos: the aggregator has {MAX_VIDEOS} positions",
                    "import the encoder with --study-rule mean",
                )
            return pooled
        pooled = pooled[: self.spec.padded_videos]
        if len(pooled) == self.spec.padded_videos:
            return pooled
        if self._zero_clip is None:
            size = self.spec.size
            nothing = torch.zeros(1, 3, self.spec.frames, size, size, device=self._device)
            self._zero_clip = self._model.pooled_videos(nothing)
        padding = self._zero_clip.expand(self.spec.padded_videos - len(pooled), -1)
        return torch.cat([pooled, padding])

    def _pool(self, clips: Sequence[NDArray[np.uint8]]) -> Float[Tensor, "videos 512"]:
        spec = self.spec
        batch = [
            # torch.tensor copies, and so takes read-only and strided arrays too.
            preprocess(
                torch.tensor(np.ascontiguousarray(clip), device=self._device),
                size=spec.size,
                mean=spec.mean,
                std=spec.std,
            )
            for clip in clips
        ]
        return self._model.pooled_videos(torch.stack(batch))

    def _check(self, clip: NDArray[np.uint8]) -> None:
        plain = clip.ndim == 3 or (clip.ndim == 4 and clip.shape[3] == 3)
        if not plain or clip.dtype != np.uint8 or clip.shape[0] != self.frames or not clip.size:
            raise UsageError(
                f"a clip is {clip.dtype} of shape {clip.shape}: expected uint8 of "
                f"({self.frames}, rows, columns)",
                "choose frames with embedder.frames first",
            )


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array
