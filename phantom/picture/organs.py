"""Heart and diaphragm as solids: the length of a ray inside each, and so their moving borders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.heart.motion import SHORTENING_PER_EF, Floats
from phantom.picture.camera import Camera
from phantom.picture.projection import Projection

HEART_MU_PER_MM = 0.0072
ATRIA_MU_PER_MM = 0.0055
DOME_MU_PER_MM = 0.0065
"""Above that of lung, at the energies of cine angiography, compressed as the display does."""


_SOFT_MM = 7.0


@dataclass(frozen=True, eq=False)
class Quadric:
    """The chord of a solid: the root of a polynomial of the place in the picture.

    Attributes
    ----------
    coefficients : tuple of six floats
        Of 1, u, v, u squared, u v, v squared, under the root; u and v in millimetres.
    scale : float
        Attenuation for a root of 1.
    soft : float
        Added under the root: a border that fades over the fat and lung at a solid's edge.
    """

    coefficients: tuple[float, float, float, float, float, float]
    scale: float
    soft: float

    def add_to(self, total: Floats, u: Floats, v: Floats) -> None:
        """Add the attenuation at columns u and rows v to a picture of (rows, columns)."""
        one, cu, cv, cuu, cuv, cvv = (np.float32(each) for each in self.coefficients)
        square = np.multiply.outer(cuv * v, u)
        square += one + cu * u + cuu * u * u
        square += (cv * v + cvv * v * v)[:, None]
        np.maximum(square, 0, out=square)
        soft = np.float32(self.soft)
        square += soft * soft
        np.sqrt(square, out=square)
        square -= soft
        square *= np.float32(self.scale)
        total += square


def ellipsoid(
    view: Projection, centre: NDArray[np.float64], matrix: NDArray[np.float64], mu_per_mm: float
) -> Quadric:
    """Return the attenuation of an ellipsoid under parallel rays.

    Parameters
    ----------
    view : Projection
    centre : float64 array of shape (3,)
        Patient axes, millimetres.
    matrix : float64 array of shape (3, 3)
        Points p with (p - centre) matrix (p - centre) <= 1 are inside.
    mu_per_mm : float

    Returns
    -------
    Quadric
        A ray p + t d enters and leaves where the quadratic form is 1; the chord is twice the root
        of its discriminant over d matrix d.  Near the border it is let fade.
    """
    d, right, up = view.toward_detector, view.right, view.up
    dd = d @ matrix @ d
    plane = np.stack([right, up])
    cross = plane @ matrix @ d
    form = np.outer(cross, cross) - dd * (plane @ matrix @ plane.T)
    at = plane @ centre
    linear = -2 * form @ at
    constant = at @ form @ at + dd
    coefficients = (constant, *linear, form[0, 0], 2 * form[0, 1], form[1, 1])
    one, u, v, uu, uv, vv = (float(each) for each in coefficients)
    soft = _SOFT_MM * float(dd)
    return Quadric((one, u, v, uu, uv, vv), 2 * mu_per_mm / float(dd), soft)


def hearts(camera: Camera) -> list[tuple[Quadric, ...]]:
    """Return the heart's silhouette at each time of a camera: ventricles and atria."""
    shape = camera.anatomy.shape
    axes = shape.frame()
    long, front, side = axes
    rng = camera.anatomy.generator(62)
    atria = rng.uniform(27, 34, 3)
    back = -0.5 * shape.length_mm * long + rng.normal(0, 3, 3) + np.array([-12.0, 6.0, -2.0])
    round_ = axes.T @ np.diag(1 / atria**2) @ axes
    times: list[tuple[Quadric, ...]] = []
    for c, breath in zip(camera.contraction, camera.breath_mm, strict=True):
        squeeze = SHORTENING_PER_EF * camera.ejection_fraction * float(c)
        wide = shape.radius_mm * (1.06 + 0.3 * shape.right_bulge) * (1 - 0.8 * squeeze)
        half = np.array([0.62 * shape.length_mm * (1 - 0.5 * squeeze), 0.94 * wide, wide])
        matrix = axes.T @ np.diag(1 / half**2) @ axes
        lift = np.array([0, 0, float(breath)])
        centre = (0.02 + 0.3 * squeeze) * shape.length_mm * long - 2 * side + 1 * front + lift
        low = back + 0.5 * squeeze * shape.length_mm * long + lift
        ventricles = ellipsoid(camera.view, centre, matrix, HEART_MU_PER_MM)
        times.append((ventricles, ellipsoid(camera.view, low, round_, ATRIA_MU_PER_MM)))
    return times


def domes(camera: Camera) -> list[tuple[Quadric, ...]]:
    """Return the two halves of the diaphragm at each time of a camera."""
    rng = camera.anatomy.generator(61)
    tops = np.array([-55.0, -62.0]) + rng.normal(0, 9, 2)
    radii = rng.uniform(72, 88, 2)
    sides = np.array([-72.0, 62.0]) + rng.normal(0, 6, 2)
    every = []
    for breath in camera.breath_mm:
        pair = []
        for x, top, radius in zip(sides, tops, radii, strict=True):
            centre = np.array([x, 5.0, top - radius + 1.4 * float(breath)])
            matrix = np.eye(3) / radius**2
            pair.append(ellipsoid(camera.view, centre, matrix, DOME_MU_PER_MM))
        every.append(tuple(pair))
    return every
