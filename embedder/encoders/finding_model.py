"""Finding heads at work: what is kept of each video, and what a study's videos then say."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from embedder.encoders.deepcoro_spec import HeadsSpec
from embedder.encoders.finding_heads import FindingHeads
from embedder.encoders.spec import Findings, PrecisionName
from embedder.encoders.video_encoder import VideoEncoder
from embedder.encoders.video_pass import VideoPass


class FindingModel:
    """Heads, and the video encoder whose tokens they read.

    A clip has 393 tokens, 0.8 MB; all that the heads need of it is one or two vectors.  So a video
    is summarised when it is encoded, and a study, however long, is a few kilobytes.

    Parameters
    ----------
    spec : HeadsSpec
    heads : FindingHeads
    video : VideoEncoder
    device : torch.device
    precision : {"fp32", "bf16"}
        Of the video encoder's backbone.
    """

    def __init__(
        self,
        spec: HeadsSpec,
        heads: FindingHeads,
        video: VideoEncoder,
        *,
        device: torch.device,
        precision: PrecisionName = "fp32",
    ) -> None:
        self.spec = spec
        self._heads = heads.eval().requires_grad_(False).to(device)
        self._device = device
        self.video = VideoPass(
            video.eval().requires_grad_(False).to(device),
            mean=spec.mean,
            std=spec.std,
            rounds_clips=spec.rounds_clips,
            device=device,
            precision=precision,
        )
        self._padding: Float[Tensor, "1 parts 512"] | None = None

    def summarise(
        self, tokens: Float[Tensor, "videos 393 512"]
    ) -> Float[Tensor, "videos parts 512"]:
        """Return what the heads need of each clip, from its tokens by the heads' own encoder."""
        return self._heads.within(tokens)

    def find(self, summaries: NDArray[np.float32]) -> Findings:
        """Return the findings of a study.

        Parameters
        ----------
        summaries : float32 array of shape (videos, parts, 512)
            Of its videos, in their order; at least one.
        """
        videos = self._padded(torch.tensor(summaries, device=self._device))
        valid = torch.ones(1, len(videos), dtype=torch.bool, device=self._device)
        pooled = self._heads.across(videos[None], valid)
        raw = self._heads.classify(pooled)[0].cpu().tolist()
        vector: NDArray[np.float32] = pooled[0].cpu().numpy()
        return Findings(dict(zip(self.spec.names, raw, strict=True)), vector)

    def _padded(
        self, summaries: Float[Tensor, "videos parts 512"]
    ) -> Float[Tensor, "padded parts 512"]:
        """Do as the original in exact mode: ten videos, zero clips among them, all attended."""
        if self.spec.padded_videos is None:
            return summaries
        kept = summaries[: self.spec.padded_videos]
        missing = self.spec.padded_videos - len(kept)
        if not missing:
            return kept
        if self._padding is None:
            self._padding = self._heads.within(self.video.zero_clip())
        return torch.cat([kept, self._padding.expand(missing, -1, -1)])
