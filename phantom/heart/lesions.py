"""Draw the disease of a heart: which segments have what, and the ejection fraction it leaves."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from phantom.heart.disease import OCCLUDED_PERCENT, Disease, SegmentState
from phantom.heart.mixes import ENRICHED, KIND_FACTORS, KINDS, NATURAL, Kind, Mix

if TYPE_CHECKING:
    from phantom.heart.anatomy import Anatomy

__all__ = ["ENRICHED", "NATURAL", "Mix", "draw_disease", "draw_lesion"]

MIN_AGE: Final = 40.0
MAX_AGE: Final = 88.0
"""Patients are between these ages at their first exam, in years."""
MIN_LVEF: Final = 12.0
MAX_LVEF: Final = 75.0
"""Every ejection fraction is within these, in percent."""
MIN_CALCIFICATION: Final = 0.3
"""What is called calcified is at least this much, so that it can be seen."""
MIDDLE_AGE: Final = 64.0
"""The age that the shares of a mix are for."""

_NORMAL_PER_YEAR = -0.045
_CALCIFIED_PER_YEAR = 0.06
"""Change of the log odds with age."""
_PERCENT: Final[Mapping[Kind, tuple[float, float]]] = {
    "mild": (20, 49),
    "moderate": (50, 69),
    "severe": (70, 97),
    "occlusion": (OCCLUDED_PERCENT, OCCLUDED_PERCENT),
    "cto": (OCCLUDED_PERCENT, OCCLUDED_PERCENT),
    # The clot itself narrows the lumen; the plaque below it often does not.
    "thrombus": (10, 80),
}
TERRITORY: Final[Mapping[str, float]] = {
    **{"left_main": 12, "prox_lad": 22, "mid_lad": 15, "dist_lad": 7, "D1": 5, "D2": 3},
    **{"prox_lcx": 10, "mid_lcx": 7, "dist_lcx": 4, "om1": 5, "om2": 4, "bx": 4, "lvp": 4},
    **{"prox_rca": 9, "mid_rca": 8, "dist_rca": 7, "pda": 4, "posterolateral": 4},
}
"""Points of ejection fraction that an occlusion of the segment costs on average."""


def draw_disease(
    rng: np.random.Generator,
    anatomy: Anatomy,
    mix: Mix,
    *,
    age_years: float | None = None,
    atheroma: float = 0.0,
) -> Disease:
    """Draw what is wrong with a heart.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
        Only segments that it has are diseased.
    mix : Mix
        `NATURAL` or `ENRICHED`.
    age_years : float, optional
        Fewer hearts are normal and more are calcified with age; drawn by default.
    atheroma : float
        The person's tendency, added to the log odds of disease; 0 is the average.

    Returns
    -------
    Disease
        True disease, also where no picture can show it (see `phantom.heart.disease.visible`).
    """
    age = float(np.clip(rng.normal(MIDDLE_AGE, 10), MIN_AGE, MAX_AGE))
    age = age if age_years is None else age_years
    tendency = _NORMAL_PER_YEAR * (age - MIDDLE_AGE) - atheroma
    states: dict[str, SegmentState] = {}
    if rng.random() >= _shifted(mix.normal_share, tendency):
        _add_lesions(rng, states, anatomy, mix)
        if rng.random() < mix.stented_share:
            _add_stents(rng, states, anatomy, mix)
        older = _CALCIFIED_PER_YEAR * (age - MIDDLE_AGE)
        if rng.random() < _shifted(mix.calcified_share, older):
            _add_calcification(rng, states, anatomy, mix)
    return Disease(states, _draw_lvef(rng, states, mix))


def draw_lesion(rng: np.random.Generator, kind: Kind) -> SegmentState:
    """Draw a lesion of a kind: its percentage, place, length (6 to 18 mm) and eccentricity."""
    low, high = _PERCENT[kind]
    return SegmentState(
        stenosis_percent=float(rng.uniform(low, high)),
        cto=kind == "cto",
        thrombus=kind == "thrombus",
        centre=float(rng.uniform(0.25, 0.75)),
        length_mm=float(rng.uniform(8, 18) if kind == "thrombus" else 6 + 12 * rng.beta(1.6, 2.2)),
        eccentricity=float(rng.beta(1.5, 2.0)),
    )


def choose_segment(
    rng: np.random.Generator, weights: Mapping[str, float], free: frozenset[str]
) -> str | None:
    """Return one of the `free` segments by weight; None when none of them has any."""
    names = [name for name in weights if name in free and weights[name] > 0]
    if not names:
        return None
    odds = np.array([weights[name] for name in names])
    return str(rng.choice(names, p=odds / odds.sum()))


def _shifted(share: float, log_odds: float) -> float:
    return 1 / (1 + (1 - share) / share * math.exp(-log_odds))


def _add_lesions(
    rng: np.random.Generator, states: dict[str, SegmentState], anatomy: Anatomy, mix: Mix
) -> None:
    counts = np.array(mix.counts)
    n = 1 + int(rng.choice(len(counts), p=counts / counts.sum()))
    for _ in range(n):
        # One lesion a segment: of several the worst one would count.
        segment = choose_segment(rng, mix.segments, anatomy.segments - states.keys())
        if segment is not None:
            states[segment] = draw_lesion(rng, _draw_kind(rng, mix, segment))


def _draw_kind(rng: np.random.Generator, mix: Mix, segment: str) -> Kind:
    odds = np.array([mix.kinds[k] * KIND_FACTORS.get(k, {}).get(segment, 1.0) for k in KINDS])
    return KINDS[int(rng.choice(len(KINDS), p=odds / odds.sum()))]


def _add_stents(
    rng: np.random.Generator, states: dict[str, SegmentState], anatomy: Anatomy, mix: Mix
) -> None:
    diseased = frozenset(states)
    for _ in range(int(rng.integers(1, 4))):
        stented = {name for name, state in states.items() if state.stent}
        # Most stents are where there is no other lesion now, and most of them are patent.
        free = anatomy.segments - stented
        free = free - diseased if rng.random() < 0.8 else free
        segment = choose_segment(rng, mix.stented_segments, free)
        if segment is not None:
            states[segment] = _draw_stent(rng, segment)


def _draw_stent(rng: np.random.Generator, segment: str) -> SegmentState:
    lesion = draw_lesion(rng, "mild")
    fate = rng.random()
    percent = float(rng.uniform(0, 12))
    if fate < 0.12:
        percent = float(rng.uniform(50, 95))
    elif fate < 0.15 and segment != "left_main":
        percent = OCCLUDED_PERCENT
    length = float(rng.uniform(10, 18))
    return dataclasses.replace(lesion, stenosis_percent=percent, stent=True, length_mm=length)


def _add_calcification(
    rng: np.random.Generator, states: dict[str, SegmentState], anatomy: Anatomy, mix: Mix
) -> None:
    for _ in range(int(rng.integers(1, 5))):
        calcified = {name for name, state in states.items() if state.calcification > 0}
        segment = choose_segment(rng, mix.calcified_segments, anatomy.segments - calcified)
        if segment is not None:
            amount = float(MIN_CALCIFICATION + (1 - MIN_CALCIFICATION) * rng.beta(1.3, 1.6))
            state = states.get(segment, SegmentState())
            states[segment] = dataclasses.replace(state, calcification=amount)


def _draw_lvef(rng: np.random.Generator, states: Mapping[str, SegmentState], mix: Mix) -> float:
    lvef = rng.normal(59, 6.5)
    for segment, state in states.items():
        # Chronic occlusions have collaterals; a lesion that does not occlude costs a little.
        share = (0.7 if state.cto else 1.0) if state.occluded else 0.0
        share = max(share, 0.25 if state.stenosis_percent >= 70 else 0.0)
        lvef -= share * TERRITORY[segment] * float(rng.gamma(2.5, 0.4))
    if rng.random() < 0.16:  # a weak heart for reasons that are not in its arteries
        lvef = min(lvef, rng.uniform(15, 48))
    if rng.random() < mix.free_lvef_share:
        lvef = rng.uniform(15, 70)
    return float(np.clip(lvef, MIN_LVEF, MAX_LVEF))
