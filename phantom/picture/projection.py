"""From patient axes to the detector, as the C-arm stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phantom.heart.motion import Floats

SOURCE_TO_CENTRE_MM: Final = 750.0


@dataclass(frozen=True)
class Projection:
    """A C-arm position.

    Attributes
    ----------
    toward_detector, right, up : float64 arrays of shape (3,)
        Patient axes: the ray through the isocentre, and the directions of the picture.
    """

    toward_detector: NDArray[np.float64]
    right: NDArray[np.float64]
    up: NDArray[np.float64]

    def flat(self, point: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points (..., 3) fall, in millimetres (right, up), by parallel rays."""
        plane: NDArray[np.float64] = np.asarray(point) @ np.stack([self.right, self.up], axis=1)
        return plane


def projection(primary_deg: float, secondary_deg: float) -> Projection:
    """Return the projection of C-arm angles.

    Parameters
    ----------
    primary_deg : float
        Positive toward LAO (DICOM PS3.3 C.8.7.5.1.2, positioner primary angle).
    secondary_deg : float
        Positive toward cranial.

    Returns
    -------
    Projection
    """
    a, b = np.deg2rad([primary_deg, secondary_deg])
    toward = np.array([np.sin(a) * np.cos(b), -np.cos(a) * np.cos(b), np.sin(b)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return Projection(toward, right, np.cross(toward, right))


def project(view: Projection, points: Floats) -> tuple[Floats, Floats]:
    """Project points by rays from the focal spot.

    Parameters
    ----------
    view : Projection
    points : float32 array of shape (times, points, 3)
        Patient axes, millimetres from the isocentre.

    Returns
    -------
    plane : float32 array of shape (times, points, 2)
        Millimetres to the right and up in the plane through the isocentre.
    magnification : float32 array of shape (times, points)
        1 in that plane, greater nearer to the focal spot.
    """
    axes = np.stack([view.right, view.up, view.toward_detector], axis=1).astype(np.float32)
    seen = points @ axes
    magnification = SOURCE_TO_CENTRE_MM / (SOURCE_TO_CENTRE_MM + seen[..., 2])
    return seen[..., :2] * magnification[..., None], magnification.astype(np.float32)
