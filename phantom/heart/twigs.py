"""Fine branches without a name: septals, small diagonals, right-ventricular and atrial twigs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phantom.heart.motion import Floats, HeartShape, shifted

_POINTS = 20
_CHILD_POINTS = 10
_SLOWER = 1.5
_TIP = 0.4


@dataclass(frozen=True)
class _Kind:
    """A family of twigs of one segment: heading on the wall (0 apex, 90 greater phi), degrees."""

    every_mm: float
    heading: float
    spread: float
    length_mm: tuple[float, float]
    radius_mm: float
    inward: float = 0.0
    span: tuple[float, float] = (0.05, 0.95)


_SIDES = (
    _Kind(22, 45, 15, (8, 20), 0.34),
    _Kind(22, -45, 15, (8, 20), 0.34),
)
_KINDS: Final[dict[str, tuple[_Kind, ...]]] = {
    "prox_lad": (
        _Kind(7, -10, 12, (16, 32), 0.42, inward=0.75, span=(0.3, 1)),
        _Kind(25, -60, 15, (10, 20), 0.36),
    ),
    "mid_lad": (
        _Kind(6, 0, 12, (14, 34), 0.40, inward=0.7),
        _Kind(16, 42, 10, (12, 30), 0.42),
        _Kind(20, -55, 15, (8, 18), 0.32),
    ),
    "dist_lad": (
        _Kind(8, 0, 12, (8, 18), 0.30, inward=0.6),
        _Kind(14, 48, 12, (8, 20), 0.34),
        _Kind(16, -50, 15, (8, 18), 0.30),
    ),
    "prox_lcx": (_Kind(18, 165, 20, (14, 26), 0.40), _Kind(24, 15, 10, (12, 26), 0.40)),
    "mid_lcx": (_Kind(16, 15, 12, (14, 30), 0.42), _Kind(24, 160, 20, (8, 18), 0.32)),
    "dist_lcx": (_Kind(15, 12, 12, (10, 22), 0.36), _Kind(24, 165, 20, (8, 16), 0.30)),
    "prox_rca": (
        _Kind(26, 20, 12, (18, 32), 0.45, span=(0.05, 0.35)),
        _Kind(26, 175, 20, (18, 34), 0.45, span=(0.05, 0.4)),
        _Kind(20, 5, 15, (14, 30), 0.42, span=(0.4, 1)),
    ),
    "mid_rca": (
        _Kind(15, 5, 14, (30, 55), 0.62),
        _Kind(26, 170, 20, (10, 22), 0.36),
    ),
    "dist_rca": (_Kind(14, 0, 15, (12, 26), 0.38), _Kind(26, 170, 20, (8, 16), 0.32)),
    "pda": (
        _Kind(7, 0, 15, (10, 22), 0.32, inward=0.7),
        *(_Kind(22, turn, 12, (8, 18), 0.32) for turn in (45, -45)),
    ),
}


@dataclass(frozen=True, eq=False)
class Twigs:
    """Samples of all twigs of an artery.

    Attributes
    ----------
    points : float32 array of shape (samples, 3)
        Heart coordinates.
    radius_mm, step_mm : float32 arrays of shape (samples,)
    path_mm : float32 array of shape (samples,)
        From the segment on, longer than it is because flow is slower in small vessels.
    root : int64 array of shape (samples,)
        The sample of a segment where the twig leaves.
    linked : bool array of shape (samples,)
        Whether the twig goes on from the sample before.
    """

    points: Floats
    radius_mm: Floats
    step_mm: Floats
    path_mm: Floats
    root: NDArray[np.int64]
    linked: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Starts:
    points: Floats
    root: NDArray[np.int64]
    path: Floats
    heading: Floats
    length: Floats
    radius: Floats
    inward: Floats


def grow(
    rng: np.random.Generator,
    shape: HeartShape,
    points: Floats,
    radius_mm: Floats,
    *,
    names: NDArray[np.str_],
    along: Floats,
) -> Twigs:
    """Draw the twigs of an artery, and twigs of those.

    Parameters
    ----------
    rng : numpy Generator
    shape : HeartShape
    points : float32 array of shape (samples, 3)
        The artery's segments, heart coordinates.
    radius_mm, along : float32 arrays of shape (samples,)
    names : array of str of shape (samples,)
        Segment of each sample.

    Returns
    -------
    Twigs
    """
    first = _first_starts(rng, points, radius_mm, names, along)
    mother, heading = _drawn(rng, shape, first, _POINTS)
    second = _second_starts(rng, first, mother, heading)
    child, _ = _drawn(rng, shape, second, _CHILD_POINTS)
    pairs = zip(_columns(mother), _columns(child), strict=True)
    points, radius, step, path, root, linked = (np.concatenate(pair) for pair in pairs)
    return Twigs(points, radius, step, path, root, linked)


def _columns(twigs: Twigs) -> tuple[NDArray[np.generic], ...]:
    return (twigs.points, twigs.radius_mm, twigs.step_mm, twigs.path_mm, twigs.root, twigs.linked)


def _first_starts(
    rng: np.random.Generator,
    points: Floats,
    radius: Floats,
    names: NDArray[np.str_],
    along: Floats,
) -> _Starts:
    rows: list[tuple[int, float, float, float, float]] = []
    for name in dict.fromkeys(names.tolist()):
        if name == "left_main":
            continue
        members = np.flatnonzero(names == name)
        for kind in _KINDS.get(name, _SIDES):
            near, far = np.searchsorted(along[members], kind.span)
            n = rng.poisson((far - near) * 0.8 / kind.every_mm)
            for at in rng.integers(near, max(far, near + 1), n):
                sample = int(members[min(at, members.size - 1)])
                wide = min(kind.radius_mm * rng.uniform(0.9, 1.5), 0.62 * float(radius[sample]))
                heading = rng.normal(kind.heading, kind.spread)
                rows.append((sample, heading, rng.uniform(*kind.length_mm), wide, kind.inward))
    table = np.asarray(rows, np.float32).reshape(-1, 5)
    root = np.asarray([row[0] for row in rows], np.int64)
    nowhere = np.zeros(root.size, np.float32)
    _, *columns = table.T
    return _Starts(points[root], root, nowhere, *columns)


def _second_starts(
    rng: np.random.Generator, first: _Starts, mother: Twigs, heading: Floats
) -> _Starts:
    n = first.root.size
    parents = np.repeat(np.arange(n), rng.poisson(np.maximum(first.length - 8, 0) / 16))
    at = parents * _POINTS + rng.integers(_POINTS // 4, _POINTS - 3, parents.size)
    turn = rng.choice([-1.0, 1.0], parents.size) * rng.uniform(25, 60, parents.size)
    return _Starts(
        mother.points[at],
        mother.root[at],
        mother.path_mm[at],
        (heading.ravel()[at] + turn).astype(np.float32),
        (first.length[parents] * rng.uniform(0.25, 0.55, parents.size)).astype(np.float32),
        0.75 * mother.radius_mm[at],
        0.8 * first.inward[parents],
    )


def _drawn(
    rng: np.random.Generator, shape: HeartShape, start: _Starts, count: int
) -> tuple[Twigs, Floats]:
    """Return so many samples of each twig, and the heading at each (twigs, samples), degrees."""
    n = start.root.size
    t = (np.arange(1, count + 1, dtype=np.float32) / count)[None, :]
    wave = 2 * np.pi * (rng.uniform(0.8, 2.6, (n, 1)) * t + rng.uniform(0, 1, (n, 1)))
    wind = rng.uniform(8, 32, (n, 1)) * np.sin(wave)
    heading = (start.heading[:, None] + rng.normal(0, 18, (n, 1)) * t + wind).astype(np.float32)
    step = np.repeat(start.length[:, None] / count, count, axis=1)
    inward = start.inward[:, None] * np.ones_like(step)
    flat = step * np.sqrt(1 - inward**2)
    angle = np.deg2rad(heading)
    moves = np.stack([flat * np.cos(angle), flat * np.sin(angle), -step * inward], axis=-1)
    points = shifted(shape, start.points[:, None], np.cumsum(moves, axis=1).astype(np.float32))
    radius = start.radius[:, None] * (1 - (1 - _TIP) * t)
    path = start.path[:, None] + _SLOWER * start.length[:, None] * t
    twigs = Twigs(
        points.reshape(-1, 3),
        np.asarray(radius, np.float32).ravel(),
        np.asarray(step, np.float32).ravel(),
        np.asarray(path, np.float32).ravel(),
        np.repeat(start.root, count),
        np.tile(np.arange(count) > 0, n),
    )
    return twigs, heading
