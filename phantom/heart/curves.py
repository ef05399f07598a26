"""Smooth lines through a few points."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


def chord_lengths(points: Doubles) -> Doubles:
    """Return how far along the polygon each of points (points, dimensions) is, from 0."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def spline(knots: Doubles, values: ArrayLike, at: Doubles) -> Doubles:
    """Interpolate by a natural cubic spline.

    Parameters
    ----------
    knots : float64 array of shape (knots,)
        Rising, three or more.
    values : array of shape (knots, columns)
    at : float64 array of shape (places,)
        Within the knots.

    Returns
    -------
    float64 array of shape (places, columns)
        Twice differentiable, with no curvature at the ends (Press et al., Numerical Recipes,
        section 3.3).
    """
    y = np.asarray(values, np.float64)
    h = np.diff(knots)
    slope = np.diff(y, axis=0) / h[:, None]
    matrix = np.diag(2 * (h[:-1] + h[1:])) + np.diag(h[1:-1], 1) + np.diag(h[1:-1], -1)
    curvature = np.zeros_like(y)
    curvature[1:-1] = np.linalg.solve(matrix, 6 * np.diff(slope, axis=0))
    left = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, h.size - 1)
    width = h[left][:, None]
    b = (at - knots[left])[:, None] / width
    a = 1 - b
    bent = (a**3 - a) * curvature[left] + (b**3 - b) * curvature[left + 1]
    line: Doubles = a * y[left] + b * y[left + 1] + bent * width**2 / 6
    return line


def even_steps(line: NDArray[np.floating], along: Doubles, wanted: Doubles) -> Doubles:
    """Return the places of a polygon (points, columns) that are so far along it."""
    return np.stack([np.interp(wanted, along, column) for column in line.T], axis=1)
