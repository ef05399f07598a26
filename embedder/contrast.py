"""Whether contrast medium fills thin vessels during a clip: one number, by simple image filters.

A vessel that fills shows as a thin dark structure that was not there before.  Thin dark structures
are what a closing fills up (the black top-hat); broad things that move, such as the diaphragm, the
heart's shadow or the table's edge, are left as they are by it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SIDE = 128
"""Pixels of the shorter side that a frame is reduced to, about: 1 to 2 mm each in the heart."""
_REACH = 3
"""The closing covers squares of 2 * 3 + 1 pixels: it fills what is up to 6 pixels wide."""
_CHANGED_SHARE = 0.99
_LASTING_SHARE = 0.95
_LEAST_GREY = 1 / 16
"""Keeps an empty picture from being divided by; far below one grey level."""

Grey = NDArray[np.float32]


def contrast_signal(frames: NDArray[np.uint8]) -> float:
    """Measure how much the thin dark structures of a clip change.

    Parameters
    ----------
    frames : uint8 array of shape (n, rows, columns)
        Grey.

    Returns
    -------
    float
        0 or more, without unit: the change (over time, exceeded by 1 % of the pixels) of the black
        top-hat, as a share of the lasting one (its mean over time, exceeded by 5 % of the pixels).
        Higher means more contrast.  Does not depend on the gain or offset of the grey values.

    Notes
    -----
    Other things raise it as well: a catheter that moves, a table that moves, strong noise.  It is
    made to find the runs in which nothing happens, not to prove that something did.  A vessel that
    is full from the first frame to the last is noticed by its motion only.  docs/runs.md has what
    was measured.
    """
    thin = thin_and_dark(frames)
    change = thin.max(axis=0) - thin.min(axis=0)
    lasting = np.quantile(thin.mean(axis=0), _LASTING_SHARE)
    return float(np.quantile(change, _CHANGED_SHARE) / max(lasting, _LEAST_GREY))


def thin_and_dark(frames: NDArray[np.uint8]) -> Grey:
    """Keep of each frame what is thin and darker than what is beside it: the black top-hat.

    Parameters
    ----------
    frames : uint8 array of shape (n, rows, columns)
        Grey.

    Returns
    -------
    float32 array of shape (n, high, wide)
        0 or more, in grey levels; reduced to about `SIDE` pixels on the shorter side.

    Notes
    -----
    What touches the border of the picture is taken to go on outside it, so the blade of a
    collimator is broad however little of it is in the picture.
    """
    small = _smoothed(_reduced(frames))
    # Once for both steps: padded again between them, a narrow blade would be closed like a vessel.
    beyond = (2 * _REACH, 2 * _REACH)
    around = np.pad(small, ((0, 0), beyond, beyond), mode="edge")
    thin: Grey = _over_squares(_over_squares(around, np.maximum), np.minimum) - small
    return thin


def _reduced(frames: NDArray[np.uint8]) -> Grey:
    """Average squares of pixels; sums of slices are several times as fast as a reshaped mean."""
    n, rows, columns = frames.shape
    step = max(1, round(min(rows, columns) / SIDE))
    high, wide = rows // step, columns // step
    bands = np.zeros((n, high, columns), np.uint32)
    for i in range(step):
        bands += frames[:, i : high * step : step]
    sums = np.zeros((n, high, wide), np.float32)
    for i in range(step):
        sums += bands[:, :, i : wide * step : step]
    mean: Grey = np.divide(sums, step * step, dtype=np.float32)
    return mean


def _smoothed(frames: Grey) -> Grey:
    """Weigh each pixel with its neighbours by 1, 2, 1 along both axes: less noise."""
    around = np.pad(frames, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = around[:, :-2] + 2 * around[:, 1:-1] + around[:, 2:]
    around = around[:, :, :-2] + 2 * around[:, :, 1:-1] + around[:, :, 2:]
    smooth: Grey = np.multiply(around, 1 / 16, dtype=np.float32)
    return smooth


def _over_squares(frames: Grey, extreme: Callable[[Grey, Grey], Grey]) -> Grey:
    """Take the extreme value of the square around each pixel that has a whole one."""
    for shift in (1, 2, 3):  # of 2, 4 and then 7 neighbours
        frames = extreme(frames[:, :-shift], frames[:, shift:])
    for shift in (1, 2, 3):
        frames = extreme(frames[:, :, :-shift], frames[:, :, shift:])
    return frames
