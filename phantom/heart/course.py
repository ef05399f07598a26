"""Where the coronary arteries run on a heart, and how that differs from one heart to the next.

Waypoints are heart coordinates (see `phantom.heart.motion`); diameters are near those of normal
vessels (Dodge et al., Circulation 1992;86:232-246), tapering along the vessel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Dominance = Literal["right", "left", "co"]
Waypoint = tuple[float, float, float]

BIFURCATION: Final[Waypoint] = (0.02, 12.0, 1.0)
"""Where the left main ends."""


@dataclass(frozen=True)
class Course:
    """A curve on the heart that holds one segment or several in a row.

    Attributes
    ----------
    segments : tuple of str
        From upstream to downstream.
    splits : tuple of float
        Where one segment ends and the next begins, as fractions of the length.
    waypoints : tuple of Waypoint
        Of an artery that leaves the aorta, from its ostium on; of a branch, those after its
        beginning, which is on its parent.
    diameters_mm : tuple of two floats
        At its beginning and end.
    """

    segments: tuple[str, ...]
    splits: tuple[float, ...]
    waypoints: tuple[Waypoint, ...]
    diameters_mm: tuple[float, float]


@dataclass(frozen=True)
class Branch:
    """Where a segment begins.

    Attributes
    ----------
    parent : str or None
        The segment that feeds it; None at an ostium.
    at : float
        Where on the parent, 0 to 1.
    """

    parent: str | None
    at: float


_RIGHT_CHAIN = ("prox_rca", "mid_rca", "dist_rca")


def branches(rng: np.random.Generator, dominance: Dominance) -> dict[str, Branch]:
    """Draw which segments a heart has and where each begins, parents before children."""
    tree = {
        "left_main": Branch(None, 0.0),
        "prox_lad": Branch("left_main", 1.0),
        "mid_lad": Branch("prox_lad", 1.0),
        "dist_lad": Branch("mid_lad", 1.0),
        "D1": Branch("prox_lad", float(rng.uniform(0.75, 1.0))),
        "prox_lcx": Branch("left_main", 1.0),
        "mid_lcx": Branch("prox_lcx", 1.0),
        "dist_lcx": Branch("mid_lcx", 1.0),
        "om1": Branch("prox_lcx", float(rng.uniform(0.85, 1.0))),
    }
    present = rng.uniform(size=3) < (0.92, 0.92, 0.25)
    second_diagonal, second_marginal = rng.uniform(0.7, 1.0), rng.uniform(0.8, 1.0)
    if present[0]:
        tree["D2"] = Branch("mid_lad", float(second_diagonal))
    if present[1]:
        tree["om2"] = Branch("mid_lcx", float(second_marginal))
    if present[2]:
        tree["bx"] = Branch("left_main", 1.0)
    if dominance != "right":
        tree["lvp"] = Branch("dist_lcx", float(rng.uniform(0.45, 0.75)))
    tree["prox_rca"] = Branch(None, 0.0)
    tree["mid_rca"] = Branch("prox_rca", 1.0)
    if dominance == "left":
        tree["pda"] = Branch("dist_lcx", 1.0)
        return tree
    tree["dist_rca"] = Branch("mid_rca", 1.0)
    tree["pda"] = Branch("dist_rca", 1.0)
    if dominance == "right":
        tree["posterolateral"] = Branch("dist_rca", 1.0)
    return tree


def courses(
    rng: np.random.Generator, dominance: Dominance, tree: Mapping[str, Branch]
) -> tuple[Course, ...]:
    """Draw the curves of a heart, parents before children.

    Parameters
    ----------
    rng : numpy Generator
    dominance : {"right", "left", "co"}
    tree : mapping of str to Branch
        From `branches`, of the same heart.

    Returns
    -------
    tuple of Course
    """
    every = (*_left_stems(rng, dominance), *_left_branches(rng), *_right(rng, dominance))
    return tuple(_jittered(rng, course) for course in every if course.segments[0] in tree)


def _left_stems(rng: np.random.Generator, dominance: Dominance) -> tuple[Course, ...]:
    apex = rng.uniform(0.9, 1.0)
    lad = ((0.12, 6), (0.3, 1), (0.5, -3), (0.7, 0), (0.86, 2), (apex, 12))
    end = {"right": 142.0, "co": 160.0, "left": 178.0}[dominance]
    lcx = ((0.0, 36), (-0.01, 60), (0.0, 88), (0.02, 115), (0.02, end))
    wide = 1.2 if dominance == "left" else 1.0
    main = ((-0.05, 0, 0.7), (-0.02, 5, 0.86), BIFURCATION)
    lad_splits = (float(rng.uniform(0.24, 0.3)), float(rng.uniform(0.54, 0.62)))
    lcx_splits = (42 / (end - 12), 80 / (end - 12))
    return (
        Course(("left_main",), (), main, (4.6, 4.2)),
        Course(("prox_lad", "mid_lad", "dist_lad"), lad_splits, _on_surface(lad), (3.8, 1.3)),
        Course(
            ("prox_lcx", "mid_lcx", "dist_lcx"),
            lcx_splits,
            _on_surface(lcx),
            (3.5 * wide, 1.4 * wide),
        ),
    )


def _left_branches(rng: np.random.Generator) -> tuple[Course, ...]:
    d1_around, d1_down = rng.uniform(28, 42), rng.uniform(0.56, 0.68)
    d2_around, d2_down = rng.uniform(24, 36), rng.uniform(0.74, 0.86)
    return (
        _single("D1", ((0.24, 0.45 * d1_around), (0.42, d1_around), (d1_down, d1_around + 4)), 2.4),
        _single("D2", ((0.5, 0.4 * d2_around), (0.62, 0.9 * d2_around), (d2_down, d2_around)), 2.1),
        _single("bx", ((0.1, 26), (0.3, 40), (rng.uniform(0.48, 0.62), 46)), 2.5),
        _single("om1", ((0.16, 63), (0.38, 72), (rng.uniform(0.55, 0.68), 76)), 2.6),
        _single("om2", ((0.16, 101), (0.34, 109), (rng.uniform(0.46, 0.6), 113)), 2.3),
        _single("lvp", ((0.14, 143), (0.28, 150), (rng.uniform(0.38, 0.48), 154)), 2.2),
    )


def _right(rng: np.random.Generator, dominance: Dominance) -> tuple[Course, ...]:
    down = rng.uniform(0.6, 0.72)
    start: tuple[Waypoint, ...] = ((-0.1, -44, 0.64), (-0.06, -56, 0.88))
    if dominance == "left":
        short = _on_surface(((0.0, -76), (0.03, -101), (0.06, -126), (0.2, -136)))
        rca = Course(("prox_rca", "mid_rca"), (0.52,), (*start, *short), (2.9, 1.5))
        pda = _single("pda", ((0.12, 180), (0.36, 181), (down, 178)), 2.3)
    else:
        tail = ((0.0, -76), (0.03, -101), (0.04, -126), (0.03, -150), (0.02, -172))
        splits = (float(rng.uniform(0.31, 0.36)), float(rng.uniform(0.63, 0.68)))
        rca = Course(_RIGHT_CHAIN, splits, (*start, *_on_surface(tail)), (4.0, 2.8))
        pda = _single("pda", ((0.12, -179), (0.36, -180), (down, -181)), 2.4)
    side = _single("posterolateral", ((0.03, -188), (0.18, -203), (0.46, -211)), 2.3)
    return (rca, pda, side)


def _single(name: str, points: tuple[tuple[float, float], ...], diameter: float) -> Course:
    return Course((name,), (), _on_surface(points), (diameter, 0.5 * diameter))


def _on_surface(points: tuple[tuple[float, float], ...]) -> tuple[Waypoint, ...]:
    return tuple((s, phi, 1.0) for s, phi in points)


def _jittered(rng: np.random.Generator, course: Course) -> Course:
    sd = np.array([0.014, 3.5, 0.008])
    points = np.asarray(course.waypoints) + rng.normal(0, sd, (len(course.waypoints), 3))
    wide = float(np.clip(rng.normal(1, 0.08), 0.8, 1.2))
    first, last = course.diameters_mm
    waypoints = tuple((float(s), float(phi), float(rho)) for s, phi, rho in points)
    return Course(course.segments, course.splits, waypoints, (wide * first, wide * last))
