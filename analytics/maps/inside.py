"""Which dots lie inside areas that somebody drew around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import UsageError

MOST_AREAS: Final = 100
MOST_VERTICES: Final = 2_000
"""Of all areas together: what a hand draws has some hundred, and each costs time."""
_AGAIN: Final = "draw around the dots again"


@final
@dataclass(frozen=True)
class Area:
    """A part of a map: a box by two opposite corners, or a polygon by three vertices or more.

    What is inside is told by the even-odd rule: a loop within a loop is a hole.  Lower and left
    edges of a box belong to it, upper and right ones do not, and so for every polygon: of areas
    that share an edge, each dot on it is in one.

    Parameters
    ----------
    x, y : tuple of float
        Of the corners or vertices, in order; a polygon need not be closed.

    Raises
    ------
    UsageError
        They are not as many, too few, too many, or no finite numbers.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.x)
        if len(self.y) != count:
            raise UsageError(f"an area with {count} x and {len(self.y)} y", _AGAIN)
        if not 2 <= count <= MOST_VERTICES:
            raise UsageError(
                f"an area of {count:,} vertices; expected 2 (a box) to {MOST_VERTICES:,}", _AGAIN
            )
        if not all(_is_finite(each) for each in (*self.x, *self.y)):
            raise UsageError("an area with a vertex that is no finite number", _AGAIN)

    @property
    def vertices(self) -> NDArray[np.float64]:
        """The vertices of the polygon, of shape (vertices, 2); a box has four."""
        x, y = self.x, self.y
        if len(x) == 2:
            x, y = (x[0], x[1], x[1], x[0]), (y[0], y[0], y[1], y[1])
        return np.array([x, y], np.float64).T


def inside(at: ArrayLike, areas: Sequence[Area]) -> NDArray[np.bool_]:
    """Return whether each dot lies in any of some areas.

    Parameters
    ----------
    at : array of shape (rows, 2)
        x and y.
    areas : sequence of Area

    Returns
    -------
    bool array of shape (rows,)

    Raises
    ------
    UsageError
        There are too many areas, or too many vertices.
    """
    count = sum(len(area.x) for area in areas)
    if len(areas) > MOST_AREAS or count > MOST_VERTICES:
        raise UsageError(
            f"{len(areas):,} areas of {count:,} vertices; expected up to {MOST_AREAS:,} of "
            f"{MOST_VERTICES:,} together",
            _AGAIN,
        )
    dots = np.asarray(at, np.float64).reshape(-1, 2)
    # By y, so that each edge is held only against the dots at its height.
    order = np.argsort(dots[:, 1], kind="stable")
    x, y = dots[order].T
    found = np.zeros(len(dots), bool)
    for area in areas:
        found |= _inside(x, y, area.vertices)
    out = np.empty(len(dots), bool)
    out[order] = found
    return out


def _inside(
    x: NDArray[np.float64], y: NDArray[np.float64], vertices: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Count the edges to the right of each dot; odd is inside.  The dots are sorted by y."""
    odd = np.zeros(len(x), bool)
    for one, other in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        # From below to above, so that an edge that two areas share is the same for both.
        (x0, y0), (x1, y1) = (one, other) if one[1] <= other[1] else (other, one)
        part = slice(*np.searchsorted(y, (y0, y1)))
        odd[part] ^= (x[part] - x0) * (y1 - y0) < (x1 - x0) * (y[part] - y0)
    return odd


def _is_finite(value: object) -> bool:
    try:
        # An integer may be too large for a float.
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:
        return False
