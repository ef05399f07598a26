"""The `phantom-mini` encoder at work: numpy clips in, numpy vectors out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import UsageError
from core.schema import CLIP_FRAMES
from embedder.encoders.blocks import Blocks
from embedder.encoders.compact.inputs import normalise, shrink
from embedder.encoders.compact.spec import CompactSpec
from embedder.encoders.compact.study import CompactAggregator, CompactHeads
from embedder.encoders.compact.video import N_SEGMENTS, TOKEN_DIM, CompactVideo
from embedder.encoders.precision import InBfloat16, full_precision
from embedder.encoders.self_check import check_clip
from embedder.encoders.spec import FULL, Findings, Precision, PrecisionName, VideoVectors
from embedder.sampling import ClipRule


class CompactSpace(nn.Module):
    """What makes the vectors of the space: one file of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.video = CompactVideo()
        self.aggregator = CompactAggregator()


class CompactEncoder:
    """An `Encoder` over loaded models, which are moved to `device` and set to evaluation.

    Parameters
    ----------
    spec : CompactSpec
        Of the weights that the models hold.
    space : CompactSpace
    heads : CompactHeads
    device : str
        "cpu", "cuda" or what else torch knows.
    precision : {"fp32", "bf16"}
        Of the video encoder's convolutions; all else is float32 always.
    """

    def __init__(
        self,
        spec: CompactSpec,
        space: CompactSpace,
        heads: CompactHeads,
        *,
        device: str = "cpu",
        precision: PrecisionName = "fp32",
    ) -> None:
        self.spec = spec
        self._device = torch.device(device)
        # Convolutions over many channels are faster with the channels last in memory.
        space = space.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._space: CompactSpace = space.eval().requires_grad_(False).to(self._device)
        self._heads = heads.eval().requires_grad_(False).to(self._device)
        self._blocks = Blocks(4 if self._device.type == "cpu" else 128)
        self._precision: PrecisionName = precision
        self._video = self._space.video
        if precision == "bf16":
            self._video = copy.deepcopy(self._video)
            self._video.set_submodule("backbone", InBfloat16(self._video.backbone))

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        return self.spec.encoder_id

    @property
    def heads_id(self) -> str | None:
        """The id of its finding heads."""
        return self.spec.heads_id

    @property
    def frames(self) -> int:
        """Frames per clip."""
        return CLIP_FRAMES

    @property
    def clip_rule(self) -> ClipRule:
        """How its clips must have been made of cines."""
        return self.spec.clip_rule

    @cached_property
    def precision(self) -> Precision:
        """What it computes in; for bf16 the check clip is encoded twice, once."""
        if self._precision == "fp32":
            return FULL
        with full_precision():
            clip = self._input([check_clip()])
            rounded, exact = (
                self._joint(video(clip).pooled) for video in (self._video, self._space.video)
            )
            cosine = F.cosine_similarity(rounded.double(), exact.double())
            return Precision(self._precision, float(cosine))

    @property
    def batch_size(self) -> int:
        """Four on a CPU, where more gain nothing; more on a GPU, if its memory holds them."""
        return self._blocks.size

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        """Encode clips.

        Parameters
        ----------
        clips : sequence of uint8 arrays
            Of shape (16, rows, columns); sizes may differ.

        Returns
        -------
        VideoVectors
            One row per clip, in order.  `summaries` are the tokens of the segments, (18, 64).  A
            row does not depend on its neighbours at all, see `Blocks`.

        Raises
        ------
        UsageError
            A clip has another shape or type.
        """
        for clip in clips:
            _check(clip)
        if not clips:
            nothing = np.empty((0, self.spec.dim), np.float32)
            return VideoVectors(nothing, nothing, np.empty((0, N_SEGMENTS, TOKEN_DIM), np.float32))
        with full_precision():
            return VideoVectors(**self._blocks.rows(clips, self._encode))

    def encode_study(self, videos: VideoVectors) -> NDArray[np.float32]:
        """Combine one study's videos, in any order.

        Parameters
        ----------
        videos : VideoVectors
            At least one.

        Returns
        -------
        float32 array of shape (512,)
            L2-normalised.

        Raises
        ------
        UsageError
            There is no video.
        """
        if not len(videos.pooled):
            raise UsageError("a study without videos has no vector", "offer at least one video")
        with full_precision():
            pooled = torch.tensor(videos.pooled, device=self._device)[None]
            return _to_numpy(F.normalize(self._space.aggregator(pooled, _all(pooled))[0], dim=0))

    def encode_studies(self, studies: Sequence[VideoVectors]) -> NDArray[np.float32]:
        """Combine the videos of each of several studies at once.

        Parameters
        ----------
        studies : sequence of VideoVectors
            At least one video each.

        Returns
        -------
        float32 array of shape (studies, 512)
            L2-normalised.  What shares the batch moves a row by float32 rounding.

        Raises
        ------
        UsageError
            A study has no video.
        """
        counts = np.array([len(each.pooled) for each in studies], np.int64)
        if not len(counts):
            return np.empty((0, self.spec.dim), np.float32)
        if not counts.all():
            raise UsageError("a study without videos has no vector", "offer at least one video")
        present = np.arange(counts.max()) < counts[:, None]
        pooled = np.zeros((*present.shape, self.spec.dim), np.float32)
        pooled[present] = np.concatenate([each.pooled for each in studies])
        with full_precision():
            joint = self._space.aggregator(
                torch.from_numpy(pooled).to(self._device),
                torch.from_numpy(present).to(self._device),
            )
            return _to_numpy(F.normalize(joint, dim=1))

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        """Say what is found in one study's videos, in any order.

        Returns
        -------
        Findings
            `pooled` holds, for each segment in turn, the 128 numbers that its heads read.

        Raises
        ------
        UsageError
            There is no video.
        """
        if videos.summaries is None or not len(videos.summaries):
            raise UsageError("a study without videos has no findings", "offer at least one video")
        with full_precision():
            tokens = torch.tensor(videos.summaries, device=self._device)[None]
            present = _all(tokens)
            raw = self._heads(tokens, present).flatten().cpu().tolist()
            pooled = self._heads.pool(tokens, present).flatten()
            return Findings(dict(zip(self.spec.head_names, raw, strict=True)), _to_numpy(pooled))

    def _encode(self, clips: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        found = self._video(self._input(clips))
        made = {
            "pooled": found.pooled,
            "embedding": self._joint(found.pooled),
            "summaries": found.tokens[:, :N_SEGMENTS],
        }
        return {name: _to_numpy(tensor) for name, tensor in made.items()}

    def _joint(self, pooled: Float[Tensor, "videos 512"]) -> Float[Tensor, "videos 512"]:
        """Place each video by itself in the joint space."""
        alone = pooled[:, None]
        return F.normalize(self._space.aggregator(alone, _all(alone)), dim=1)

    def _input(self, clips: Sequence[NDArray[np.uint8]]) -> Float[Tensor, "videos 16 128 128"]:
        # Sums over slices use one core each, and let go of Python's lock.
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            small = [torch.from_numpy(each) for each in threads.map(shrink, clips)]
        # One by one, a clip stays in the processor's cache: twice as fast as all at once.
        return torch.stack([normalise(each.to(self._device)) for each in small])


def _all(videos: Float[Tensor, "studies videos ..."]) -> Bool[Tensor, "studies videos"]:
    return torch.ones(videos.shape[:2], dtype=torch.bool, device=videos.device)


def _check(clip: NDArray[np.uint8]) -> None:
    if clip.ndim != 3 or clip.dtype != np.uint8 or len(clip) != CLIP_FRAMES or not clip.size:
        raise UsageError(
            f"a clip is {clip.dtype} of shape {clip.shape}: expected uint8 of "
            f"({CLIP_FRAMES}, rows, columns)",
            "choose frames with embedder.frames first",
        )


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array
