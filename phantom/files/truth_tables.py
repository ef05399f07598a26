"""Read the truth of a cohort back from its tables: what every study can show."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import StoreError
from core.segments import SEGMENTS
from phantom.heart.disease import Disease, SegmentState
from phantom.words.concepts import CALCIFIED, MILD_PERCENT, REDUCED_LVEF

_TRUE, _FALSE = ("true", "1"), ("false", "0")


@dataclass(frozen=True)
class StudyTruth:
    """What is true of one study and can be seen in it.

    Attributes
    ----------
    study_uid, patient_id : str
    dominance : {"right", "left", "co"}
    disease : Disease
        As far as pictures can show it.
    log_hazard : float
        Log of the hazard of MACE per year after the study.
    """

    study_uid: str
    patient_id: str
    dominance: str
    disease: Disease
    log_hazard: float


def read_truth(folder: Path) -> dict[str, StudyTruth]:
    """Read ``studies.csv`` and ``segments.csv`` of a cohort's folder ``truth``.

    Returns
    -------
    dict of str to StudyTruth
        By study UID, in the order of the table.

    Raises
    ------
    StoreError
        When a table cannot be read.
    """
    try:
        segments: dict[str, dict[str, SegmentState]] = {}
        for row in _rows(folder / "segments.csv"):
            segments.setdefault(row["study_uid"], {})[row["segment"]] = _state(row)
        return {
            row["study_uid"]: StudyTruth(
                row["study_uid"],
                row["patient_id"],
                row["dominance"],
                Disease(segments.get(row["study_uid"], {}), float(row["lvef_percent"])),
                float(row["log_hazard"]),
            )
            for row in _rows(folder / "studies.csv")
        }
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(
            f"the truth of the cohort in {folder} cannot be read: {error}",
            "write the cohort again into a new folder",
        ) from error


def in_words(truth: StudyTruth, *, most: int = 4) -> str:
    """Return the findings of a study in a few words, the gravest first.

    Parameters
    ----------
    truth : StudyTruth
    most : int
        Findings to name; the others are counted.
    """
    disease = truth.disease
    found = sorted(
        (segment for segment in SEGMENTS if _finding(disease.state(segment))),
        key=lambda segment: -_gravity(disease.state(segment)),
    )
    said = [f"{SEGMENTS[segment]} {_finding(disease.state(segment))}" for segment in found]
    more = len(said) - most
    parts = [*said[:most], *([f"{more} more"] if more > 0 else [])] or ["normal coronary arteries"]
    if disease.lvef_percent < REDUCED_LVEF:
        parts.append(f"LVEF {disease.lvef_percent:.0f} %")
    if truth.dominance != "right":
        parts.append("codominant" if truth.dominance == "co" else "left dominant")
    return ", ".join(parts)


def _finding(state: SegmentState) -> str:
    if state.occluded:
        said = ["CTO" if state.cto else "occlusion"]
    else:
        percent = state.stenosis_percent
        said = [f"{percent:.0f} %"] if percent >= MILD_PERCENT else []
    said += ["thrombus"] if state.thrombus else []
    said += ["stent"] if state.stent else []
    said += ["calcified"] if state.calcification >= CALCIFIED else []
    return " + ".join(said)


def _gravity(state: SegmentState) -> float:
    """Order findings: by narrowing, and of what does not narrow thrombus, stent, calcium."""
    return state.stenosis_percent + 3 * state.thrombus + 2 * state.stent + state.calcification


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _state(row: Mapping[str, str]) -> SegmentState:
    state = SegmentState(
        stenosis_percent=float(row["stenosis_percent"]),
        cto=_is_true(row["cto"]),
        thrombus=_is_true(row["thrombus"]),
        calcification=float(row["calcification"]),
        stent=_is_true(row["stent"]),
    )
    if _is_true(row["visible"]):
        return state
    # Behind an occlusion nothing is filled; calcium and stents are seen all the same.
    return replace(state, stenosis_percent=0.0, cto=False, thrombus=False)


def _is_true(text: str) -> bool:
    if text.casefold() not in (*_TRUE, *_FALSE):
        raise ValueError(f"expected true or false, found {text!r}")
    return text.casefold() in _TRUE
