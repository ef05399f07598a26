"""Phantoms chosen by their truth: exams to embed, and exams like them to ask with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phantom.files.cohort_runs import draw, run_files, write_files
from phantom.files.cohort_settings import CohortSettings
from phantom.heart.disease import visible
from phantom.people.patients import Patient

SETTINGS = CohortSettings(patients=1000, seed=3905, size=64, fps=8.0, runs=2)
"""As small as the phantoms get that the encoder still tells apart."""
KINDS = {frozenset({"prox_lad"}): "LAD", frozenset(): "open"} | {
    frozenset(each): "RCA" for each in (("prox_rca",), ("mid_rca",))
}
"""By what is occluded, of four segments: nothing else is."""
_LOOKED_AT = ("prox_lad", "prox_lcx", "prox_rca", "mid_rca")


@dataclass(frozen=True)
class PhantomExam:
    """The first exam of a phantom.

    Attributes
    ----------
    kind : str
        A value of `KINDS`.
    patient_id, study_uid : str
    files : tuple of Path
    """

    kind: str
    patient_id: str
    study_uid: str
    files: tuple[Path, ...]


def write_exams(folder: Path, new: Path, *, each: int, more: int) -> Iterator[PhantomExam]:
    """Write so many exams of each kind, and some more of them into another folder.

    They are the first of the cohort: nobody has looked which are found easily.
    """
    left = dict.fromkeys(KINDS.values(), each + more)
    index = 0
    while any(left.values()):
        patient = draw(SETTINGS, index)
        index += 1
        kind = _kind(patient)
        if kind is None or not left[kind]:
            continue
        out = folder if left[kind] > more else new
        left[kind] -= 1
        runs = [run for run in run_files(out, SETTINGS, patient) if run.exam == 0]
        write_files(runs, workers=1, on_done=lambda done: None)
        paths = tuple(run.path for run in runs)
        yield PhantomExam(kind, patient.patient_id, patient.exams[0].study_uid, paths)


def _kind(patient: Patient) -> str | None:
    seen = visible(patient.anatomy, patient.exams[0].disease)
    occluded = frozenset(name for name in _LOOKED_AT if seen.state(name).occluded)
    return KINDS.get(occluded)
