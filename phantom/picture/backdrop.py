"""What is behind the vessels in each frame: the chest, the beating heart, the diaphragm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from phantom.heart.motion import Floats
from phantom.picture.acquisition import Acquisition
from phantom.picture.camera import Camera
from phantom.picture.chest import Plane, chest
from phantom.picture.organs import Quadric, domes, hearts
from phantom.picture.run_facts import centre_at

_CHEST = 6
_SAMPLED = 48


class Backdrop:
    """The attenuation behind the vessels of one run.

    Parameters
    ----------
    acquisition : Acquisition
    first : Camera
        At the first frame, and there only.
    size : int
        Rows and columns.

    Attributes
    ----------
    reference : float
        Attenuation that the exposure is set for: the median of the middle of the first frame.
    """

    def __init__(self, acquisition: Acquisition, first: Camera, *, size: int) -> None:
        anatomy, facts = first.anatomy, first.facts
        self._size = size
        self._pixel = acquisition.field_of_view_mm / size
        half_way = np.full(1, sum(facts.table_s) / 2, np.float32)
        middle = centre_at(anatomy, acquisition, facts, half_way)[0].astype(np.float64)
        travel = float(np.abs(facts.table_mm).max()) / 2
        self._reach = int(np.ceil(travel / self._pixel)) + 2 if travel else 0
        self._middle = middle
        n = size + 2 * self._reach
        offset = (np.arange(n) + 0.5 - n / 2) * self._pixel
        u, v = middle[0] + offset, middle[1] - offset
        plane = Plane(u.astype(np.float32), v.astype(np.float32), self._pixel)
        rng = np.random.default_rng([acquisition.seed, _CHEST])
        self._chest = chest(anatomy, first.view, plane, rng=rng)
        some = slice(size // 6, size - size // 6, max(size // _SAMPLED, 1))
        self.reference = float(np.median(next(self.frames(first))[some, some]))

    def frames(self, seen: Camera) -> Iterator[Floats]:
        """Draw frame after frame: float32 of shape (size, size), each a new array."""
        for centre, heart, halves in zip(seen.centre_mm, hearts(seen), domes(seen), strict=True):
            yield self._frame(centre, (*heart, *halves))

    def _frame(self, centre: Floats, solids: tuple[Quadric, ...]) -> Floats:
        offset = (np.arange(self._size) + 0.5 - self._size / 2) * self._pixel
        u, v = (centre[0] + offset).astype(np.float32), (centre[1] - offset).astype(np.float32)
        total = self._chest_at(centre)
        for solid in solids:
            solid.add_to(total, u, v)
        return total

    def _chest_at(self, centre: Floats) -> Floats:
        """Return the part of the chest that has this in its middle, between pixels if need be."""
        if not self._reach:
            return self._chest.copy()
        shift = (centre - self._middle) / self._pixel * (1, -1)
        column, row = (self._reach + shift).tolist()
        c, r, n = int(column), int(row), self._size
        right, down = column - c, row - r
        wide = self._chest[r : r + n + 1, c : c + n + 1]
        tall = wide[:, :-1] * (1 - right) + wide[:, 1:] * right
        part: Floats = tall[:-1] * (1 - down) + tall[1:] * down
        return part
