"""Where the heart is at a time: its shape, its beat, its place in a breathing chest.

Patient axes, millimetres: x to the patient's left, y to the back, z to the head.  A point of the
heart is given in *heart coordinates* ``(s, phi, rho)``: s is 0 at the atrioventricular groove and 1
at the apex, phi in degrees is 0 at the anterior groove, 90 on the lateral wall, 180 at the crux and
-100 at the acute margin, and rho is 1 on the epicardium.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHORTENING_PER_EF: Final = 0.30
"""Long and short axes shorten by this much of the ejection fraction: 18 % at 60 %."""
TWIST_DEG_PER_EF: Final = 14.0

_SYSTOLE = 0.38
_RELAXATION = 0.13
_CENTRE_S = 0.45


@dataclass(frozen=True)
class HeartShape:
    """One heart at rest.

    Attributes
    ----------
    length_mm : float
        From the atrioventricular groove to the apex.
    radius_mm : float
        Of its base, without the right ventricle.
    right_bulge : float
        How much further the right ventricle reaches out, of the radius.
    axis : tuple of float
        Direction from base to apex in patient axes; of any length.
    """

    length_mm: float
    radius_mm: float
    right_bulge: float
    axis: tuple[float, float, float]

    def frame(self) -> NDArray[np.float64]:
        """Return the heart's axes as rows: base to apex, anterior groove, lateral wall."""
        long = np.asarray(self.axis) / np.linalg.norm(self.axis)
        front = np.array([0.1, -0.6, 0.8])
        front -= front @ long * long
        front /= np.linalg.norm(front)
        return np.stack([long, front, -np.cross(long, front)])

    def radius(self, s: NDArray[np.floating], phi: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the distance of the epicardium from the long axis, millimetres."""
        taper = np.sqrt(np.maximum(1 - 0.93 * s * s, 0.02))
        bulge = self.right_bulge * np.exp(-(((phi + 100) / 45) ** 2)) * (1 - 0.6 * s)
        return np.asarray(self.radius_mm * taper * (1 + bulge))


def place(
    shape: HeartShape, points: Floats, contraction: Floats, *, ejection_fraction: float
) -> Floats:
    """Return where points of the heart are.

    Parameters
    ----------
    shape : HeartShape
    points : float32 array of shape (points, 3)
        Heart coordinates.
    contraction : float32 array of shape (times,)
        0 at the end of diastole to 1 at the end of systole.
    ejection_fraction : float
        0 to 1; how far the wall moves.

    Returns
    -------
    float32 array of shape (times, points, 3)
        Patient axes, millimetres; the origin is in the middle of the heart at rest.
    """
    s, phi, rho = (column.astype(np.float32) for column in points.T)
    squeeze = np.float32(SHORTENING_PER_EF * ejection_fraction) * contraction[:, None]
    twist = np.float32(TWIST_DEG_PER_EF * ejection_fraction) * contraction[:, None] * (s - 0.2)
    along = shape.length_mm * (1 - (1 - s) * (1 - squeeze)) - _CENTRE_S * shape.length_mm
    around = np.deg2rad(phi + twist)
    out = (shape.radius(s, phi) * rho).astype(np.float32) * (1 - squeeze * (0.55 + 0.45 * s))
    local = np.stack([along, out * np.cos(around), out * np.sin(around)], axis=-1)
    return (local @ shape.frame().astype(np.float32)).astype(np.float32)


def contraction(times_s: Floats, *, heart_rate_bpm: float, phase: float) -> Floats:
    """Return how far the heart is contracted at times, 0 to 1; systole is 38 % of the beat."""
    at = np.mod(times_s * heart_rate_bpm / 60 + phase, 1.0)
    ejecting = np.sin(np.pi / 2 * np.minimum(at / _SYSTOLE, 1)) ** 2
    relaxing = np.exp(-np.maximum(at - _SYSTOLE, 0) / _RELAXATION)
    return np.where(at < _SYSTOLE, ejecting, relaxing).astype(np.float32)


def shifted(shape: HeartShape, points: Floats, offsets_mm: Floats) -> Floats:
    """Return points of the heart moved along its wall.

    Parameters
    ----------
    shape : HeartShape
    points : float32 array of shape (..., 3)
        Heart coordinates.
    offsets_mm : float32 array of the same shape
        Toward the apex, around toward greater phi, and outward.

    Returns
    -------
    float32 array of the same shape
        Heart coordinates: what is fixed to the wall goes on moving with it.
    """
    s, phi, rho = points[..., 0], points[..., 1], points[..., 2]
    radius = shape.radius(s, phi)
    moved = np.empty(np.broadcast_shapes(points.shape, offsets_mm.shape), np.float32)
    moved[..., 0] = s + offsets_mm[..., 0] / shape.length_mm
    moved[..., 1] = phi + np.rad2deg(offsets_mm[..., 1] / np.maximum(radius * rho, 8))
    moved[..., 2] = rho + offsets_mm[..., 2] / radius
    return moved
