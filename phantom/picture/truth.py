"""Where in a run's pictures the segments are, and the lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.segments import SEGMENTS
from phantom.heart.anatomy import Anatomy
from phantom.heart.disease import Disease, SegmentState, visible
from phantom.heart.motion import Floats
from phantom.heart.tree import Tree
from phantom.picture.acquisition import Acquisition
from phantom.picture.camera import Camera, camera
from phantom.picture.deposits import STENT, deposits

LESION_MAPS: Final = (
    "stenosis >= 50 %",
    "stenosis >= 70 %",
    "occlusion",
    "thrombus",
    "calcification",
    "stent",
)
"""What the lesion maps show, in order; an occlusion is also a stenosis."""

_MAX_FRAMES = 4


@dataclass(frozen=True, eq=False)
class TruthMaps:
    """Where things project in a run.

    Attributes
    ----------
    segments : float32 array of shape (18, grid, grid)
        In the order of `core.segments.SEGMENTS`: the share of the segment's length that falls in
        each cell over the beat, summing to 1; zeros if the segment is not of the injected artery,
        not in this heart, or outside the picture.
    lesions : bool array of shape (6, grid, grid)
        In the order of `LESION_MAPS`: cells that hold a visible lesion of the injected artery.
    """

    segments: Floats
    lesions: NDArray[np.bool_]


def truth_maps(
    anatomy: Anatomy,
    disease: Disease,
    acquisition: Acquisition,
    *,
    grid: int = 16,
    frames: Sequence[int] | None = None,
) -> TruthMaps:
    """Say where in a run's pictures the segments are, and the lesions.

    Parameters
    ----------
    anatomy : Anatomy
    disease : Disease
    acquisition : Acquisition
    grid : int
        Cells along a side of the picture.
    frames : sequence of int, optional
        Frame numbers from 0, as for `phantom.picture.render.render`; all by default.  Of many, four
        are looked at, evenly spread.

    Returns
    -------
    TruthMaps
    """
    index = np.arange(acquisition.n_frames) if frames is None else np.asarray(frames)
    picked = index[np.linspace(0, index.size - 1, min(_MAX_FRAMES, index.size)).astype(int)]
    times = (picked * acquisition.frame_time_ms / 1000).astype(np.float32)
    seen = camera(anatomy, disease, acquisition, times)
    tree = anatomy.tree(acquisition.artery)
    side = acquisition.field_of_view_mm
    of_samples = _cells(seen, tree.points[: tree.n_labelled], side_mm=side, grid=grid)
    segments = _segment_maps(tree, of_samples, grid)
    lesions = np.zeros((len(LESION_MAPS), grid * grid + 1), bool)
    for number, samples in _lesion_samples(tree, visible(anatomy, disease)):
        lesions[number, of_samples[:, samples]] = True
    fixed = deposits(anatomy, disease, tree)
    of_fixed = _cells(seen, fixed.points, side_mm=side, grid=grid)
    lesions[4, of_fixed[:, fixed.kind != STENT]] = True
    lesions[5, of_fixed[:, fixed.kind == STENT]] = True
    return TruthMaps(segments, lesions[:, :-1].reshape(-1, grid, grid))


def _cells(seen: Camera, points: Floats, *, side_mm: float, grid: int) -> NDArray[np.int64]:
    """Return cell numbers of shape (times, points); grid squared is outside the picture."""
    plane = seen.look(seen.place(points))[0] / np.float32(side_mm)
    column = np.floor((plane[..., 0] + 0.5) * grid).astype(np.int64)
    row = np.floor((0.5 - plane[..., 1]) * grid).astype(np.int64)
    within = (row >= 0) & (row < grid) & (column >= 0) & (column < grid)
    return np.where(within, row * grid + column, grid**2)


def _segment_maps(tree: Tree, cells: NDArray[np.int64], grid: int) -> Floats:
    n_cells = grid * grid + 1
    segment = tree.segment[: tree.n_labelled].astype(np.int64)
    counts = np.bincount((segment * n_cells + cells).ravel(), minlength=len(SEGMENTS) * n_cells)
    counts = counts.reshape(len(SEGMENTS), n_cells)[:, :-1]
    total = counts.sum(axis=1, keepdims=True)
    maps = np.asarray(counts / np.maximum(total, 1), np.float32)
    return maps.reshape(-1, grid, grid)


def _lesion_samples(tree: Tree, shown: Disease) -> list[tuple[int, NDArray[np.int64]]]:
    """Return, lesion by lesion, the number of its map and the samples that it covers."""
    found: list[tuple[int, NDArray[np.int64]]] = []
    for run in tree.runs:
        state = shown.state(run.segment)
        numbers = _maps_of(state)
        if numbers:
            along = tree.along[run.start : run.stop] * run.length_mm
            centre = np.clip(state.centre * run.length_mm, along[0], along[-1])
            covered = np.abs(along - centre) <= max(state.length_mm / 2, 1.0)
            samples = run.start + np.flatnonzero(covered)
            found += [(number, samples) for number in numbers]
    return found


def _maps_of(state: SegmentState) -> list[int]:
    severe = (state.stenosis_percent >= 50, state.stenosis_percent >= 70, state.occluded)
    return [number for number, is_so in enumerate((*severe, state.thrombus)) if is_so]
