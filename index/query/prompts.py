"""Sentences for a text encoder: several wordings of one statement, whose mean is steadier than one.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
average the vectors of several wordings of a class; so is it done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.segments import SEGMENTS
from index.query.places import Place
from index.query.statement import Comparison, Statement
from index.query.vocabulary import Finding, Severity

MOST: Final = 8
"""Sentences of a statement, at most."""
_ANYWHERE: Final = "coronary artery"
_LONG: Final[Mapping[str, str]] = {
    "LAD": "left anterior descending artery",
    "LCX": "left circumflex artery",
    "RCA": "right coronary artery",
    "PDA": "posterior descending artery",
}
_VESSEL_NAMES: Final[Mapping[str, str]] = {
    **{"LCX": "circumflex", "diagonal": "diagonal branch", "marginal": "obtuse marginal"},
    "left coronary": "left coronary artery",
}

# fmt: off
_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "stenosis": (
        "{} stenosis", "stenosis of the {}", "{} lesion", "narrowing of the {}",
        "obstructive {} disease", "the {} has a stenosis",
    ),
    "mild": (
        "{} mild stenosis", "mild stenosis of the {}", "mild {} disease", "minor {} lesion",
        "the {} has mild stenosis",
    ),
    "moderate": (
        "{} moderate stenosis", "moderate stenosis of the {}", "moderate {} lesion",
        "intermediate stenosis of the {}", "the {} has moderate stenosis",
    ),
    "severe": (
        "{} severe stenosis", "severe stenosis of the {}", "tight {} lesion",
        "high-grade {} stenosis", "the {} has severe stenosis",
    ),
    "critical": (
        "critical {} stenosis", "{} severe stenosis", "subtotal {} stenosis",
        "critical lesion in the {}", "the {} has critical stenosis",
    ),
    "significant": (
        "{} significant stenosis", "significant {} stenosis", "significant stenosis of the {}",
        "{} stenosis of 70% or more", "significant {} disease",
    ),
    Finding.OCCLUSION: (
        "{} occlusion", "occlusion of the {}", "total {} occlusion", "occluded {}",
        "complete occlusion of the {}", "{} total occlusion",
    ),
    "acute": (
        "acute {} occlusion", "acute occlusion of the {}", "acutely occluded {}",
        "{} acute total occlusion", "acute thrombotic occlusion of the {}",
    ),
    Finding.CTO: (
        "chronic total occlusion of the {}", "{} chronic total occlusion", "CTO of the {}",
        "{} CTO", "chronically occluded {}",
    ),
    Finding.THROMBUS: (
        "thrombus in {}", "thrombus in the {}", "{} thrombus", "filling defect in the {}",
        "thrombotic {} lesion", "clot in the {}",
    ),
    Finding.CALCIFICATION: (
        "calcified {}", "calcification of the {}", "{} calcification", "calcified lesion in the {}",
        "calcium in the {}",
    ),
    "heavy": (
        "heavily calcified {}", "heavy calcification of the {}", "severe {} calcification",
        "severely calcified {}",
    ),
    Finding.STENT: (
        "stent in {}", "stent in the {}", "{} stent", "stented {}", "coronary stent in the {}",
    ),
    Finding.RESTENOSIS: (
        "in-stent restenosis of the {}", "{} in-stent restenosis", "{} ISR",
        "restenosis in the {} stent",
    ),
    Finding.BIFURCATION: (
        "bifurcation lesion of the {}", "{} bifurcation stenosis",
        "stenosis of the {} at the bifurcation", "bifurcation disease involving the {}",
    ),
    Finding.DIFFUSE: (
        "diffuse disease of the {}", "diffusely diseased {}", "diffuse {} disease",
        "long diffuse stenosis of the {}",
    ),
    "free": (
        "normal {}", "{} normal", "{} free of disease", "{} without disease", "healthy {}",
    ),
    "physiology positive": (
        "flow-limiting {} lesion", "hemodynamically significant {} stenosis",
        "{} stenosis with positive FFR", "significant {} stenosis",
    ),
    "physiology negative": (
        "{} stenosis that is not flow-limiting", "{} stenosis with negative FFR",
        "moderate {} stenosis", "intermediate stenosis of the {}",
    ),
    "flow 0": (
        "no flow in the {}", "{} occlusion", "TIMI 0 flow in the {}", "totally occluded {}",
    ),
    "flow slow": (
        "slow flow in the {}", "reduced flow in the {}", "impaired flow of the {}",
        "slow filling of the {}",
    ),
    "flow 3": (
        "normal flow in the {}", "TIMI 3 flow in the {}", "patent {}", "open {}",
    ),
    Finding.GRAFT: (
        "bypass graft to the {}", "graft to the {}", "coronary artery bypass graft to the {}",
        "{} graft",
    ),
}
_WHOLE: Final[Mapping[str, tuple[str, ...]]] = {
    "occlusion anywhere": (
        "any total occlusion", "total occlusion", "coronary occlusion", "any occlusion",
        "occluded coronary artery",
    ),
    "normal": (
        "normal coronary arteries", "normal coronaries", "normal coronary angiogram",
        "angiographically normal coronary arteries", "no coronary artery disease",
    ),
    "no significant stenosis": (
        "no significant stenosis", "no significant coronary artery disease",
        "no significant lesion", "absence of significant stenosis",
    ),
    "nonobstructive": (
        "nonobstructive coronary artery disease", "non-obstructive CAD", "only mild lesions",
        "minor luminal irregularities",
    ),
    "dominance left": (
        "left dominant circulation", "left dominance", "left-dominant system",
        "left coronary dominance", "dominant circumflex",
    ),
    "dominance right": (
        "right dominant circulation", "right dominance", "right-dominant system",
        "right coronary dominance", "dominant RCA",
    ),
    "dominance co": (
        "codominant circulation", "co-dominant circulation", "balanced circulation", "codominance",
    ),
    "vessels multi": (
        "multivessel disease", "multivessel coronary artery disease", "multi-vessel disease",
        "disease of several vessels", "multivessel CAD",
    ),
    "vessels one": (
        "one-vessel disease", "single-vessel disease", "single vessel disease", "1-vessel disease",
    ),
    "vessels two": (
        "two-vessel disease", "double vessel disease", "2-vessel disease", "two vessel disease",
    ),
    "vessels three": (
        "three-vessel disease", "triple vessel disease", "3-vessel disease",
        "three vessel disease",
    ),
    Finding.COLLATERALS: (
        "collateral filling", "collaterals", "collateral circulation", "collateral flow",
        "retrograde collateral filling",
    ),
    "lvef severely reduced": (
        "severely reduced ejection fraction", "EF below 30", "LVEF < 30%",
        "severe left ventricular dysfunction",
    ),
    "lvef reduced": (
        "reduced ejection fraction", "reduced EF", "low ejection fraction", "LVEF below 40",
        "left ventricular dysfunction",
    ),
    "lvef mildly reduced": (
        "mildly reduced ejection fraction", "LVEF 40-49%", "EF 45%",
        "mild left ventricular dysfunction",
    ),
    "lvef preserved": (
        "preserved ejection fraction", "normal ejection fraction", "LVEF above 50",
        "normal left ventricular function",
    ),
}
# fmt: on
_LVEF_BINS: Final = ((30.0, "severely reduced"), (40.0, "reduced"), (50.0, "mildly reduced"))


def prompts_of(statement: Statement) -> tuple[str, ...]:
    """Return sentences that say what a statement says, as if it were not negated.

    Returns
    -------
    tuple of str
        Up to `MOST`, in English; empty for what no picture shows: age, sex and view.
    """
    if statement.finding in (Finding.AGE, Finding.SEX, Finding.VIEW):
        return ()
    whole = _whole(statement)
    if whole is not None:
        return _WHOLE[whole]
    forms = _FORMS[_form(statement)]
    names = _names(statement.place)
    said = [form.format(names[i % len(names)]) for i, form in enumerate(forms * len(names))]
    percent = _percent(statement.value, names[0]) if statement.severity else ()
    said = [*said[: MOST - len(percent)], *percent]
    return tuple(dict.fromkeys(said))


def absence_of(statement: Statement) -> tuple[str, ...]:
    """Return sentences that say that a place is free of disease; empty for any other absence."""
    if statement.place is None or statement.finding is not Finding.DISEASE:
        return ()
    return tuple(
        form.format(name) for name in _names(statement.place)[:2] for form in _FORMS["free"]
    )[:MOST]


def _whole(statement: Statement) -> str | None:
    """Return the key of what is said of the whole heart."""
    finding = statement.finding
    if finding is Finding.NORMAL:
        return statement.detail or "normal"
    if finding is Finding.DOMINANCE:
        return f"dominance {statement.detail}"
    if finding is Finding.VESSELS:
        return f"vessels {statement.detail}"
    if finding is Finding.COLLATERALS:
        return finding
    if finding is Finding.LVEF:
        return f"lvef {_lvef(statement.value)}"
    if finding is Finding.OCCLUSION and statement.place is None and not statement.detail:
        return "occlusion anywhere"
    return None


def _form(statement: Statement) -> str:
    finding = statement.finding
    if finding is Finding.STENOSIS:
        return statement.detail or _graded(statement.severity)
    if finding is Finding.DISEASE:
        return "stenosis"
    if finding is Finding.PHYSIOLOGY:
        return f"physiology {statement.detail or 'positive'}"
    if finding is Finding.FLOW:
        grade = 0.0 if statement.value is None else statement.value.value
        return "flow 0" if grade < 1 else "flow 3" if grade >= 3 else "flow slow"
    if statement.detail in ("acute", "heavy"):
        return statement.detail
    return finding


def _graded(severity: Severity | None) -> str:
    return "stenosis" if severity in (None, Severity.NONE) else str(severity)


def _lvef(value: Comparison | None) -> str:
    """Return the word for an ejection fraction: of the middle of a range, of the end of a bound."""
    if value is None:
        return "reduced"
    if value.operator in (">", ">="):
        return "preserved"
    middle = value.value if value.upper is None else (value.value + value.upper) / 2
    if value.operator in ("<", "<="):
        return "severely reduced" if middle <= _LVEF_BINS[0][0] else "reduced"
    return next((word for below, word in _LVEF_BINS if middle < below), "preserved")


def _percent(value: Comparison | None, name: str) -> tuple[str, ...]:
    if value is None or value.is_bound:
        return ()
    return (f"{name} {value.value:g}% stenosis", f"{value.value:g}% stenosis of the {name}")


def _names(place: Place | None) -> list[str]:
    """Return what to call a place; several where it is several segments."""
    if place is None:
        return [_ANYWHERE]
    if place.parts:
        return [name for part in place.parts for name in _names(part)[:1]]
    if place.is_vessel:
        short = _VESSEL_NAMES.get(place.name, place.name)
        return [short, _LONG[place.name]] if place.name in _LONG else [short]
    if len(place.segments) > 1:
        return [SEGMENTS[segment] for segment in place.segments]
    short = SEGMENTS[place.segments[0]]
    level, _, vessel = short.rpartition(" ")
    return [short, f"{level} {_LONG[vessel]}"] if vessel in _LONG else [short]
