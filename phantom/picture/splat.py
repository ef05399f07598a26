"""Mass on a pixel grid: what an X-ray meets on its way, summed, with no mass lost.

A vessel is a row of balls along its centreline.  Each one lays its mass evenly on a disc of its
radius; along the row the discs add up to the chord profile of a cylinder, and overlap,
foreshortening and partial volume come out by themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phantom.heart.motion import Floats

MIN_RADIUS_PX: Final = 0.55
"""A thinner vessel is drawn this thick with the mass that it has."""

_OFFSETS = 4
_RADIUS_STEP = 1.06
_CLASS_HALVES = (2, 3, 4, 6, 8, 12, 18, 28, 40)
_BLOCK_CELLS = 40_000
"""Added at once; what is in a processor's cache is added six times as fast as what is not."""
_LEVELS = 73


def splat(
    row: Floats, column: Floats, radius: Floats, mass: Floats, *, size: int, edge: float = 1.0
) -> Floats:
    """Lay mass on frames.

    Parameters
    ----------
    row, column : float32 arrays of shape (frames, balls)
        Centres in pixels; the centre of the first pixel is 0.
    radius : float32 array of shape (frames, balls)
        Pixels.
    mass : float32 array of shape (frames, balls)
        Sum over the pixels that a ball adds; negative takes away.
    size : int
        Rows and columns of a frame.
    edge : float
        Width of the disc's edge in pixels: 1 is area sampling, more is blur.

    Returns
    -------
    float32 array of shape (frames, size, size)
    """
    level = np.minimum(_level(np.maximum(radius, MIN_RADIUS_PX)), _LEVELS - 1)
    half = _halves(edge)[level]
    inside = (mass != 0) & _within(row, half, size) & _within(column, half, size)
    frame, ball = np.nonzero(inside)
    picked = (frame, ball)
    level, half, mass = level[picked], half[picked], mass[picked]
    r0, row_part = _split(row[picked])
    c0, column_part = _split(column[picked])
    kernel = (level * _OFFSETS + row_part) * _OFFSETS + column_part
    total = np.zeros((row.shape[0], size, size), np.float32)
    for width in _CLASS_HALVES:
        members = np.flatnonzero(half == width)
        if members.size:
            places = np.stack([frame, r0, c0, kernel], axis=1)[members]
            _add_class(total, places, mass[members], half=width, edge=edge)
    return total


def _add_class(
    total: Floats,
    places: NDArray[np.int64],
    mass: Floats,
    *,
    half: int,
    edge: float,
) -> None:
    """Add the balls of one kernel width.

    A place is a frame, the nearest row and column, and which disc to lay there.  The margin round
    a frame is twice the kernel's half width: a ball that only touches the frame may have its
    centre half a kernel outside and reach half a kernel further.
    """
    n_frames, size, _ = total.shape
    frame, row, column, kernel = places.T
    margin = 2 * half
    padded = size + 2 * margin
    first, table = _kernels(half, edge)
    reach = np.arange(-half, half + 1)
    around = (reach[:, None] * padded + reach).ravel()
    base = (frame * padded + row + margin) * padded + column + margin
    kernel = kernel - first * _OFFSETS * _OFFSETS
    laid = np.zeros(n_frames * padded * padded, np.float32)
    block = max(_BLOCK_CELLS // around.size, 1)
    for start in range(0, mass.size, block):
        some = slice(start, start + block)
        weights = table[kernel[some]] * mass[some, None]
        cells = base[some, None] + around
        np.add.at(laid, cells.ravel(), weights.ravel())
    inner = slice(margin, -margin)
    total += laid.reshape(n_frames, padded, padded)[:, inner, inner]


def _within(at: Floats, half: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    return (at > -half) & (at < size - 1 + half)


def _split(at: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the nearest pixel and which of the sub-pixel offsets the rest is."""
    steps = np.rint(at * _OFFSETS).astype(np.int64)
    nearest = (steps + _OFFSETS // 2) // _OFFSETS
    return nearest, steps - nearest * _OFFSETS + _OFFSETS // 2


def _level(radius: Floats) -> NDArray[np.int64]:
    steps = np.log(radius / MIN_RADIUS_PX) / np.log(_RADIUS_STEP)
    return np.asarray(np.rint(steps), np.int64)


def _radius_of(level: NDArray[np.int64]) -> NDArray[np.float64]:
    return MIN_RADIUS_PX * _RADIUS_STEP ** level.astype(np.float64)


@lru_cache(maxsize=64)
def _halves(edge: float) -> NDArray[np.int64]:
    """Return the half width of the kernel of each radius level."""
    levels = np.arange(_LEVELS)
    need = _radius_of(levels) + edge / 2 + 0.5 - 0.05
    return np.asarray(_CLASS_HALVES)[np.minimum(np.searchsorted(_CLASS_HALVES, need), 8)]


@lru_cache(maxsize=256)
def _kernels(half: int, edge: float) -> tuple[int, Floats]:
    """Return the first radius level of a width, and its discs: level, row and column offset."""
    levels = np.flatnonzero(_halves(edge) == half)
    reach = np.arange(-half, half + 1, dtype=np.float64)
    part = (np.arange(_OFFSETS) - _OFFSETS // 2) / _OFFSETS
    rows = reach[None, :] - part[:, None]
    distance = np.hypot(rows[:, None, :, None], rows[None, :, None, :])
    radius = _radius_of(levels)[:, None, None, None, None]
    disc = np.clip((radius - distance) / edge + 0.5, 0, 1)
    disc /= disc.sum(axis=(-2, -1), keepdims=True)
    return int(levels[0]), disc.reshape(-1, reach.size**2).astype(np.float32)
