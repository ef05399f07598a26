"""A heart and its coronary arteries, drawn at random within what is normal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from phantom.heart.course import Branch, Dominance, branches, courses
from phantom.heart.motion import HeartShape
from phantom.heart.tree import Tree, build_tree

Artery = Literal["left", "right"]
ARTERIES: Final[tuple[Artery, ...]] = ("left", "right")

_DOMINANCE: tuple[Dominance, ...] = ("right", "left", "co")
_SHARES = (0.80, 0.13, 0.07)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A heart without its disease.

    Attributes
    ----------
    dominance : {"right", "left", "co"}
        Which artery feeds the back of the heart.
    branches : mapping of str to Branch
        Which segments there are and where each begins, parents before children.
    shape : HeartShape
    seed : int
        Of everything else of this heart: courses, twigs, the chest around it.
    """

    dominance: Dominance
    branches: Mapping[str, Branch]
    shape: HeartShape
    seed: int

    @property
    def segments(self) -> frozenset[str]:
        """The segments that this heart has."""
        return frozenset(self.branches)

    def artery(self, segment: str) -> Artery:
        """Return which coronary artery a segment belongs to.

        Raises
        ------
        KeyError
            This heart does not have the segment.
        """
        parent = self.branches[segment].parent
        while parent is not None:
            segment, parent = parent, self.branches[parent].parent
        return "left" if segment == "left_main" else "right"

    def generator(self, *purpose: int) -> np.random.Generator:
        """Return a generator of this heart's own, the same one for the same purpose."""
        return np.random.default_rng([self.seed, *purpose])

    @cached_property
    def left(self) -> Tree:
        """The left coronary artery."""
        return self._tree("left")

    @cached_property
    def right(self) -> Tree:
        """The right coronary artery."""
        return self._tree("right")

    def tree(self, artery: Artery) -> Tree:
        """Return one of the two arteries."""
        return self.left if artery == "left" else self.right

    def _tree(self, artery: Artery) -> Tree:
        every = courses(self.generator(0), self.dominance, self.branches)
        own = tuple(each for each in every if self.artery(each.segments[0]) == artery)
        rng = self.generator(1 if artery == "left" else 2)
        return build_tree(rng, self.shape, own, branch=self.branches)


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a heart.

    Parameters
    ----------
    rng : numpy Generator

    Returns
    -------
    Anatomy
        80 % right-dominant, 13 % left, 7 % codominant.  Laying out its vessels takes
        milliseconds and is left until somebody asks for them.
    """
    dominance = _DOMINANCE[int(rng.choice(3, p=_SHARES))]
    tilt = rng.normal(0, 0.07, 3)
    shape = HeartShape(
        length_mm=float(np.clip(rng.normal(89, 6), 74, 104)),
        radius_mm=float(np.clip(rng.normal(38, 2.6), 31, 45)),
        right_bulge=float(np.clip(rng.normal(0.32, 0.06), 0.15, 0.5)),
        axis=(0.62 + tilt[0], -0.55 + tilt[1], -0.56 + tilt[2]),
    )
    return Anatomy(dominance, branches(rng, dominance), shape, int(rng.integers(2**62)))
