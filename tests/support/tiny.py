"""A small real encoder: an untrained, fixed projection of a shrunken clip.

It does what an `Encoder` promises (normalised vectors that depend on every frame and nothing else)
in microseconds, so that tests of the flow need no trained model.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.schema import CLIP_FRAMES, EMBEDDING_DIM
from core.segments import HEADS
from embedder.encoders.spec import FULL, Findings, VideoVectors
from embedder.sampling import ClipRule

_GRID = 8


class TinyEncoder:
    encoder_id = "tiny-000000000000"
    heads_id: str | None = None
    frames = CLIP_FRAMES
    clip_rule = ClipRule("display")
    batch_size = 4
    precision = FULL

    def __init__(self) -> None:
        shape = (CLIP_FRAMES * _GRID * _GRID, EMBEDDING_DIM)
        self._weights = np.random.default_rng(7).standard_normal(shape).astype(np.float32)

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        pooled = np.stack([self._pool(clip) for clip in clips])
        return VideoVectors(pooled=pooled, embedding=_normalised(pooled))

    def encode_study(self, videos: VideoVectors) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = _normalised(videos.embedding.mean(axis=0)[None])[0]
        return mean

    def encode_studies(self, studies: Sequence[VideoVectors]) -> NDArray[np.float32]:
        return np.stack([self.encode_study(each) for each in studies])

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        return None

    def _pool(self, clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        frames, rows, columns = clip.shape
        assert frames == CLIP_FRAMES
        small = clip[:, : rows // _GRID * _GRID, : columns // _GRID * _GRID]
        small = small.reshape(frames, _GRID, rows // _GRID, _GRID, columns // _GRID)
        grey = small.mean(axis=(2, 4), dtype=np.float32).ravel() / 255 - 0.5
        pooled: NDArray[np.float32] = grey @ self._weights
        return pooled


class TinyFinder(TinyEncoder):
    """The same with finding heads: a fixed projection of the mean of the videos."""

    heads_id = "heads-tiny"

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        found = super().encode_videos(clips)
        summaries = np.divide(found.pooled[:, None], 100, dtype=np.float32)
        return VideoVectors(found.pooled, found.embedding, summaries)

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        assert videos.summaries is not None
        pooled = videos.summaries.mean(axis=(0, 1), dtype=np.float32)
        return Findings(dict(zip(HEADS, pooled[: len(HEADS)].tolist(), strict=True)), pooled)


def _normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths)
