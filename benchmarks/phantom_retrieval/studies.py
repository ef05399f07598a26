"""Which studies are looked at: named by numbers, drawn again wherever they are needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from phantom.heart.disease import visible
from phantom.people.patients import Patient, draw_patient
from phantom.picture.acquisition import Acquisition
from phantom.training.dataset import PhantomStudy, SetSettings, draw_study

JITTER_DEG = (2.0, 2.0)
"""How exactly a view is set again at a follow-up."""


@dataclass(frozen=True)
class StudySpec:
    """A study.

    Attributes
    ----------
    seed, index : int
        Cohort and place in it.
    exam : int
        Of a patient over time, from 1; 0 is a single study of the natural mix.
    views_of : int
        The exam whose views are taken, with new bolus, noise and breath; 0 is its own.
    field_of_view_mm, seconds, frame_time_ms : float or None
        In place of what was drawn.
    """

    seed: int
    index: int
    exam: int = 0
    views_of: int = 0
    field_of_view_mm: float | None = None
    seconds: float | None = None
    frame_time_ms: float | None = None


def draw(spec: StudySpec) -> PhantomStudy:
    """Draw a study."""
    if spec.exam == 0:
        as_seen = SetSettings(spec.seed, 0, enriched_share=0.0, spread_share=0.0)
        single = draw_study(as_seen, spec.index)
        anatomy, disease, runs = single.anatomy, single.disease, single.acquisitions
    else:
        patient = patient_of(spec.seed, spec.index)
        exam = patient.exams[spec.exam - 1]
        anatomy, disease, runs = patient.anatomy, exam.disease, exam.acquisitions
        if spec.views_of:
            runs = again(patient.exams[spec.views_of - 1].acquisitions, spec)
    changed = tuple(_changed(run, spec) for run in runs)
    return PhantomStudy(anatomy, disease, visible(anatomy, disease), changed)


@lru_cache(maxsize=256)
def patient_of(seed: int, index: int) -> Patient:
    """Draw a patient, once."""
    return draw_patient(seed, index)


def again(runs: tuple[Acquisition, ...], spec: StudySpec) -> tuple[Acquisition, ...]:
    """Return the same views, set again on another day."""
    rng = np.random.default_rng([spec.seed, spec.index, spec.exam])
    return tuple(
        replace(
            run,
            primary_deg=run.primary_deg + float(rng.normal(0, JITTER_DEG[0])),
            secondary_deg=run.secondary_deg + float(rng.normal(0, JITTER_DEG[1])),
            heart_rate_bpm=float(np.clip(run.heart_rate_bpm + rng.normal(0, 8), 50, 110)),
            seed=int(rng.integers(2**60)),
        )
        for run in runs
    )


def _changed(run: Acquisition, spec: StudySpec) -> Acquisition:
    seconds = spec.seconds or run.n_frames * run.frame_time_ms / 1000
    frame_time_ms = spec.frame_time_ms or run.frame_time_ms
    return replace(
        run,
        field_of_view_mm=spec.field_of_view_mm or run.field_of_view_mm,
        frame_time_ms=frame_time_ms,
        n_frames=max(2, round(1000 * seconds / frame_time_ms)),
    )
