"""What does not move with the heart: spine, ribs, vessels of the lungs, soft tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.heart.anatomy import Anatomy
from phantom.heart.motion import Floats
from phantom.picture.projection import Projection
from phantom.picture.splat import splat

_RIB_RADIUS_MM = 5.5
_RIB_STEP_MM = 1.6
_MARROW = 0.8
_SOFT_PX = 2.0
_PITCH_MM = 0.8
_BONE_MU_PER_MM = 0.018
_LUNG_VESSEL_MU_PER_MM = 0.013
_LUNG_VESSELS = 26
_LUNG_STEPS = 34


@dataclass(frozen=True, eq=False)
class Plane:
    """Pixels in the plane through the isocentre.

    Attributes
    ----------
    u, v : float32 arrays of shape (columns,) and (rows,)
        Millimetres to the right and up.
    pixel_mm : float
    """

    u: Floats
    v: Floats
    pixel_mm: float

    def splat(self, points: NDArray[np.float64], radius_mm: Floats, mass_mm2: Floats) -> Floats:
        """Lay balls at points (balls, 2), millimetres in the plane, on these pixels."""
        size = self.u.size
        px = np.float32(self.pixel_mm)
        column = ((points[None, :, 0] - self.u[0]) / px).astype(np.float32)
        row = ((self.v[0] - points[None, :, 1]) / px).astype(np.float32)
        picture: Floats = splat(
            row, column, radius_mm[None] / px, mass_mm2[None] / px**2, size=size, edge=_SOFT_PX
        )[0]
        return picture


@dataclass(frozen=True)
class _Spine:
    x_mm: float
    y_mm: float
    half_width_mm: float
    pitch_mm: float
    first_mm: float
    lean: float


def chest(anatomy: Anatomy, view: Projection, plane: Plane, *, rng: np.random.Generator) -> Floats:
    """Return the attenuation of a chest at rest, above that of lung.

    Parameters
    ----------
    anatomy : Anatomy
    view : Projection
    plane : Plane
    rng : numpy Generator
        For what differs between runs of the same chest: overlying soft tissue.

    Returns
    -------
    float32 array of shape (rows, columns)
        Drawn on pixels of about a millimetre, as no edge in it is sharper, and interpolated.
    """
    coarse = _coarse(plane)
    own = anatomy.generator(60)
    spine = _Spine(
        x_mm=own.normal(-26, 4),
        y_mm=own.normal(66, 5),
        half_width_mm=own.uniform(15, 18.5),
        pitch_mm=own.uniform(25, 31),
        first_mm=own.uniform(0, 30),
        lean=own.normal(0, 0.05),
    )
    total = _vertebrae(spine, view, coarse)
    total += _ribs(own, spine, view, coarse)
    total += _lung_vessels(own, view, coarse)
    total += _great_vessels(own, view, coarse)
    total += _soft_tissue(rng, coarse)
    fine = _between(plane.v, coarse.v) @ total @ _between(plane.u, coarse.u).T
    return np.asarray(fine, np.float32)


def _coarse(plane: Plane) -> Plane:
    """Return pixels of the wanted pitch that cover a plane and a little more."""
    n = int(np.ceil(plane.u.size * plane.pixel_mm / _PITCH_MM)) + 2
    offset = (np.arange(n) - (n - 1) / 2) * _PITCH_MM
    u, v = plane.u.mean() + offset, plane.v.mean() - offset
    return Plane(u.astype(np.float32), v.astype(np.float32), _PITCH_MM)


def _between(fine: Floats, coarse: Floats) -> Floats:
    """Return the weights (fine, coarse) of linear interpolation."""
    position = (fine - coarse[0]) / (coarse[1] - coarse[0])
    distance = np.abs(position[:, None] - np.arange(coarse.size))
    return np.asarray(np.maximum(1 - distance, 0), np.float32)


def _vertebrae(spine: _Spine, view: Projection, plane: Plane) -> Floats:
    """Return bodies with waists, end plates and pedicles, and the discs between them."""
    foot = view.flat(np.array([spine.x_mm, spine.y_mm, 0.0]))
    up = max(float(view.up[2]), 0.5)
    z = ((plane.v - foot[1]) / up).astype(np.float32)
    u = plane.u[None, :] - np.float32(foot[0]) - np.float32(spine.lean) * z[:, None]
    turn = np.mod((z - spine.first_mm) / spine.pitch_mm, 1.0)
    from_disc = (np.minimum(turn, 1 - turn) * spine.pitch_mm).astype(np.float32)
    waist = spine.half_width_mm * (0.97 + 0.05 * np.cos(2 * np.pi * turn)).astype(np.float32)
    inside = waist[:, None] - np.abs(u)
    muscle = np.clip((spine.half_width_mm + 10 - np.abs(u)) / 16, 0, 1)
    body = np.clip(inside / 3.5 + 0.5, 0, 1)
    bone = np.clip((from_disc - 2.4) / 1.6, 0, 1)[:, None]
    plates = np.exp(-(((from_disc - 3.6) / 1.0) ** 2))[:, None]
    walls = np.exp(-(((inside - 1.5) / 1.0) ** 2))
    total = 0.16 * muscle + body * (0.16 + 0.12 * bone + 0.10 * plates) + 0.06 * walls * bone
    across = (np.abs(u) - 0.62 * spine.half_width_mm) / 3.0
    down = ((turn - 0.66) * spine.pitch_mm / 4.6)[:, None].astype(np.float32)
    ring = np.sqrt(across**2 + down**2)
    total += 0.08 * np.exp(-(((ring - 1) / 0.32) ** 2))
    knob = np.hypot(u / 2.6, ((turn - 0.86) * spine.pitch_mm / 6.5)[:, None])
    total += 0.08 * np.clip((1.1 - knob) / 0.3, 0, 1)
    process = ((turn - 0.62) * spine.pitch_mm / 4.2)[:, None].astype(np.float32)
    reach = np.clip((spine.half_width_mm + 16 - np.abs(u)) / 3, 0, 1)
    total += 0.12 * reach * np.exp(-(process**4)) * (1 - 0.6 * body)
    return np.asarray(total, np.float32)


def _ribs(own: np.random.Generator, spine: _Spine, view: Projection, plane: Plane) -> Floats:
    """Return hollow tubes from the spine round the chest."""
    theta = np.arange(0.12, 2.5, _RIB_STEP_MM / 105)
    width, depth = own.uniform(118, 135), own.uniform(80, 95)
    drop = own.uniform(45, 70)
    rows = []
    for level in np.arange(-5, 6):
        z = spine.first_mm + (level + 0.6) * spine.pitch_mm - drop * (theta / np.pi) ** 1.3
        for side in (-1, 1):
            x = spine.x_mm + side * width * np.sin(theta)
            y = spine.y_mm + 12 - depth * (1 - np.cos(theta))
            rows.append(np.stack([x, y, z], axis=1))
    points = view.flat(np.concatenate(rows))
    n = len(points)
    outer = np.full(n, _RIB_RADIUS_MM, np.float32)
    inner = outer * np.float32(_MARROW)
    shell = _BONE_MU_PER_MM * np.pi * np.float32(_RIB_STEP_MM)
    mass = np.concatenate([shell * outer**2, -0.7 * shell * inner**2]).astype(np.float32)
    return plane.splat(np.concatenate([points, points]), np.concatenate([outer, inner]), mass)


def _lung_vessels(own: np.random.Generator, view: Projection, plane: Plane) -> Floats:
    """Return tapering vessels from the hila outward."""
    n = 2 * _LUNG_VESSELS
    hilum = np.where(np.arange(n)[:, None] < _LUNG_VESSELS, (-62.0, 22.0, 22.0), (28.0, 26.0, 26.0))
    outward = np.where(np.arange(n) < _LUNG_VESSELS, -1.0, 1.0)
    heading = own.normal(0, 1, (n, 3)) * (0.7, 0.7, 1.1)
    heading[:, 0] = outward * np.abs(heading[:, 0])
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    wander = np.cumsum(own.normal(0, 0.13, (_LUNG_STEPS, n, 3)), axis=0)
    steps = own.uniform(2.0, 3.4, n)[:, None] * (heading + wander)
    points = hilum + own.normal(0, 11, (n, 3)) + np.cumsum(steps, axis=0)
    thick = own.uniform(1.1, 3.4, n) * np.linspace(1, 0.25, _LUNG_STEPS)[:, None]
    radius = thick.ravel().astype(np.float32)
    mass = (_LUNG_VESSEL_MU_PER_MM * np.pi * 2.7 * radius**2).astype(np.float32)
    return plane.splat(view.flat(points.reshape(-1, 3)), radius, mass)


def _great_vessels(own: np.random.Generator, view: Projection, plane: Plane) -> Floats:
    """Return the shadow of aorta and pulmonary trunk: a column above the heart."""
    foot = view.flat(np.array([own.normal(-16, 4), 18.0, 30.0]))
    width = own.uniform(30, 40)
    across = 1 - ((plane.u - foot[0]) / width) ** 2
    column = np.sqrt(np.maximum(across, 0))[None, :]
    above = 1 / (1 + np.exp(-(plane.v - foot[1]) / 9))[:, None]
    shadow: Floats = (0.42 * column * above).astype(np.float32)
    return shadow


def _soft_tissue(rng: np.random.Generator, plane: Plane) -> Floats:
    """Return muscle, breast and fat: smooth, of several sizes, with a slope across."""
    slope = rng.normal(0, 0.0016, 2)
    total = slope[0] * plane.u[None, :] + slope[1] * plane.v[:, None]
    for pitch_mm, amount in ((45.0, 0.11), (16.0, 0.045), (6.0, 0.022)):
        n = 4 + int(260 / pitch_mm)
        knots = rng.normal(0, amount, (n, n))
        total = total + _spread(plane.v, pitch_mm, n) @ knots @ _spread(plane.u, pitch_mm, n).T
    return np.asarray(total, np.float32)


def _spread(at: Floats, pitch_mm: float, n: int) -> NDArray[np.float64]:
    """Return the weights (places, knots) of a smooth interpolation between knots."""
    position = at[:, None] / pitch_mm + (n - 1) / 2 - np.arange(n)
    return np.asarray(np.exp(-(position**2) / 0.72), np.float64)
