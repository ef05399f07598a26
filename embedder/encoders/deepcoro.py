"""The `deepcoro-clip` encoder: numpy clips in, numpy vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from core.errors import UsageError
from embedder.encoders.aggregator import MAX_VIDEOS
from embedder.encoders.blocks import Blocks
from embedder.encoders.deepcoro_spec import DeepCoroSpec, HeadsSpec
from embedder.encoders.finding_heads import FindingHeads
from embedder.encoders.finding_model import FindingModel
from embedder.encoders.precision import full_precision
from embedder.encoders.self_check import check_clip
from embedder.encoders.spec import (
    FULL,
    FileRef,
    Findings,
    Precision,
    PrecisionName,
    VideoVectors,
)
from embedder.encoders.video_encoder import VideoEncoder
from embedder.encoders.video_pass import VideoPass
from embedder.encoders.weights import load_model
from embedder.sampling import ClipRule


def open_deepcoro(
    spec: DeepCoroSpec, folder: Path, *, device: str, precision: PrecisionName = "fp32"
) -> DeepCoroEncoder:
    """Build the models of a specification, finding heads included, and load them strictly.

    Raises
    ------
    EncoderError
        The tensors of a file are not exactly those of its model.
    """
    hint = f"import it again: angioatlas encoders import CHECKPOINT --name {spec.name} --overwrite"

    def what(file: FileRef) -> str:
        return f"{file.file} of the encoder {spec.name}"

    model = load_model(
        lambda: VideoEncoder(heads=spec.heads, depth=spec.depth, token_pooling=spec.token_pooling),
        folder / spec.weights.file,
        what=what(spec.weights),
        hint=hint,
    )
    if spec.findings is None:
        return DeepCoroEncoder(spec, model, device=device, precision=precision)
    parts = spec.findings
    heads = load_model(
        lambda: make_heads(parts), folder / parts.weights.file, what=what(parts.weights), hint=hint
    )
    seen_by = model
    if parts.video != spec.weights:
        seen_by = load_model(
            lambda: VideoEncoder(heads=1, depth=0),
            folder / parts.video.file,
            what=what(parts.video),
            hint=hint,
        )
    return DeepCoroEncoder(
        spec, model, heads=heads, heads_video=seen_by, device=device, precision=precision
    )


def make_heads(spec: HeadsSpec) -> FindingHeads:
    """Make the finding heads of a specification, without weights."""
    return FindingHeads(
        heads=dict.fromkeys(spec.names, 1),
        pooling=spec.pooling,
        hidden=spec.hidden,
        attention_heads=spec.attention_heads,
        separate=spec.separate,
        norm=spec.norm,
    )


class DeepCoroEncoder:
    """An `Encoder` over loaded models, which are moved to `device` and set to evaluation.

    Parameters
    ----------
    spec : DeepCoroSpec
        Of the weights that the models hold.
    model : VideoEncoder
    heads : FindingHeads, optional
    heads_video : VideoEncoder, optional
        Whose tokens the heads read; `model` unless given.
    device : str
        "cpu", "cuda" or what else torch knows.
    precision : {"fp32", "bf16"}
        Of the backbones of the video encoders; aggregator and heads are float32 always.

    Attributes
    ----------
    video : VideoPass
        From clips to the tokens of the space's video encoder.
    findings : FindingModel or None
        The finding heads, with the pass whose tokens they read.
    """

    def __init__(
        self,
        spec: DeepCoroSpec,
        model: VideoEncoder,
        *,
        heads: FindingHeads | None = None,
        heads_video: VideoEncoder | None = None,
        device: str = "cpu",
        precision: PrecisionName = "fp32",
    ) -> None:
        self.spec = spec
        self._device = torch.device(device)
        self._blocks = Blocks(1 if self._device.type == "cpu" else 8)
        self._model = model.eval().requires_grad_(False).to(self._device)
        self.video = VideoPass(
            self._model,
            mean=spec.mean,
            std=spec.std,
            rounds_clips=spec.clip_rounding is not None,
            device=self._device,
            precision=precision,
        )
        self.findings: FindingModel | None = None
        if spec.findings is not None and heads is not None:
            self.findings = FindingModel(
                spec.findings,
                heads,
                heads_video or model,
                device=self._device,
                precision=precision,
            )
        self._zero_clip: Float[Tensor, "1 512"] | None = None

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        return self.spec.encoder_id

    @property
    def heads_id(self) -> str | None:
        """The id of its finding heads; None without heads."""
        return self.spec.heads_id

    @property
    def frames(self) -> int:
        """Frames per clip."""
        return self.spec.frames

    @property
    def clip_rule(self) -> ClipRule:
        """How its clips must have been made of cines."""
        return self.spec.clip_rule

    @cached_property
    def precision(self) -> Precision:
        """What it computes in; for bf16 the check clip is encoded twice, once."""
        if self.video.precision == "fp32":
            return FULL
        with full_precision():
            rounded, exact = (
                self._joint(self._model.pool(video.tokens([check_clip()])))
                for video in (self.video, self.video.in_full())
            )
            cosine = F.cosine_similarity(rounded.double(), exact.double())
            return Precision(self.video.precision, float(cosine))

    @property
    def batch_size(self) -> int:
        """One on a CPU, where more gain nothing; more on a GPU, if its memory holds them."""
        return self._blocks.size

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        """Encode clips.

        Parameters
        ----------
        clips : sequence of uint8 arrays
            Of shape (16, rows, columns), or (16, rows, columns, 3); sizes may differ.

        Returns
        -------
        VideoVectors
            One row per clip, in order.  A row does not depend on its neighbours at all, in either
            precision, see `Blocks`.

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
        with full_precision():
            return VideoVectors(**self._blocks.rows(clips, self._encode))

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

    def encode_studies(self, studies: Sequence[VideoVectors]) -> NDArray[np.float32]:
        """Combine the videos of each of several studies, those of as many videos at once.

        Returns
        -------
        float32 array of shape (studies, 512)
            L2-normalised.  What shares the batch moves a row by float32 rounding.

        Raises
        ------
        UsageError
            A study has no video, or more than the aggregator has positions for.
        """
        out = np.empty((len(studies), self.spec.dim), np.float32)
        if self.spec.study_rule == "mean" or not all(len(each.pooled) for each in studies):
            for row, each in enumerate(studies):
                out[row] = self.encode_study(each)
            return out
        with full_precision():
            padded = [self._padded(torch.tensor(s.pooled, device=self._device)) for s in studies]
            for length in {len(each) for each in padded}:
                rows = [row for row, each in enumerate(padded) if len(each) == length]
                joint = self._model.aggregator(torch.stack([padded[row] for row in rows]))
                out[rows] = _to_numpy(F.normalize(joint, dim=1))
        return out

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        """Say what is found in one study's videos, in their order; None without heads.

        Raises
        ------
        UsageError
            There is no video.
        """
        if self.findings is None:
            return None
        if videos.summaries is None or not len(videos.summaries):
            raise UsageError("a study without videos has no findings", "offer at least one video")
        with full_precision():
            return self.findings.find(videos.summaries)

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
            self._zero_clip = self._model.pool(self.video.zero_clip())
        padding = self._zero_clip.expand(self.spec.padded_videos - len(pooled), -1)
        return torch.cat([pooled, padding])

    def _joint(self, pooled: Float[Tensor, "videos 512"]) -> Float[Tensor, "videos 512"]:
        """Place each video by itself in the joint space, or where there is none leave it."""
        joint = self._model.aggregator(pooled[:, None]) if self.spec.is_joint else pooled
        return F.normalize(joint, dim=1)

    def _encode(self, clips: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        tokens = self.video.tokens(clips)
        pooled = self._model.pool(tokens)
        found = {"pooled": pooled, "embedding": self._joint(pooled)}
        if self.findings is not None:
            if not self.findings.video.sees_like(self.video):
                tokens = self.findings.video.tokens(clips)
            found["summaries"] = self.findings.summarise(tokens)
        # Off the device at once: tokens of a batch are large, what is kept of them is small.
        return {name: _to_numpy(tensor) for name, tensor in found.items()}

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
