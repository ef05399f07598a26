"""The vector of a study made again without each of its videos in turn."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedder.encoders.spec import Encoder, VideoVectors
from index.late import unit

_SETS: Final = 2048
"""Sets of videos that an encoder is given at once: it takes longer to be asked than to answer."""


def means_without(embedding: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the normalised mean of all videos but one, for each of them, [m, 512].

    Parameters
    ----------
    embedding : array [m, 512], float32
        Of the videos of one study; of the only one zeros are left.
    """
    videos = embedding.astype(np.float64)
    if len(videos) < 2:
        return np.zeros_like(videos)
    return np.stack([unit(np.delete(videos, i, axis=0).mean(axis=0)) for i in range(len(videos))])


def vectors_without(
    encoder: Encoder,
    pooled: NDArray[np.float32],
    embedding: NDArray[np.float32],
    starts: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return what the encoder makes of all videos of a study but one, for each of them, [n, 512].

    Parameters
    ----------
    encoder : Encoder
    pooled, embedding : array [n, 512], float32
        Of the videos of several studies; those of a study stand together, in study order.
    starts : array [studies + 1], int64
        Where those of each study begin; of a study of one video zeros are left.
    """
    out = np.zeros_like(embedding)
    several: list[tuple[int, NDArray[np.int64]]] = []
    for first, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if end - first > 1:
            every = np.arange(first, end)
            several += [(left, every[every != left]) for left in range(first, end)]
    for at in range(0, len(several), _SETS):
        part = several[at : at + _SETS]
        sets = [VideoVectors(pooled[kept], embedding[kept]) for _, kept in part]
        out[[left for left, _ in part]] = encoder.encode_studies(sets)
    return out
