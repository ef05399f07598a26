"""The ways round a chronic total occlusion: corkscrew vessels, and the bed that they fill late."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from phantom.heart.anatomy import ARTERIES, Anatomy, Artery
from phantom.heart.disease import Disease
from phantom.heart.motion import Floats, shifted
from phantom.heart.tree import SEGMENT_NUMBERS, SPACING_MM, Run, Tree
from phantom.picture.lumen import COLLATERAL, OPEN, Contrast, Lumen, joined, line_of, wall_basis

_POINTS = 90
_BRIDGES = 2
_BRIDGE_REACH_MM = 5.0
_CHANNELS = 4
_CHANNEL_RADIUS_MM = 0.42
_WAIT_S: Final[dict[bool, tuple[float, float]]] = {True: (0.7, 1.1), False: (0.55, 0.95)}
_STRENGTH: Final[dict[bool, tuple[float, float]]] = {True: (0.35, 0.55), False: (0.5, 0.75)}
"""By whether contrast is injected into the occluded artery itself."""
_BACKWARD_MM_S = 130.0
_LINGER_S = 0.9


def collaterals(
    anatomy: Anatomy,
    disease: Disease,
    injected: Artery,
    *,
    lumens: dict[Artery, Lumen],
) -> Contrast:
    """Return what a chronic total occlusion of either artery adds to an injection.

    Parameters
    ----------
    anatomy : Anatomy
    disease : Disease
    injected : {"left", "right"}
    lumens : dict of Artery to Lumen
        Of both arteries.

    Returns
    -------
    Contrast
        Bridging vessels beside an occlusion of the injected artery, corkscrew channels from it to
        the beds behind occlusions of either, and those beds, filled late and from their far ends.
    """
    donor = anatomy.tree(injected)
    parts: list[Contrast] = []
    for run in donor.runs:
        state = disease.state(run.segment)
        if state.cto and state.occluded and lumens[injected].strength[run.start] > 0:
            gap = (state.centre * run.length_mm, state.length_mm)
            parts.append(_bridges(anatomy, donor, run, gap, lumens[injected]))
    for number, artery in enumerate(ARTERIES):
        bed = np.flatnonzero(lumens[artery].fed == COLLATERAL)
        if bed.size:
            rng = anatomy.generator(50, number, int(artery == injected))
            own = artery == injected
            wait, strength = rng.uniform(*_WAIT_S[own]), rng.uniform(*_STRENGTH[own])
            tree = anatomy.tree(artery)
            parts.append(_bed(tree, lumens[artery], bed, wait, strength))
            parts.append(
                _channels(rng, (donor, lumens[injected]), (tree, bed), wait, 0.5 + 0.5 * strength)
            )
    return joined(parts)


def _bed(
    tree: Tree, lumen: Lumen, bed: NDArray[np.int64], wait_s: float, strength: float
) -> Contrast:
    """Return the vessels behind an occlusion; what is nearest to it fills last."""
    path = tree.path_mm[bed]
    after = wait_s + 0.25 + (path.max() - path) / _BACKWARD_MM_S
    radius = 0.92 * lumen.radius_mm[bed]
    volume = strength * np.pi * radius**2 * tree.step_mm[bed]
    hold = np.full(bed.size, _LINGER_S, np.float32)
    linked = tree.linked[bed] & np.append(False, np.diff(bed) == 1)
    columns = (lumen.points[bed], radius, volume.astype(np.float32), after.astype(np.float32))
    return Contrast(*columns, hold, linked)


def _bridges(
    anatomy: Anatomy, tree: Tree, run: Run, gap_mm: tuple[float, float], lumen: Lumen
) -> Contrast:
    """Return fine vessels that wind along the occluded stretch."""
    centre, length = gap_mm
    at = (np.arange(run.stop - run.start) + 0.5) / (run.stop - run.start) * run.length_mm
    near = (at > centre - _BRIDGE_REACH_MM) & (at < centre + length + _BRIDGE_REACH_MM)
    sample = run.start + np.flatnonzero(near)
    if sample.size < 3:
        return joined([])
    rng = anatomy.generator(51, SEGMENT_NUMBERS[run.segment])
    points = tree.points[sample]
    outward, sideward = wall_basis(anatomy.shape, points)
    t = np.linspace(0, 1, sample.size)
    parts = []
    for _ in range(_BRIDGES):
        turn = 2 * np.pi * (rng.uniform(1.2, 2.4) * t + rng.uniform())
        away = (rng.uniform(2.2, 3.6) * np.sin(np.pi * t) ** 0.6)[:, None]
        offset = away * (np.cos(turn)[:, None] * outward + np.sin(turn)[:, None] * sideward)
        moved = shifted(anatomy.shape, points, offset.astype(np.float32))
        radius = np.full(sample.size, 0.38, np.float32)
        after = lumen.after_s[sample[0]] + 0.1 + (t * length / 60).astype(np.float32)
        volume = (0.8 * np.pi * radius**2 * 1.6 * SPACING_MM).astype(np.float32)
        hold = np.full(sample.size, 0.5, np.float32)
        parts.append(line_of(moved, radius, volume, after, hold))
    return joined(parts)


def _channels(
    rng: np.random.Generator,
    donor: tuple[Tree, Lumen],
    bed: tuple[Tree, NDArray[np.int64]],
    wait_s: float,
    strength: float,
) -> Contrast:
    """Return corkscrew vessels from where contrast is to where it is wanted.

    Each starts at the donor's sample nearest to a place of the bed, a little way round, and dips
    below the surface as septal channels do.
    """
    tree, lumen = donor
    far = tree.path_mm[: tree.n_labelled] > 45
    sources = np.flatnonzero((lumen.fed[: tree.n_labelled] == OPEN) & far)
    wanted = bed[1][bed[1] < bed[0].n_labelled]
    if sources.size == 0 or wanted.size == 0:
        return joined([])
    parts = []
    t = np.linspace(0, 1, _POINTS, dtype=np.float32)
    for target in rng.choice(wanted, _CHANNELS):
        end = bed[0].points[target]
        ways = _unwound(tree.points[sources], end)
        cost = np.hypot((ways[:, 1] - end[1]) / 60, ways[:, 0] - end[0])
        pick = int(np.argsort(cost)[int(rng.integers(min(25, cost.size)))])
        start = ways[pick]
        line = start + t[:, None] * (end - start)
        envelope = np.sin(np.pi * t)
        waves = 2 * np.pi * (rng.uniform(3, 5) * t[:, None] + rng.uniform(0, 1, 2))
        line[:, 0] += 0.018 * envelope * np.sin(waves[:, 0])
        line[:, 1] += 2.4 * envelope * np.sin(waves[:, 1])
        line[:, 2] -= rng.uniform(0.05, 0.3) * envelope
        length = float(np.hypot(60 * abs(start[1] - end[1]) / 90, 85 * (start[0] - end[0]))) + 12
        radius = np.full(_POINTS, _CHANNEL_RADIUS_MM * rng.uniform(0.8, 1.1), np.float32)
        volume = strength * np.pi * radius**2 * 1.4 * length / _POINTS
        begin = min(float(lumen.after_s[sources[pick]]) + 0.15, wait_s)
        after = (begin + t * (wait_s + 0.3 - begin)).astype(np.float32)
        hold = np.full(_POINTS, _LINGER_S, np.float32)
        parts.append(line_of(line, radius, volume.astype(np.float32), after, hold))
    return joined(parts)


def _unwound(points: Floats, end: Floats) -> Floats:
    """Return points with phi on the turn that is nearest to the end's."""
    moved = points.copy()
    moved[:, 1] = end[1] + np.mod(points[:, 1] - end[1] + 180, 360) - 180
    return moved
