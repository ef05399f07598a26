"""What stops X-rays without contrast medium: calcium on the walls and the struts of stents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phantom.heart.anatomy import Anatomy
from phantom.heart.disease import Disease, SegmentState
from phantom.heart.motion import Floats, shifted
from phantom.heart.tree import SEGMENT_NUMBERS, SPACING_MM, Run, Tree
from phantom.picture.lumen import wall_basis

CALCIUM_MU_PER_MM: Final = 0.30
"""Of a dense plaque, above soft tissue."""
STRUT_MM2: Final = 0.022
"""Metal between two drawn points of a strut, times its attenuation: about twice that of a strut of
0.08 mm of cobalt-chromium, so that stents can be told at all at 128 pixels."""

_STREAKS = 40
_RING_MM = 1.4
_RING_POINTS = 14


@dataclass(frozen=True, eq=False)
class Deposits:
    """Balls that are always there.

    Attributes
    ----------
    points : float32 array of shape (balls, 3)
        Heart coordinates.
    radius_mm : float32 array of shape (balls,)
    mass_mm2 : float32 array of shape (balls,)
        Attenuation summed over the picture's plane.
    kind : int8 array of shape (balls,)
        0 calcium, 1 stent.
    """

    points: Floats
    radius_mm: Floats
    mass_mm2: Floats
    kind: NDArray[np.int8]


CALCIUM: Final = 0
STENT: Final = 1


def deposits(anatomy: Anatomy, disease: Disease, tree: Tree) -> Deposits:
    """Return the calcium and the stents of an artery.

    Parameters
    ----------
    anatomy : Anatomy
    disease : Disease
    tree : Tree
        One of the anatomy's; deposits lie round the normal vessel, not round what disease left.

    Returns
    -------
    Deposits
        A segment's streaks of calcium are the same at every exam, and as many of them are there
        as its calcification says.
    """
    parts: list[tuple[Floats, Floats, Floats, int]] = []
    for run in tree.runs:
        state = disease.state(run.segment)
        if state.calcification > 0:
            parts.append((*_calcium(anatomy, tree, run, state.calcification), CALCIUM))
        if state.stent:
            parts.append((*_stent(anatomy, tree, run, state), STENT))
    nothing = np.zeros(0, np.float32)
    parts.insert(0, (np.zeros((0, 3), np.float32), nothing, nothing, CALCIUM))
    kinds = [np.full(part[1].size, part[3], np.int8) for part in parts]
    points, radius, mass = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return Deposits(points, radius, mass, np.concatenate(kinds))


def _calcium(
    anatomy: Anatomy, tree: Tree, run: Run, calcification: float
) -> tuple[Floats, Floats, Floats]:
    """Return streaks along the wall, 1 to 6 mm long; many of them make a rail."""
    rng = anatomy.generator(40, SEGMENT_NUMBERS[run.segment])
    middle = np.clip(rng.normal(0.45, 0.24, _STREAKS), 0.04, 0.96) * run.length_mm
    angle = rng.uniform(0, 2 * np.pi, _STREAKS)
    length = 1.2 + rng.gamma(1.6, 1.5, _STREAKS)
    thick = rng.uniform(0.3, 0.62, _STREAKS)
    share = min(run.length_mm / 30, 1.3)
    count = min(round((5 + 22 * calcification) * share), _STREAKS)
    own = slice(run.start, run.stop)
    points = tree.points[own]
    outward, sideward = wall_basis(anatomy.shape, points)
    at = (np.arange(len(points)) + 0.5) / len(points) * run.length_mm
    inside = np.abs(at - middle[:count, None]) < length[:count, None] / 2 + 0.4
    streak, sample = np.nonzero(inside)
    turn = angle[streak, None]
    toward = np.cos(turn) * outward[sample] + np.sin(turn) * sideward[sample]
    offset = 1.04 * tree.radius_mm[own][sample, None] * toward
    radius = thick[streak].astype(np.float32)
    mass = CALCIUM_MU_PER_MM * np.pi * radius**2 * SPACING_MM
    moved = shifted(anatomy.shape, points[sample], offset.astype(np.float32))
    return moved, radius, mass.astype(np.float32)


def _stent(
    anatomy: Anatomy, tree: Tree, run: Run, state: SegmentState
) -> tuple[Floats, Floats, Floats]:
    """Return the struts of a tube of zigzag rings, joined by nothing."""
    own = slice(run.start, run.stop)
    points = tree.points[own]
    outward, sideward = wall_basis(anatomy.shape, points)
    length = min(max(state.length_mm, 10.0) + 4, 0.95 * run.length_mm)
    middle = float(np.clip(state.centre * run.length_mm, length / 2, run.length_mm - length / 2))
    rings = np.arange(middle - length / 2, middle + length / 2, _RING_MM)
    turn = np.arange(_RING_POINTS) * 2 * np.pi / _RING_POINTS
    zigzag = _RING_MM * 0.4 * np.where(np.arange(_RING_POINTS) % 2, 1, -1)
    at = np.clip((rings[:, None] + zigzag).ravel(), 0, run.length_mm)
    angle = (turn + np.pi / _RING_POINTS * np.arange(rings.size)[:, None]).ravel()[:, None]
    sample = np.minimum((at / run.length_mm * len(points)).astype(int), len(points) - 1)
    toward = np.cos(angle) * outward[sample] + np.sin(angle) * sideward[sample]
    wide = np.float32(tree.radius_mm[own].max() * 0.5) + 0.5 * tree.radius_mm[own][sample]
    between = [
        np.interp(at, (np.arange(len(points)) + 0.5) / len(points) * run.length_mm, column)
        for column in points.T
    ]
    centre = np.stack(between, axis=1).astype(np.float32)
    moved = shifted(anatomy.shape, centre, (wide[:, None] * toward).astype(np.float32))
    n = len(moved)
    return moved, np.full(n, 0.12, np.float32), np.full(n, STRUT_MM2, np.float32)
