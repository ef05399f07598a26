"""Directions that have a clinical meaning, from sentences to sentences."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from analytics.progression.study import DISEASE
from embedder.encoders.spec import TextEmbedder

_NORMAL: Final = (
    "normal coronary arteries",
    "no significant stenosis",
    "normal coronary angiogram",
)
AXES: Final = {
    DISEASE: (
        ("severe stenosis", "significant stenosis", "three-vessel disease", "occlusion"),
        _NORMAL,
    ),
    "LAD disease": (("severe stenosis of the LAD", "occlusion of the LAD"), ()),
    "LCX disease": (("severe stenosis of the LCX", "occlusion of the LCX"), ()),
    "RCA disease": (("severe stenosis of the RCA", "occlusion of the RCA"), ()),
    "reduced LVEF": (("reduced ejection fraction",), ("normal ejection fraction",)),
}
"""By name, sentences that an axis leads to, and those that it leads away from, if any."""


def along_text(
    reader: TextEmbedder, vectors: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Return how far along each of `AXES` vectors of the space stand, float64 (rows,) each."""
    return {
        name: vectors.astype(np.float64) @ _between(reader, *ends) for name, ends in AXES.items()
    }


def _between(
    reader: TextEmbedder, toward: tuple[str, ...], away: tuple[str, ...]
) -> NDArray[np.float32]:
    axis = reader.encode(toward).mean(axis=0)
    if away:
        axis = axis - reader.encode(away).mean(axis=0)
    return np.asarray(axis / np.linalg.norm(axis), np.float32)
