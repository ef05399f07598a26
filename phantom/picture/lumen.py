"""What disease does to the inside of the vessels: width, flow, and what displaces contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phantom.heart.anatomy import Anatomy
from phantom.heart.disease import Disease, SegmentState, is_downstream
from phantom.heart.motion import Floats, HeartShape, shifted
from phantom.heart.tree import SEGMENT_NUMBERS, Run, Tree

OPEN: Final = 0
CUT: Final = 1
"""No contrast comes here."""
COLLATERAL: Final = 2
"""Beyond a chronic total occlusion: contrast comes late and by other ways."""

_TIGHT_PERCENT = 85.0
_STUMP_MM = 9.0
_STANDING_MM = 14.0
_STANDING_S = 1.3
_BEHIND_CLOT_MM = 8.0


@dataclass(frozen=True, eq=False)
class Contrast:
    """Balls of contrast medium (or of what displaces it) in the vessels.

    Attributes
    ----------
    points : float32 array of shape (balls, 3)
        Heart coordinates.
    radius_mm : float32 array of shape (balls,)
    volume_mm3 : float32 array of shape (balls,)
        Of contrast when full; negative where contrast is displaced.
    after_s : float32 array of shape (balls,)
        Arrival after the ostium's.
    hold_s : float32 array of shape (balls,)
        How much longer than elsewhere it stays.
    linked : bool array of shape (balls,)
        Whether the vessel goes on from the ball before, so that the space between can be filled.
    """

    points: Floats
    radius_mm: Floats
    volume_mm3: Floats
    after_s: Floats
    hold_s: Floats
    linked: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lumen:
    """The samples of a tree as disease has left them.

    Attributes
    ----------
    points : float32 array of shape (samples, 3)
        Heart coordinates; an eccentric lesion moves what is left of the lumen to one wall.
    radius_mm : float32 array of shape (samples,)
    strength : float32 array of shape (samples,)
        How much of the bolus comes through, 0 to 1.
    after_s, hold_s : float32 arrays of shape (samples,)
        As in `Contrast`.
    fed : int8 array of shape (samples,)
        `OPEN`, `CUT` or `COLLATERAL`.
    clots : Contrast
        Thrombus.
    """

    points: Floats
    radius_mm: Floats
    strength: Floats
    after_s: Floats
    hold_s: Floats
    fed: NDArray[np.int8]
    clots: Contrast


class _Samples:
    """The arrays of a `Lumen` while segment after segment is worked on."""

    def __init__(self, tree: Tree, speed_mm_s: float) -> None:
        n = tree.radius_mm.size
        self.points = tree.points.copy()
        self.radius = tree.radius_mm.copy()
        self.strength = np.ones(n, np.float32)
        self.delay = np.zeros(n, np.float32)
        self.hold = np.zeros(n, np.float32)
        self.fed = np.zeros(n, np.int8)
        self.clots: list[Contrast] = []
        self.path_s = tree.path_mm / np.float32(speed_mm_s)

    def inherit(self, run: Run, feeder: int) -> None:
        """Take over what comes from a sample of the parent; nothing does at an ostium."""
        if feeder >= 0:
            own = slice(run.start, run.stop)
            for each in (self.strength, self.delay, self.fed):
                each[own] = each[feeder]


def lumen(anatomy: Anatomy, disease: Disease, tree: Tree, *, speed_mm_s: float) -> Lumen:
    """Apply a disease to an artery.

    Parameters
    ----------
    anatomy : Anatomy
    disease : Disease
    tree : Tree
        One of the anatomy's.
    speed_mm_s : float
        Of the contrast's front in an open vessel.

    Returns
    -------
    Lumen
    """
    samples = _Samples(tree, speed_mm_s)
    for run in tree.runs:
        samples.inherit(run, _feeder(anatomy, disease, tree, run))
        state = disease.state(run.segment)
        if state != SegmentState():
            _apply(anatomy, samples, run, state)
    twigs = slice(tree.n_labelled, None)
    for each in (samples.strength, samples.delay, samples.fed):
        each[twigs] = each[tree.root[twigs]]
    after = samples.path_s + samples.delay
    columns = (samples.points, samples.radius, samples.strength, after)
    return Lumen(*columns, samples.hold, samples.fed, joined(samples.clots))


def _feeder(anatomy: Anatomy, disease: Disease, tree: Tree, run: Run) -> int:
    """Return the sample that a run gets its contrast from.

    Of an occluded parent its last or its first one, by the rule that says what is visible: the
    picture and the label then agree even where the occlusion is at the branch.
    """
    branch = anatomy.branches[run.segment]
    parent = None if branch.parent is None else tree.run(branch.parent)
    if parent is None:
        return -1
    state = disease.state(parent.segment)
    if not state.occluded:
        return run.attach
    return parent.stop - 1 if is_downstream(state, branch.at, cut=False) else parent.start


def contrast_of(points: Floats, lumen_: Lumen, tree: Tree) -> Contrast:
    """Return the contrast medium of the open part of a lumen, its thrombi apart."""
    open_ = lumen_.fed == OPEN
    volume = np.pi * lumen_.radius_mm**2 * tree.step_mm * lumen_.strength
    linked = tree.linked & np.append(False, open_[:-1])
    columns = (points, lumen_.radius_mm, volume, lumen_.after_s, lumen_.hold_s, linked)
    return Contrast(*(column[open_] for column in columns))


def joined(parts: list[Contrast]) -> Contrast:
    """Return all balls of several, in order."""
    parts = [_NOTHING, *parts]
    return Contrast(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.radius_mm for part in parts]),
        np.concatenate([part.volume_mm3 for part in parts]),
        np.concatenate([part.after_s for part in parts]),
        np.concatenate([part.hold_s for part in parts]),
        np.concatenate([part.linked for part in parts]),
    )


_EMPTY = np.zeros(0, np.float32)
_NOTHING = Contrast(np.zeros((0, 3), np.float32), _EMPTY, _EMPTY, _EMPTY, _EMPTY, _EMPTY > 0)


def line_of(
    points: Floats, radius: Floats, volume: Floats, after: Floats, hold: Floats
) -> Contrast:
    """Return contrast along one vessel."""
    f32 = np.float32
    return Contrast(
        points.astype(f32),
        radius.astype(f32),
        volume.astype(f32),
        after.astype(f32),
        hold.astype(f32),
        np.arange(len(points)) > 0,
    )


def wall_basis(shape: HeartShape, points: Floats) -> tuple[Floats, Floats]:
    """Return two directions across a vessel at each of its samples.

    Parameters
    ----------
    shape : HeartShape
    points : float32 array of shape (samples, 3)
        Heart coordinates along one vessel.

    Returns
    -------
    outward, sideward : float32 arrays of shape (samples, 3)
        Unit vectors as `phantom.heart.motion.shifted` takes them.
    """
    step = np.gradient(points, axis=0)
    radius = shape.radius(points[:, 0], points[:, 1])
    across = radius * points[:, 2] * np.deg2rad(step[:, 1])
    tangent = np.stack([step[:, 0] * shape.length_mm, across, step[:, 2] * radius], axis=1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    outward = np.array([0.0, 0.0, 1.0]) - tangent[:, 2:] * tangent
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
    return outward.astype(np.float32), np.cross(tangent, outward).astype(np.float32)


def _apply(anatomy: Anatomy, samples: _Samples, run: Run, state: SegmentState) -> None:
    own = slice(run.start, run.stop)
    n = run.stop - run.start
    at = ((np.arange(n) + 0.5) / n * run.length_mm).astype(np.float32)
    centre = state.centre * run.length_mm
    rng = anatomy.generator(30, SEGMENT_NUMBERS[run.segment])
    angle = rng.uniform(0, 2 * np.pi)
    normal = samples.radius[own].copy()
    samples.radius[own] *= _irregular(rng, at, state)
    if state.occluded:
        _occlude(samples, own, at, centre, state)
    elif state.stenosis_percent > 0:
        length = min(state.length_mm, 0.9 * float(at[-1]))
        throat = centre
        if state.thrombus:
            length = min(length, _BEHIND_CLOT_MM)
            throat += 0.5 * state.length_mm + 0.4 * length
        throat = float(np.clip(throat, 0.1 * run.length_mm, 0.92 * run.length_mm))
        _narrow(anatomy, samples, own, at, (throat, length), state, angle)
    if state.thrombus:
        _clot(anatomy, samples, own, at, centre, state, angle, normal)


def _irregular(rng: np.random.Generator, at: Floats, state: SegmentState) -> Floats:
    """Return the factor of a diffusely diseased wall, within a few percent of 1."""
    burden = min(state.stenosis_percent / 100 + state.calcification, 1.0)
    waves = np.sin(2 * np.pi * (at[:, None] / rng.uniform(4, 16, 4) + rng.uniform(0, 1, 4)))
    amount = 0 if state.stent else 0.01 + 0.02 * burden
    return np.asarray(1 - amount * (1 + waves.sum(axis=1) / 2), np.float32)


def _narrow(
    anatomy: Anatomy,
    samples: _Samples,
    own: slice,
    at: Floats,
    place: tuple[float, float],
    state: SegmentState,
    angle: float,
) -> None:
    """Make a stenosis: a raised cosine, with what is left of the lumen at one wall."""
    throat, length = place
    inside = np.clip((at - throat) / length, -0.5, 0.5)
    profile = (0.5 + 0.5 * np.cos(2 * np.pi * inside)) ** 0.8
    lost = samples.radius[own] * (state.stenosis_percent / 100 * profile).astype(np.float32)
    samples.radius[own] -= lost
    points = samples.points[own]
    outward, sideward = wall_basis(anatomy.shape, points)
    toward = np.cos(angle) * outward + np.sin(angle) * sideward
    offset = state.eccentricity * lost[:, None] * toward
    samples.points[own] = shifted(anatomy.shape, points, offset)
    slower = 0.4 * max(state.stenosis_percent - _TIGHT_PERCENT, 0) / 14
    samples.delay[own] += np.where(at > throat, np.float32(slower), np.float32(0))


def _occlude(samples: _Samples, own: slice, at: Floats, centre: float, state: SegmentState) -> None:
    """Let nothing past: a tapering stump if chronic, or a blunt one where contrast stands."""
    beyond = at >= min(centre, at[-1])
    before = np.clip((centre - at) / _STUMP_MM, 0, 1)
    if state.cto:
        samples.radius[own] *= np.where(beyond, 0.85, 0.3 + 0.7 * before).astype(np.float32)
    else:
        standing = np.clip(1 - (centre - at) / _STANDING_MM, 0, 1)
        samples.hold[own] += np.where(beyond, 0, _STANDING_S * standing).astype(np.float32)
    gap = beyond & (at < min(centre + state.length_mm, at[-1]))
    fed = samples.fed[own]
    chronic = state.cto & beyond & ~gap & (fed == OPEN)
    samples.fed[own] = np.where(beyond, np.where(chronic, COLLATERAL, CUT), fed)
    samples.strength[own] *= ~beyond


def _clot(
    anatomy: Anatomy,
    samples: _Samples,
    own: slice,
    at: Floats,
    centre: float,
    state: SegmentState,
    angle: float,
    normal: Floats,
) -> None:
    """Put a globular defect inside a lumen that keeps, or a little exceeds, its outer contour.

    Contrast flows round it and stays in its rim after the rest is washed out.
    """
    length = min(max(state.length_mm, 8.0), 18.0, 0.9 * float(at[-1]))
    middle = centre - (0.5 * length if state.occluded else 0)
    inside = (at - middle) / (length / 2)
    body = np.sqrt(np.clip(1 - inside**2, 0, 1)).astype(np.float32)
    wide = np.where(np.abs(inside) < 1.15, 1.18, 1.0).astype(np.float32)
    untouched = np.abs(inside) < 1.0
    samples.radius[own] = np.where(untouched, normal * wide, samples.radius[own] * wide)
    lumps = 1 + 0.14 * np.sin(2 * np.pi * (at / 4.5 + angle))
    radius = (0.74 * samples.radius[own] * body * lumps).astype(np.float32)
    here = np.flatnonzero(body > 0.2)
    points = samples.points[own][here]
    outward, sideward = wall_basis(anatomy.shape, samples.points[own])
    toward = (np.cos(angle) * outward + np.sin(angle) * sideward)[here]
    gap = (samples.radius[own] - radius)[here, None]
    near = np.abs(inside) < 1.2
    samples.hold[own] += np.where(near, np.float32(_STANDING_S), np.float32(0))
    samples.delay[own] += np.where(inside > 0, np.float32(0.35), np.float32(0))
    volume = -np.pi * radius**2 * np.float32(at[1] - at[0]) * samples.strength[own]
    after = (samples.path_s[own] + samples.delay[own])[here]
    moved = shifted(anatomy.shape, points, 0.55 * gap * toward)
    samples.clots.append(line_of(moved, radius[here], volume[here], after, samples.hold[own][here]))
