"""The vessels of one artery as rows of samples: where each is, how wide, what feeds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.segments import SEGMENTS
from phantom.heart.course import BIFURCATION, Branch, Course
from phantom.heart.curves import Doubles, chord_lengths, even_steps, spline
from phantom.heart.motion import Floats, HeartShape, place, shifted
from phantom.heart.twigs import Twigs, grow

SPACING_MM: Final = 0.8
SEGMENT_NUMBERS: Final = {name: number for number, name in enumerate(SEGMENTS)}
"""Position of each segment in `core.segments.SEGMENTS`."""

_REST = np.zeros(1, np.float32)
_DENSE = 160


@dataclass(frozen=True)
class Run:
    """The samples of one segment.

    Attributes
    ----------
    segment : str
    start, stop : int
        Its samples, as a slice of the tree's.
    attach : int
        The sample of the parent that feeds the first one, -1 at the ostium.
    length_mm : float
    """

    segment: str
    start: int
    stop: int
    attach: int
    length_mm: float


@dataclass(frozen=True, eq=False)
class Tree:
    """One artery of one heart, without disease.

    Samples of segments come first, parents before children; then those of twigs.

    Attributes
    ----------
    runs : tuple of Run
        Parents before children.
    points : float32 array of shape (samples, 3)
        Heart coordinates.
    radius_mm : float32 array of shape (samples,)
    step_mm : float32 array of shape (samples,)
        Length of vessel that a sample stands for.
    path_mm : float32 array of shape (samples,)
        Along the vessel from the ostium.
    segment : int8 array of shape (samples,)
        Its number in `core.segments.SEGMENTS`, -1 for a twig.
    along : float32 array of shape (samples,)
        0 to 1 along the segment; 0 for a twig.
    root : int64 array of shape (samples,)
        The sample of a segment that feeds it: itself, or where the twig leaves.
    linked : bool array of shape (samples,)
        Whether the vessel goes on from the sample before.
    """

    runs: tuple[Run, ...]
    points: Floats
    radius_mm: Floats
    step_mm: Floats
    path_mm: Floats
    segment: NDArray[np.int8]
    along: Floats
    root: NDArray[np.int64]
    linked: NDArray[np.bool_]

    @property
    def n_labelled(self) -> int:
        """Samples that belong to a segment."""
        return self.runs[-1].stop

    def run(self, segment: str) -> Run | None:
        """Return the run of a segment, None if this artery does not have it."""
        return next((run for run in self.runs if run.segment == segment), None)


def build_tree(
    rng: np.random.Generator,
    shape: HeartShape,
    curves: tuple[Course, ...],
    *,
    branch: Mapping[str, Branch],
) -> Tree:
    """Lay out an artery.

    Parameters
    ----------
    rng : numpy Generator
        For tortuosity, irregular width and twigs.
    shape : HeartShape
    curves : tuple of Course
        Those of one artery, parents before children.
    branch : mapping of str to Branch

    Returns
    -------
    Tree
    """
    stems = _Stems(rng, shape, branch)
    for curve in curves:
        stems.add(curve)
    points, radius, path, segment, along = stems.arrays()
    twigs = grow(
        rng, shape, points, radius, names=np.asarray(tuple(SEGMENTS))[segment], along=along
    )
    return _joined(stems.runs, (points, radius, path, segment, along), twigs)


def _joined(
    runs: list[Run],
    stems: tuple[Floats, Floats, Floats, NDArray[np.int8], Floats],
    twigs: Twigs,
) -> Tree:
    points, radius, path, segment, along = stems
    n_twigs = twigs.root.size
    nothing = np.zeros(n_twigs, np.float32)
    return Tree(
        tuple(runs),
        np.concatenate([points, twigs.points]),
        np.concatenate([radius, twigs.radius_mm]),
        np.concatenate([np.full(radius.size, SPACING_MM, np.float32), twigs.step_mm]),
        np.concatenate([path, path[twigs.root] + twigs.path_mm]),
        np.concatenate([segment, np.full(n_twigs, -1, np.int8)]),
        np.concatenate([along, nothing]),
        np.concatenate([np.arange(radius.size), twigs.root]),
        np.concatenate([_goes_on(runs), twigs.linked]),
    )


def _goes_on(runs: list[Run]) -> NDArray[np.bool_]:
    linked = np.ones(runs[-1].stop, bool)
    for run in runs:
        linked[run.start] = 0 <= run.attach == run.start - 1
    return linked


class _Stems:
    """Segments as they are laid out one after another."""

    def __init__(
        self, rng: np.random.Generator, shape: HeartShape, branch: Mapping[str, Branch]
    ) -> None:
        self.runs: list[Run] = []
        self._rng, self._shape, self._branch = rng, shape, branch
        self._points: list[Floats] = []
        self._radius: list[Floats] = []
        self._path: list[Floats] = []
        self._n = 0

    def add(self, curve: Course) -> None:
        """Lay out a curve from where its parent has the branch."""
        attach = self._attach(self._branch[curve.segments[0]])
        start = self._start(attach, curve)
        points, length = _sampled(self._rng, self._shape, start, curve)
        radius = _radius(self._rng, curve, len(points))
        first_path = self._path_at(attach)
        ends = (*(round(split * len(points)) for split in curve.splits), len(points))
        begin = 0
        for name, end in zip(curve.segments, ends, strict=True):
            here = self._n + begin
            fed_by = attach if begin == 0 else here - 1
            share = length * (end - begin) / len(points)
            self.runs.append(Run(name, here, self._n + end, fed_by, share))
            begin = end
        self._points.append(points)
        self._radius.append(radius)
        steps = np.arange(1, len(points) + 1, dtype=np.float32)
        self._path.append(first_path + steps * np.float32(length / len(points)))
        self._n += len(points)

    def arrays(self) -> tuple[Floats, Floats, Floats, NDArray[np.int8], Floats]:
        """Return points, radius, path, segment and place along the segment of all samples."""
        segment = np.empty(self._n, np.int8)
        along = np.empty(self._n, np.float32)
        for run in self.runs:
            segment[run.start : run.stop] = SEGMENT_NUMBERS[run.segment]
            n = run.stop - run.start
            along[run.start : run.stop] = (np.arange(n) + 0.5) / n
        columns = (self._points, self._radius, self._path)
        points, radius, path = (np.concatenate(each) for each in columns)
        return points, radius, path, segment, along

    def _attach(self, branch: Branch) -> int:
        if branch.parent is None:
            return -1
        parent = next(run for run in self.runs if run.segment == branch.parent)
        n = parent.stop - parent.start
        return parent.start + min(int(branch.at * n), n - 1)

    def _start(self, attach: int, curve: Course) -> tuple[float, ...]:
        """Return where the curve begins; the first way point of an ostium is the ostium."""
        if attach < 0:
            return curve.waypoints[0]
        return tuple(float(each) for each in np.concatenate(self._points)[attach])

    def _path_at(self, attach: int) -> np.float32:
        return np.float32(0) if attach < 0 else np.concatenate(self._path)[attach]


def _sampled(
    rng: np.random.Generator, shape: HeartShape, start: tuple[float, ...], curve: Course
) -> tuple[Floats, float]:
    """Return samples at even steps of a spline through the way points, and its length in mm."""
    points = np.asarray([start, *(each for each in curve.waypoints if each != start)])
    if curve.segments == ("left_main",):
        points[-1] = BIFURCATION
    knots = chord_lengths(_at_rest(shape, points))
    dense = np.linspace(0, knots[-1], _DENSE)
    line = spline(knots, points, dense).astype(np.float32)
    line = shifted(shape, line, _tortuosity(rng, dense))
    along = chord_lengths(_at_rest(shape, line))
    n = max(round(along[-1] / SPACING_MM), 3)
    wanted = np.arange(1, n + 1) * along[-1] / n
    return even_steps(line, along, wanted).astype(np.float32), float(along[-1])


def _at_rest(shape: HeartShape, points: NDArray[np.floating]) -> Doubles:
    placed = place(shape, np.asarray(points, np.float32), _REST, ejection_fraction=0)
    return np.asarray(placed[0], np.float64)


def _tortuosity(rng: np.random.Generator, along: NDArray[np.float64]) -> Floats:
    """Return wall offsets in mm that wind a vessel; none at its two ends' tangents."""
    waves = rng.uniform(14, 45, (2, 3))
    phases = rng.uniform(0, 2 * np.pi, (2, 3))
    sizes = rng.gamma(2, 0.22, (2, 1)) * np.array([0.25, 0.6, 1.0]) * np.sort(waves) / 30
    angle = 2 * np.pi * along[:, None, None] / np.sort(waves) + phases
    fade = np.minimum(1, along / 8)[:, None]
    side = (np.sin(angle) * sizes).sum(axis=2) * fade
    return np.column_stack([side, np.zeros(len(along))]).astype(np.float32)


def _radius(rng: np.random.Generator, curve: Course, n: int) -> Floats:
    """Return a tapering radius, with steps down at splits and a few percent of waviness."""
    t = (np.arange(n) + 0.5) / n
    first, last = curve.diameters_mm
    taper = first + (last - first) * t**0.9
    waves = np.sin(2 * np.pi * (t[:, None] * rng.uniform(1, 6, 3) + rng.uniform(0, 1, 3)))
    radius: Floats = (taper / 2 * (1 + 0.012 * waves.sum(axis=1))).astype(np.float32)
    return radius
