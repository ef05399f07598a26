"""How often what is found where: the two mixes that hearts are drawn from.

`NATURAL` is what a catheter laboratory sees, near enough: a quarter normal, the proximal and mid
LAD and the RCA most often diseased.  Figures are measured on it.  `ENRICHED` has more findings per
heart and raises the rare ones, so that an encoder sees each often enough to learn it.  The shares
are invented, in the orders of magnitude of published registries, and describe no population.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["mild", "moderate", "severe", "occlusion", "cto", "thrombus"]
KINDS: Final[tuple[Kind, ...]] = ("mild", "moderate", "severe", "occlusion", "cto", "thrombus")
"""Kinds of lesion: below 50 %, 50 to 69 %, 70 to 99 %, acute and chronic occlusion, thrombus."""


@dataclass(frozen=True)
class Mix:
    """The shares that a heart's disease is drawn with.

    Attributes
    ----------
    name : str
    normal_share : float
        Hearts without any finding, at the age of 64 years.
    counts : sequence of float
        Relative frequency of 1, 2, ... lesions in a diseased heart.
    segments : mapping of str to float
        Relative frequency of a lesion in a segment, among the segments that a heart has.
    kinds : mapping of str to float
        Relative frequency of each kind of lesion.
    calcified_share : float
        Diseased hearts with calcification, at the age of 64 years.
    calcified_segments : mapping of str to float
        Relative frequency of calcification in a segment.
    stented_share : float
        Diseased hearts with stents of an earlier intervention.
    stented_segments : mapping of str to float
    free_lvef_share : float
        Hearts whose ejection fraction is drawn without regard to their arteries, evenly from 15 to
        70 %, so that the one does not give the other away.
    """

    name: str
    normal_share: float
    counts: tuple[float, ...]
    segments: Mapping[str, float]
    kinds: Mapping[Kind, float]
    calcified_share: float
    calcified_segments: Mapping[str, float]
    stented_share: float
    stented_segments: Mapping[str, float]
    free_lvef_share: float


NATURAL: Final = Mix(
    name="natural",
    normal_share=0.24,
    counts=(0.24, 0.27, 0.23, 0.16, 0.10),
    segments={
        **{"prox_rca": 0.10, "mid_rca": 0.11, "dist_rca": 0.075, "pda": 0.055},
        **{"posterolateral": 0.035, "left_main": 0.05, "prox_lad": 0.135, "mid_lad": 0.13},
        **{"dist_lad": 0.04, "D1": 0.075, "D2": 0.03, "prox_lcx": 0.08, "mid_lcx": 0.065},
        **{"dist_lcx": 0.04, "om1": 0.075, "om2": 0.03, "bx": 0.04, "lvp": 0.04},
    },
    kinds={
        **{"mild": 0.21, "moderate": 0.15, "severe": 0.30},
        **{"occlusion": 0.10, "cto": 0.09, "thrombus": 0.15},
    },
    calcified_share=0.29,
    calcified_segments={
        **{"left_main": 0.10, "prox_lad": 0.23, "mid_lad": 0.13, "dist_lad": 0.02, "D1": 0.02},
        **{"prox_lcx": 0.10, "mid_lcx": 0.05, "om1": 0.01, "prox_rca": 0.15, "mid_rca": 0.13},
        **{"dist_rca": 0.05, "pda": 0.01},
    },
    stented_share=0.22,
    stented_segments={
        **{"prox_lad": 0.25, "mid_lad": 0.18, "prox_lcx": 0.09, "mid_lcx": 0.13, "om1": 0.04},
        **{"prox_rca": 0.11, "mid_rca": 0.14, "dist_rca": 0.06},
    },
    free_lvef_share=0.0,
)
"""What a catheter laboratory sees, near enough."""

ENRICHED: Final = Mix(
    name="enriched",
    normal_share=0.18,
    counts=(0.10, 0.14, 0.18, 0.20, 0.17, 0.12, 0.09),
    segments={
        **{"prox_rca": 0.07, "mid_rca": 0.07, "dist_rca": 0.065, "pda": 0.065},
        **{"posterolateral": 0.055, "left_main": 0.065, "prox_lad": 0.075, "mid_lad": 0.08},
        **{"dist_lad": 0.055, "D1": 0.075, "D2": 0.07, "prox_lcx": 0.06, "mid_lcx": 0.06},
        **{"dist_lcx": 0.055, "om1": 0.07, "om2": 0.07, "bx": 0.14, "lvp": 0.14},
    },
    kinds={
        **{"mild": 0.15, "moderate": 0.18, "severe": 0.27},
        **{"occlusion": 0.07, "cto": 0.10, "thrombus": 0.23},
    },
    calcified_share=0.55,
    calcified_segments={
        **{"left_main": 0.10, "prox_lad": 0.10, "mid_lad": 0.09, "dist_lad": 0.05, "D1": 0.05},
        **{"D2": 0.04, "prox_lcx": 0.08, "mid_lcx": 0.07, "dist_lcx": 0.04, "om1": 0.05},
        **{"om2": 0.04, "bx": 0.05, "lvp": 0.05, "prox_rca": 0.08, "mid_rca": 0.08},
        **{"dist_rca": 0.06, "pda": 0.05, "posterolateral": 0.05},
    },
    stented_share=0.45,
    stented_segments={
        **{"left_main": 0.05, "prox_lad": 0.11, "mid_lad": 0.11, "dist_lad": 0.04, "D1": 0.06},
        **{"D2": 0.03, "prox_lcx": 0.10, "mid_lcx": 0.11, "dist_lcx": 0.05, "om1": 0.07},
        **{"om2": 0.03, "bx": 0.04, "prox_rca": 0.09, "mid_rca": 0.09, "dist_rca": 0.08},
        **{"pda": 0.03, "posterolateral": 0.02},
    },
    free_lvef_share=0.5,
)
"""More and rarer findings: for training only."""

KIND_FACTORS: Final[Mapping[Kind, Mapping[str, float]]] = {
    # The left main never occludes: nobody with that is filmed.
    "occlusion": {
        **{"left_main": 0.0, "prox_lad": 1.8, "prox_lcx": 1.3, "mid_lcx": 1.2},
        **{"bx": 0.6, "D1": 0.7, "D2": 0.6, "om2": 0.6},
    },
    # Chronic occlusions of small branches are neither seen nor treated.
    "cto": {
        **{"left_main": 0.0, "prox_lad": 1.3, "mid_lad": 1.5, "D1": 0.3, "D2": 0.2, "om2": 0.3},
        **{"bx": 0.3, "dist_lad": 0.5, "dist_lcx": 0.5, "pda": 0.4, "posterolateral": 0.4},
        **{"lvp": 0.3, "mid_rca": 1.4, "prox_rca": 1.4, "dist_rca": 1.2},
    },
    "thrombus": {
        **{"left_main": 0.0, "prox_lad": 1.3, "prox_rca": 1.3, "mid_rca": 1.4, "dist_rca": 1.2},
        **{"bx": 0.7, "D1": 0.7, "D2": 0.6, "om2": 0.7, "lvp": 0.6},
    },
}
"""By how much a kind is more or less frequent in a segment than in others; 1 where not named."""
