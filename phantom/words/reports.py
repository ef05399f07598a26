"""A report in English of what an angiogram shows: findings put into words, by one of several.

It says what is visible, in the order in which reports are dictated.  Percentages are those of a
reader: the truth with a scatter of five points, rounded to five or ten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from core.segments import SEGMENTS
from phantom.heart.disease import SegmentState, visible

if TYPE_CHECKING:
    from phantom.heart.anatomy import Anatomy
    from phantom.heart.disease import Disease

LANGUAGE: Final = "en"
READER_SD_PERCENT: Final = 5.0
"""Standard deviation of a reader's percent stenosis."""
LVEF_SD_PERCENT: Final = 3.0
"""Standard deviation of a reader's ejection fraction."""
NOTICE: Final = "Report of a phantom: invented, without clinical meaning."

_MILD, _MODERATE, _SEVERE = 20, 50, 70
_HEAVY_CALCIUM = 0.6
_VESSELS: Mapping[str, tuple[str, ...]] = {
    "left main": ("left_main",),
    "LAD": ("prox_lad", "mid_lad", "dist_lad", "D1", "D2"),
    "ramus intermedius": ("bx",),
    "circumflex": ("prox_lcx", "mid_lcx", "dist_lcx", "om1", "om2", "lvp"),
    "RCA": ("prox_rca", "mid_rca", "dist_rca", "pda", "posterolateral"),
}
_TERRITORIES: tuple[tuple[str, ...], ...] = (
    _VESSELS["LAD"],
    (*_VESSELS["circumflex"], *_VESSELS["ramus intermedius"]),
    _VESSELS["RCA"],
)
_DOMINANCE: Mapping[str, Sequence[str]] = {
    "right": ("Right dominant circulation.", "The circulation is right dominant."),
    "left": ("Left dominant circulation.", "The circulation is left dominant."),
    "co": ("Codominant circulation.", "The circulation is balanced (codominant)."),
}
_CTO = (
    "chronic total occlusion of the {where} with late filling of the distal vessel by collaterals",
    "CTO of the {where}, distal bed collateralised",
    "the {where} is chronically occluded, with a tapered stump and collateral filling",
)
_OCCLUSION = (
    "total occlusion of the {where}",
    "the {where} is occluded (100 %) without flow beyond",
    "acute-looking occlusion of the {where}, TIMI 0",
)
_THROMBUS = (
    "filling defect in the {where} consistent with thrombus",
    "thrombus in the {where}",
    "intraluminal thrombus of the {where} with a rim of contrast",
)
_STENOSIS = (
    "{grade} stenosis of the {where} ({percent} %)",
    "{percent} % {grade} stenosis in the {where}",
    "the {where} has a {grade} lesion of about {percent} %",
)
_PATENT = ("patent stent in the {where}", "the stent in the {where} is patent")
_RESTENOSIS = (
    "in-stent restenosis of about {percent} % in the {where}",
    "stent in the {where} with {percent} % restenosis",
)
_STENT_OCCLUDED = ("the stent in the {where} is occluded", "in-stent occlusion of the {where}")
_CALCIUM = ("{amount} of the {where}", "the {where} shows {amount}")
_CLEAN = (
    "The {vessel} is free of disease.",
    "No stenosis of the {vessel}.",
    "The {vessel} is normal.",
)
_NORMAL = ("Normal coronary arteries.", "Coronary arteries without any stenosis.")
_LVEF = (
    "Left ventricular function is {grade}, ejection fraction about {percent} %.",
    "LVEF is estimated at {percent} % ({grade}).",
)


@dataclass(frozen=True)
class _Reading:
    """What a reader sees in a segment, with the percentage that the reader would write."""

    segment: str
    state: SegmentState
    percent: int


def report(anatomy: Anatomy, disease: Disease, *, rng: np.random.Generator) -> str:
    """Write the report of a study.

    Parameters
    ----------
    anatomy : Anatomy
    disease : Disease
        The true one; only what is visible of it is told.
    rng : Generator
        Chooses among phrasings, and scatters the reader.

    Returns
    -------
    str
        A few sentences, then the impression and a notice, each on a line of its own.
    """
    seen = visible(anatomy, disease)
    readings = {
        segment: _read(rng, segment, seen.state(segment))
        for segment in SEGMENTS
        if segment in anatomy.segments
    }
    parts = [_pick(rng, _DOMINANCE[anatomy.dominance])]
    parts += [
        _vessel(rng, vessel, [readings[name] for name in names if name in readings])
        for vessel, names in _VESSELS.items()
        if any(name in readings for name in names)
    ]
    parts.append(_function(rng, seen.lvef_percent))
    return "\n".join((" ".join(parts), f"Impression: {_impression(rng, readings)}", NOTICE))


def _read(rng: np.random.Generator, segment: str, state: SegmentState) -> _Reading:
    if state.occluded:
        return _Reading(segment, state, 100)
    if state.stenosis_percent <= 0:
        return _Reading(segment, state, 0)
    step = 10 if rng.random() < 0.4 else 5
    scattered = state.stenosis_percent + rng.normal(0, READER_SD_PERCENT)
    return _Reading(segment, state, int(np.clip(step * round(scattered / step), 0, 95)))


def _vessel(rng: np.random.Generator, vessel: str, readings: Sequence[_Reading]) -> str:
    found = [phrase for reading in readings for phrase in _phrases(rng, reading)]
    if not found:
        return _pick(rng, _CLEAN).format(vessel=vessel)
    text = "; ".join(found)
    return f"{text[0].upper()}{text[1:]}."


def _phrases(rng: np.random.Generator, reading: _Reading) -> list[str]:
    where, percent = SEGMENTS[reading.segment], reading.percent
    found = []
    if reading.state.thrombus:
        found.append(_pick(rng, _THROMBUS).format(where=where))
    kind = _choose(reading)
    if kind:
        found.append(_pick(rng, kind).format(where=where, percent=percent, grade=_grade(percent)))
    if reading.state.calcification > 0:
        heavy = reading.state.calcification >= _HEAVY_CALCIUM
        amount = "heavy calcification" if heavy else "calcification"
        found.append(_pick(rng, _CALCIUM).format(where=where, amount=amount))
    return found


def _choose(reading: _Reading) -> Sequence[str]:
    """Return the phrasings of the narrowing and the stent; none when there is neither."""
    state = reading.state
    if state.stent and state.occluded:
        return _STENT_OCCLUDED
    if state.stent:
        return _PATENT if reading.percent < _MODERATE else _RESTENOSIS
    if state.occluded:
        return _CTO if state.cto else _OCCLUSION
    return _STENOSIS if reading.percent >= _MILD else ()


def _has_more(state: SegmentState) -> bool:
    return state.thrombus or state.stent or state.calcification > 0


def _grade(percent: float) -> str:
    if percent >= _SEVERE:
        return "severe"
    return "moderate" if percent >= _MODERATE else "mild"


def _function(rng: np.random.Generator, lvef_percent: float) -> str:
    read = int(np.clip(5 * round((lvef_percent + rng.normal(0, LVEF_SD_PERCENT)) / 5), 10, 75))
    if read >= 50:
        grade = "preserved"
    elif read >= 40:
        grade = "mildly reduced"
    else:
        grade = "severely reduced" if read < 30 else "reduced"
    return _pick(rng, _LVEF).format(grade=grade, percent=read)


def _impression(rng: np.random.Generator, readings: Mapping[str, _Reading]) -> str:
    def worst(names: Sequence[str]) -> int:
        return max((readings[name].percent for name in names if name in readings), default=0)

    vessels = sum(worst(names) >= _SEVERE for names in _TERRITORIES)
    left_main = worst(("left_main",)) >= _MODERATE
    if vessels:
        text = f"{('One', 'Two', 'Three')[vessels - 1]}-vessel coronary artery disease"
        return f"{text} with left main stenosis." if left_main else f"{text}."
    if left_main:
        return "Left main stenosis."
    if worst(tuple(readings)) >= _MILD:
        return "Coronary artery disease without a significant stenosis."
    if any(_has_more(reading.state) for reading in readings.values()):
        return "No stenosis; findings as above."
    return _pick(rng, _NORMAL)


def _pick(rng: np.random.Generator, phrases: Sequence[str]) -> str:
    return phrases[int(rng.integers(len(phrases)))]
