"""From attenuation to the grey that is stored: dose, display, collimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from phantom.heart.motion import Floats
from phantom.picture.acquisition import Acquisition, laboratory

Aperture = Literal["square", "octagonal", "round"]

WHITEST: Final = 251.0
"""Grey at which a bright lung is cut off, as in stored cines."""
_REFERENCE_SIZE = 512
_APERTURES: tuple[Aperture, ...] = ("square", "octagonal", "round")


@dataclass(frozen=True)
class Look:
    """How one run is exposed and shown.

    Attributes
    ----------
    background : float
        How much of the chest's contrast the display keeps.
    vessels : float
        How much of the contrast medium's is left after scatter.
    middle : float
        Grey of the exposure's reference, 0 to 255.
    noise : float
        Standard deviation of a pixel at 512 x 512 relative to its grey, at the reference.
    blur_mm : float
        Width of an edge: focal spot and detector.
    aperture : {"square", "octagonal", "round"}
    shutters : tuple of four floats
        Left, right, top, bottom: how far each blade comes in, of the picture's side.
    corner : float
        How much of the corners is gone; of half the side.
    blade_grey : float
    blade_blur : float
        Of the picture's side.
    """

    background: float
    vessels: float
    middle: float
    noise: float
    blur_mm: float
    aperture: Aperture
    shutters: tuple[float, float, float, float]
    corner: float
    blade_grey: float
    blade_blur: float


def draw_look(acquisition: Acquisition) -> Look:
    """Draw how a run looks: its laboratory's way, and its own exposure.

    Returns
    -------
    Look
        Two families: detectors whose processing flattens the chest and leaves grey blades, and
        older chains with black corners and lungs that saturate.
    """
    lab = np.random.default_rng([laboratory(acquisition), 5])
    run = np.random.default_rng([acquisition.seed, 5])
    flat = lab.uniform() < 0.65
    aperture = int(lab.choice(3, p=(0.85, 0.1, 0.05) if flat else (0.2, 0.4, 0.4)))
    shutters = run.gamma(1.2, 0.018, 4)
    shutters[int(run.integers(4))] += run.uniform(0, 0.1) if run.uniform() < 0.35 else 0.0
    left, right, top, bottom = np.minimum(shutters, 0.15).tolist()
    grey = lab.uniform(40, 85) if flat and lab.uniform() < 0.7 else lab.uniform(3, 22)
    return Look(
        background=(lab.uniform(0.32, 0.6) if flat else lab.uniform(0.85, 1.45))
        * run.uniform(0.9, 1.1),
        vessels=lab.uniform(0.75, 1.0) * run.uniform(0.92, 1.08),
        middle=(lab.uniform(98, 138) if flat else lab.uniform(75, 120)) * run.uniform(0.92, 1.08),
        noise=(lab.uniform(0.012, 0.035) if flat else lab.uniform(0.03, 0.075))
        * run.uniform(0.8, 1.25),
        blur_mm=float(lab.uniform(0.2, 0.5)),
        aperture=_APERTURES[aperture],
        shutters=(left, right, top, bottom),
        corner=lab.uniform(0.12, 0.3),
        blade_grey=grey,
        blade_blur=lab.uniform(0.004, 0.022),
    )


def blades(look: Look, size: int) -> Floats:
    """Return how much of the beam the collimator lets through: (size, size), 0 to 1."""
    at = ((np.arange(size) + 0.5) / size).astype(np.float32)
    left, right, top, bottom = look.shutters
    columns = np.minimum(at - left, 1 - right - at)[None, :]
    rows = np.minimum(at - top, 1 - bottom - at)[:, None]
    inside = np.minimum(columns, rows)
    away = np.abs(at - 0.5)
    if look.aperture == "octagonal":
        inside = np.minimum(inside, (1 - look.corner / 2 - away[:, None] - away[None, :]) / 1.414)
    if look.aperture == "round":
        inside = np.minimum(inside, 0.58 - 0.2 * look.corner - np.hypot(away[:, None], away))
    t = np.clip(inside / np.float32(look.blade_blur) * 0.5 + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def expose(
    look: Look,
    chest: Floats,
    vessels: Floats,
    *,
    reference: float,
    open_: Floats,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Turn the attenuation of one frame into grey.

    Parameters
    ----------
    look : Look
    chest, vessels : float32 arrays of shape (size, size)
        Attenuation of what is always there, and of contrast medium, calcium and devices; the
        first is used up.
    reference : float
        Attenuation of the chest that the exposure is set for.
    open_ : float32 array of shape (size, size)
        From `blades`.
    rng : numpy Generator
        Of this frame: quantum noise, so much less at a smaller size as larger pixels catch more.

    Returns
    -------
    uint8 array of shape (size, size)
    """
    size = chest.shape[0]
    signal = chest
    signal -= np.float32(reference)
    signal *= np.float32(-look.background)
    signal -= np.float32(look.vessels) * vessels
    np.exp(signal, out=signal)
    sd = look.noise * size / _REFERENCE_SIZE
    noise = rng.standard_normal(chest.shape, np.float32)
    noise *= np.sqrt(signal) * np.float32(sd)
    signal += noise
    signal *= np.float32(look.middle)
    signal -= np.float32(look.blade_grey)
    signal *= open_
    signal += np.float32(look.blade_grey)
    np.clip(signal, 0, WHITEST, out=signal)
    signal += np.float32(0.5)
    return signal.astype(np.uint8)
