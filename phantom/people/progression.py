"""What time, an infarct and an intervention do to a heart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from phantom.heart.disease import OCCLUDED_PERCENT, Disease, SegmentState
from phantom.heart.lesions import MAX_LVEF, MIN_CALCIFICATION, MIN_LVEF, TERRITORY, choose_segment
from phantom.heart.lesions import draw_lesion as _draw
from phantom.heart.mixes import NATURAL, Kind

if TYPE_CHECKING:
    from phantom.heart.anatomy import Anatomy

CHRONIC_YEARS: Final = 0.25
"""An occlusion that is older is a chronic one."""
HEALED_YEARS: Final = 0.08
"""A thrombus is gone by then."""

_WORST_OPEN = 98.0
_WORST_LEFT_MAIN = 90.0
_GROWTH = 2.2
"""Mean growth of a lesion, points of percent stenosis a year."""
_JUMPS = 0.05
_NEW_LESIONS = 0.16
_RESTENOSES = 0.035
_NEW_CALCIUM = 0.03
"""Rates a year."""
_CALCIUM_GROWTH = 0.035
_NEW_KINDS: tuple[tuple[Kind, float], ...] = (("mild", 0.5), ("moderate", 0.25), ("severe", 0.25))


def evolve(
    rng: np.random.Generator, anatomy: Anatomy, disease: Disease, *, years: float, pace: float
) -> Disease:
    """Let time pass without an event.

    Lesions grow, a few by leaps; new ones appear; stents narrow again; thrombus heals; occlusions
    become chronic; calcium only grows; the ejection fraction drifts.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
    disease : Disease
    years : float
    pace : float
        How fast lesions grow and appear, 1 on average.
    """
    states = {
        name: _older(rng, name, state, years, pace) for name, state in disease.segments.items()
    }
    for _ in range(int(rng.poisson(_NEW_LESIONS * pace * years))):
        segment = choose_segment(rng, NATURAL.segments, _healthy(anatomy, states))
        if segment is not None:
            kind = _NEW_KINDS[int(rng.choice(3, p=[share for _, share in _NEW_KINDS]))][0]
            states[segment] = _on_top(states.get(segment, SegmentState()), _draw(rng, kind))
    lvef = disease.lvef_percent + rng.normal(-0.4 * years, 1.6 * math.sqrt(years))
    for name, state in states.items():
        if state.occluded and not disease.state(name).occluded:
            lvef -= 0.4 * TERRITORY[name] * float(rng.gamma(2.5, 0.4))
    return Disease(states, _clipped(lvef))


def infarct(rng: np.random.Generator, anatomy: Anatomy, disease: Disease) -> Disease:
    """Let a plaque rupture: a fresh occlusion or a thrombus, and muscle lost behind it."""
    segment = _culprit(rng, anatomy, disease)
    if segment is None:
        return dataclasses.replace(disease, lvef_percent=_clipped(disease.lvef_percent - 4))
    before = disease.state(segment)
    occludes = rng.random() < 0.5
    lesion = _draw(rng, "occlusion" if occludes else "thrombus")
    if not occludes:
        percent = max(lesion.stenosis_percent, min(before.stenosis_percent, _WORST_OPEN))
        lesion = dataclasses.replace(lesion, stenosis_percent=percent)
    lost = (0.6 if occludes else 0.25) * TERRITORY[segment] * float(rng.gamma(2.5, 0.4))
    states = {**disease.segments, segment: _on_top(before, lesion)}
    return Disease(states, _clipped(disease.lvef_percent - lost))


def destabilise(rng: np.random.Generator, anatomy: Anatomy, disease: Disease) -> Disease:
    """Let a lesion become severe at once, as before an urgent revascularisation."""
    segment = _culprit(rng, anatomy, disease)
    if segment is None:
        return disease
    lesion = _draw(rng, "severe")
    percent = max(lesion.stenosis_percent, disease.state(segment).stenosis_percent)
    lesion = dataclasses.replace(lesion, stenosis_percent=percent)
    states = {**disease.segments, segment: _on_top(disease.state(segment), lesion)}
    return dataclasses.replace(disease, segments=states)


def stented(rng: np.random.Generator, disease: Disease, segments: Iterable[str]) -> Disease:
    """Return the heart after an intervention: each of `segments` open, with a stent in it."""
    states = dict(disease.segments)
    for name in segments:
        state = disease.state(name)
        states[name] = dataclasses.replace(
            state,
            stenosis_percent=float(rng.uniform(0, 10)),
            cto=False,
            thrombus=False,
            stent=True,
            length_mm=float(np.clip(state.length_mm + 4, 10, 18)),
        )
    return dataclasses.replace(disease, segments=states)


def _older(
    rng: np.random.Generator, name: str, state: SegmentState, years: float, pace: float
) -> SegmentState:
    calcification = _calcified(rng, state.calcification, years)
    if state.occluded:
        chronic = state.cto or years >= CHRONIC_YEARS
        return dataclasses.replace(state, cto=chronic, thrombus=False, calcification=calcification)
    percent = state.stenosis_percent
    if state.stent:
        if _happens(rng, _RESTENOSES * years):
            percent = max(percent, float(rng.uniform(50, 95)))
    elif percent > 0:
        percent += pace * years * float(rng.gamma(1.2, _GROWTH / 1.2))
        if _happens(rng, _JUMPS * pace * years):
            percent += float(rng.uniform(15, 45))
    occludes = percent > _WORST_OPEN and name != "left_main" and rng.random() < 0.6
    highest = _WORST_LEFT_MAIN if name == "left_main" else _WORST_OPEN
    # Never less than before: a left main may have been drawn tighter than it may grow.
    open_percent = max(state.stenosis_percent, min(percent, highest))
    return dataclasses.replace(
        state,
        stenosis_percent=OCCLUDED_PERCENT if occludes else open_percent,
        cto=occludes and years >= CHRONIC_YEARS,
        thrombus=state.thrombus and years < HEALED_YEARS,
        calcification=calcification,
    )


def _calcified(rng: np.random.Generator, amount: float, years: float) -> float:
    if amount > 0:
        return min(1.0, amount + float(rng.gamma(2, _CALCIUM_GROWTH / 2)) * years)
    return MIN_CALCIFICATION if _happens(rng, _NEW_CALCIUM * years) else 0.0


def _on_top(before: SegmentState, lesion: SegmentState) -> SegmentState:
    """Return the lesion in a segment whose calcium and stent stay."""
    return dataclasses.replace(lesion, calcification=before.calcification, stent=before.stent)


def _healthy(anatomy: Anatomy, states: dict[str, SegmentState]) -> frozenset[str]:
    taken = {name for name, state in states.items() if state.stenosis_percent > 0 or state.stent}
    return anatomy.segments - taken


def _culprit(rng: np.random.Generator, anatomy: Anatomy, disease: Disease) -> str | None:
    may = anatomy.segments - {"left_main"}
    free = frozenset(name for name in may if not disease.state(name).occluded)
    # Tight lesions are culprits more often, but not always.
    weights = {
        name: share * (1 + disease.state(name).stenosis_percent / 20)
        for name, share in NATURAL.segments.items()
    }
    return choose_segment(rng, weights, free)


def _happens(rng: np.random.Generator, expected: float) -> bool:
    return bool(rng.random() < -math.expm1(-expected))


def _clipped(lvef: float) -> float:
    return float(np.clip(lvef, MIN_LVEF, MAX_LVEF))
