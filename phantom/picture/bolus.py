"""The bolus of contrast medium: when it comes, how dense it is, when it is washed out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.heart.motion import Floats


@dataclass(frozen=True)
class Bolus:
    """One injection.

    Attributes
    ----------
    start_s : float
        When contrast reaches the ostium, from the first frame.
    duration_s : float
        How long it is injected.
    speed_mm_s : float
        Of the front in an open vessel.
    mu_per_mm : float
        Attenuation of the undiluted lumen, per millimetre.
    """

    start_s: float
    duration_s: float
    speed_mm_s: float
    mu_per_mm: float


def filling(times_s: Floats, after_s: Floats, hold_s: Floats, *, bolus: Bolus) -> Floats:
    """Return how full of contrast places are.

    Parameters
    ----------
    times_s : float32 array of shape (times,)
        From the first frame.
    after_s : float32 array of shape (places,)
        How long after the ostium the front arrives.
    hold_s : float32 array of shape (places,)
        How much longer than elsewhere contrast stays: where flow is slow or stands.
    bolus : Bolus

    Returns
    -------
    float32 array of shape (times, places)
        0 to 1.  The front gets less steep on its way, and so does the wash-out.
    """
    since = times_s[:, None] - np.float32(bolus.start_s) - after_s
    rise = 0.2 + 0.15 * after_s
    fall = 0.45 + 0.35 * after_s + 0.3 * hold_s
    leaving = since - np.float32(bolus.duration_s) - hold_s
    full: Floats = smooth_step(since / rise) * (1 - smooth_step(leaving / fall))
    return full


def smooth_step(x: NDArray[np.floating]) -> Floats:
    """Return 0 below 0, 1 above 1, and a cubic between."""
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
