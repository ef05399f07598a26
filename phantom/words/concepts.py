"""What can be asked of an angiogram: concepts that hold or do not, and the sentences that ask.

A concept is a finding at a place ("an occlusion of the proximal LAD") or something of the whole
heart ("left dominant").  It holds of a study by what all its pictures together can show, and of a
video by what the injected artery carries.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import NotFoundError
from core.segments import SEGMENTS
from phantom.heart.anatomy import Artery
from phantom.heart.disease import Disease, SegmentState
from phantom.words import sayings

STENOSIS_PERCENT: Final = 50.0
"""At or above this a narrowing counts as a stenosis."""
SIGNIFICANT_PERCENT: Final = 70.0
"""At or above this a stenosis is significant, and severe below an occlusion."""
MILD_PERCENT: Final = 20.0
"""Below this a segment counts as free of stenosis."""
CALCIFIED: Final = 0.1
"""At or above this much calcium (0 to 1) a segment is calcified."""
HEAVILY_CALCIFIED: Final = 0.6
REDUCED_LVEF: Final = 40.0
SEVERELY_REDUCED_LVEF: Final = 30.0
PRESERVED_LVEF: Final = 50.0

_RIGHT = ("prox_rca", "mid_rca", "dist_rca", "pda", "posterolateral")
_LEFT = tuple(segment for segment in SEGMENTS if segment not in _RIGHT)

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    **{segment: (segment,) for segment in SEGMENTS},
    "lad": ("prox_lad", "mid_lad", "dist_lad"),
    "lcx": ("prox_lcx", "mid_lcx", "dist_lcx"),
    "rca": ("prox_rca", "mid_rca", "dist_rca"),
    "diagonal": ("D1", "D2"),
    "marginal": ("om1", "om2"),
    "any": tuple(SEGMENTS),
}
"""The segments of the places that are the same in every heart; a vessel is its main trunk."""
_LAD_TERRITORY = ("prox_lad", "mid_lad", "dist_lad", "D1", "D2")


class Heart(Protocol):
    """What a concept reads of an anatomy."""

    @property
    def dominance(self) -> str:
        """``"right"``, ``"left"`` or ``"co"``."""
        ...


def segments_of(place: str, heart: Heart) -> tuple[str, ...]:
    """Return the segments of a place.

    Parameters
    ----------
    place : str
        A key of `PLACES`, ``"left"`` or ``"right"``: everything that the injection of that artery
        fills.
    heart : Heart
        In a left-dominant one the posterior descending artery comes from the circumflex.
    """
    if place not in ("left", "right"):
        return PLACES[place]
    if heart.dominance == "left":
        return (*_LEFT, "pda") if place == "left" else tuple(s for s in _RIGHT if s != "pda")
    return _LEFT if place == "left" else _RIGHT


@dataclass(frozen=True)
class Concept:
    """Something that can be asked.

    Attributes
    ----------
    name : str
        ``finding:place``, or a single word for what concerns the whole heart.
    finding : str
        A key of `FINDINGS` or of the rules of the whole heart.
    place : str or None
        See `segments_of`; None for the whole heart.
    """

    name: str
    finding: str
    place: str | None = None


def is_free(state: SegmentState) -> bool:
    """Tell whether a segment has no finding at all."""
    found = state.thrombus or state.stent or state.calcification >= CALCIFIED
    return state.stenosis_percent < MILD_PERCENT and not found


FINDINGS: Final[Mapping[str, Callable[[SegmentState], bool]]] = {
    "stenosis": lambda s: s.stenosis_percent >= STENOSIS_PERCENT,
    "severe": lambda s: s.stenosis_percent >= SIGNIFICANT_PERCENT and not s.occluded,
    "significant": lambda s: s.stenosis_percent >= SIGNIFICANT_PERCENT,
    "moderate": lambda s: STENOSIS_PERCENT <= s.stenosis_percent < SIGNIFICANT_PERCENT,
    "mild": lambda s: MILD_PERCENT <= s.stenosis_percent < STENOSIS_PERCENT,
    "occlusion": lambda s: s.occluded,
    "acute": lambda s: s.occluded and not s.cto,
    "cto": lambda s: s.occluded and s.cto,
    "thrombus": lambda s: s.thrombus,
    "calcification": lambda s: s.calcification >= CALCIFIED,
    "heavy": lambda s: s.calcification >= HEAVILY_CALCIFIED,
    "stent": lambda s: s.stent,
    "restenosis": lambda s: s.stent and s.stenosis_percent >= STENOSIS_PERCENT,
    "free": is_free,
}
"""What can be said of a segment.  "free" holds of a place when it holds of all its segments, every
other finding when it holds of one of them."""


def _vessels(heart: Heart, disease: Disease) -> int:
    """Count the vessels (LAD, LCX and RCA, with their branches) that have a significant stenosis.

    The left main is none of them.
    """
    right = segments_of("right", heart)
    rest = {"left_main", *_LAD_TERRITORY, *right}
    around = tuple(s for s in SEGMENTS if s not in rest)
    return sum(
        _worst(disease, each) >= SIGNIFICANT_PERCENT for each in (_LAD_TERRITORY, around, right)
    )


def _worst(disease: Disease, segments: Sequence[str]) -> float:
    return max(disease.state(segment).stenosis_percent for segment in segments)


def _nonobstructive(disease: Disease, segments: Sequence[str]) -> bool:
    return MILD_PERCENT <= _worst(disease, segments) < STENOSIS_PERCENT


_Rule = Callable[[Heart, Disease, Sequence[str]], bool]
_OF_ANY_RUN: Final[Mapping[str, _Rule]] = {
    "normal": lambda _, disease, segments: all(is_free(disease.state(s)) for s in segments),
    "no_significant": lambda _, disease, seen: _worst(disease, seen) < SIGNIFICANT_PERCENT,
    "nonobstructive": lambda _, disease, segments: _nonobstructive(disease, segments),
    "reduced_ef": lambda _, disease, __: disease.lvef_percent < REDUCED_LVEF,
    "severely_reduced_ef": lambda _, disease, __: disease.lvef_percent < SEVERELY_REDUCED_LVEF,
    "mildly_reduced_ef": lambda _, d, __: REDUCED_LVEF <= d.lvef_percent < PRESERVED_LVEF,
    "preserved_ef": lambda _, disease, __: disease.lvef_percent >= PRESERVED_LVEF,
    "left_dominant": lambda heart, _, __: heart.dominance == "left",
    "right_dominant": lambda heart, _, __: heart.dominance == "right",
    "codominant": lambda heart, _, __: heart.dominance == "co",
}
_OF_THE_STUDY: Final[Mapping[str, _Rule]] = {
    "multivessel": lambda heart, disease, _: _vessels(heart, disease) >= 2,
    "one_vessel": lambda heart, disease, _: _vessels(heart, disease) == 1,
    "two_vessel": lambda heart, disease, _: _vessels(heart, disease) == 2,
    "three_vessel": lambda heart, disease, _: _vessels(heart, disease) == 3,
    # The bed is filled from the artery that is not occluded: no single run tells.
    "collaterals": lambda _, disease, __: any(s.cto for s in disease.segments.values()),
}


def _concepts() -> tuple[Concept, ...]:
    common = ("stenosis", "significant", "occlusion", "thrombus", "calcification", "stent")
    segment = (*common, "severe", "moderate", "mild", "cto")
    vessel = (*segment, "acute", "heavy", "restenosis", "free")
    said = {
        **dict.fromkeys(SEGMENTS, segment),
        "lad": vessel,
        "lcx": vessel,
        "rca": vessel,
        "diagonal": common,
        "marginal": common,
        "left": (*common, "cto", "free"),
        "right": (*common, "cto", "free"),
        "any": tuple(finding for finding in vessel if finding != "free"),
    }
    never = {"occlusion:left_main", "cto:left_main"}  # no phantom heart has it
    found = [
        Concept(f"{finding}:{place}", finding, place)
        for place, findings in said.items()
        for finding in findings
        if f"{finding}:{place}" not in never
    ]
    return (*found, *(Concept(name, name) for name in (*_OF_ANY_RUN, *_OF_THE_STUDY)))


CONCEPTS: Final = _concepts()
"""Every concept, in the order of every label matrix."""
BY_NAME: Final = {concept.name: concept for concept in CONCEPTS}


EVALUATION_QUERIES: Final[Mapping[str, Concept]] = {
    text: BY_NAME[name]
    for text, name in {
        "proximal LAD occlusion": "occlusion:prox_lad",
        "mid LAD severe stenosis": "severe:mid_lad",
        "proximal LAD severe stenosis": "severe:prox_lad",
        "mid RCA severe stenosis": "severe:mid_rca",
        "mid RCA occlusion": "occlusion:mid_rca",
        "proximal RCA occlusion": "occlusion:prox_rca",
        "distal RCA stenosis": "stenosis:dist_rca",
        "left main stenosis": "stenosis:left_main",
        "chronic total occlusion of the RCA": "cto:rca",
        "chronic total occlusion of the LAD": "cto:lad",
        "circumflex occlusion": "occlusion:lcx",
        "proximal circumflex severe stenosis": "severe:prox_lcx",
        "first obtuse marginal stenosis": "stenosis:om1",
        "first diagonal stenosis": "stenosis:D1",
        "PDA significant stenosis": "significant:pda",
        "calcified LAD": "calcification:lad",
        "calcification of the right coronary artery": "calcification:rca",
        "thrombus in proximal LAD": "thrombus:prox_lad",
        "thrombus in the RCA": "thrombus:rca",
        "stent in mid LCX": "stent:mid_lcx",
        "stent in the LAD": "stent:lad",
        "normal coronary arteries": "normal",
        "reduced ejection fraction": "reduced_ef",
        "left dominant circulation": "left_dominant",
        "multivessel disease": "multivessel",
        "collateral filling": "collaterals",
        "left anterior descending significant stenosis": "significant:lad",
        "any total occlusion": "occlusion:any",
    }.items()
}
"""The queries of the retrieval evaluation, and what each asks for."""


def holds(
    concept: Concept, heart: Heart, disease: Disease, *, artery: Artery | None = None
) -> bool | None:
    """Tell whether a concept holds.

    Parameters
    ----------
    concept : Concept
    heart : Heart
        An anatomy.
    disease : Disease
        What is visible, see `phantom.heart.disease.visible`.
    artery : {"left", "right"}, optional
        Ask it of a run that injects this artery; of the whole study by default.

    Returns
    -------
    bool or None
        None when a single run cannot tell.
    """
    seen = segments_of(artery or "any", heart)
    if concept.place is not None:
        of_segment = FINDINGS[concept.finding]
        asked = [segment for segment in segments_of(concept.place, heart) if segment in seen]
        found = [of_segment(disease.state(segment)) for segment in asked]
        # An artery that is not injected shows nothing, neither a finding nor its absence.
        return bool(found) and (all(found) if concept.finding == "free" else any(found))
    if concept.finding in _OF_ANY_RUN:
        return _OF_ANY_RUN[concept.finding](heart, disease, seen)
    return None if artery else _OF_THE_STUDY[concept.finding](heart, disease, seen)


def labels(heart: Heart, disease: Disease, *, artery: Artery | None = None) -> NDArray[np.int8]:
    """Tell which concepts hold.

    Parameters
    ----------
    heart, disease, artery
        As for `holds`.

    Returns
    -------
    int8 array of shape (len(CONCEPTS),)
        1 holds, 0 does not, -1 when a single run cannot tell.
    """
    found = (holds(concept, heart, disease, artery=artery) for concept in CONCEPTS)
    return np.array([-1 if each is None else each for each in found], np.int8)


def wordings(concept: Concept) -> tuple[str, ...]:
    """Return the sentences that ask for a concept in training, without repeats."""
    said = list(sayings.SAYINGS.get(concept.name, ()))
    if concept.place is not None:
        said += sayings.wordings(concept.finding, concept.place)
    return tuple(dict.fromkeys(said))


def held_out_wordings(concept: Concept) -> tuple[str, ...]:
    """Return sentences that ask for a concept and that training never shows."""
    said = list(sayings.HELD_OUT_SAYINGS.get(concept.name, ()))
    if concept.place is not None:
        said += sayings.held_out_wordings(concept.finding, concept.place)
    shown = {plain(text) for text in wordings(concept)}
    return tuple(dict.fromkeys(text for text in said if plain(text) not in shown))


def concept_of(text: str) -> Concept:
    """Return the concept that a sentence asks for.

    Raises
    ------
    NotFoundError
        It is no wording of any concept.
    """
    try:
        return BY_NAME[_names()[plain(text)]]
    except KeyError as error:
        raise NotFoundError(
            f"{text!r} is no wording of a concept of the phantoms",
            "ask as phantom.words.concepts.wordings does",
        ) from error


def plain(text: str) -> str:
    """Return a text in lower case, without accents and punctuation, words one blank apart."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.findall(r"[a-z0-9]+|[%<>]", bare.lower()))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    found: dict[str, str] = {}
    # Where two concepts share a sentence the evaluation's reading wins, then the earlier concept.
    for text, concept in EVALUATION_QUERIES.items():
        found.setdefault(plain(text), concept.name)
    for concept in CONCEPTS:
        for text in (*wordings(concept), *held_out_wordings(concept)):
            found.setdefault(plain(text), concept.name)
    return found
