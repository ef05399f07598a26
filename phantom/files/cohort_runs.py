"""The runs of a cohort: which there are, and their files, written by several processes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from phantom import ids
from phantom.files.cohort_settings import CohortSettings
from phantom.files.dicom_writer import PatientFacts, RunIdentity, write_run
from phantom.people.patients import Exam, Patient, draw_patient
from phantom.picture.acquisition import Acquisition
from phantom.picture.render import render
from phantom.processes import renderers


@dataclass(frozen=True)
class RunFile:
    """A run of a cohort and its file.

    Attributes
    ----------
    path : Path
    settings : CohortSettings
    patient : int
        Index in the cohort.
    exam, run : int
        Places among the patient's exams and the exam's runs, from 0.
    """

    path: Path
    settings: CohortSettings
    patient: int
    exam: int
    run: int


def draw(settings: CohortSettings, index: int) -> Patient:
    """Draw one patient of a cohort, with the runs as the settings want them."""
    patient = draw_patient(settings.seed, index)
    exams = tuple(
        dataclasses.replace(exam, acquisitions=_runs_of(exam, settings)) for exam in patient.exams
    )
    return dataclasses.replace(patient, exams=exams)


def run_files(out: Path, settings: CohortSettings, patient: Patient) -> Iterator[RunFile]:
    """List the files of a patient."""
    for i, exam in enumerate(patient.exams):
        for k in range(len(exam.acquisitions)):
            path = out / ids.run_file(patient.patient_id, exam.study_number, k + 1)
            yield RunFile(path, settings, patient.index, i, k)


def write_files(files: Sequence[RunFile], *, workers: int, on_done: Callable[[int], None]) -> None:
    """Render and write runs.

    Parameters
    ----------
    files : sequence of RunFile
    workers : int
        Processes; the files do not depend on it.
    on_done : callable
        Told how many are written, first 0.

    Raises
    ------
    AtlasError
        When a process was killed.
    """
    on_done(0)
    workers = min(workers, len(files))
    if workers <= 1:
        for done, file in enumerate(files, 1):
            write_file(file)
            on_done(done)
        return
    with renderers(workers) as pool:
        pending = [pool.submit(write_file, file) for file in files]
        for done, future in enumerate(as_completed(pending), 1):
            future.result()
            on_done(done)


def write_file(file: RunFile) -> None:
    """Render a run and write it, whole or not at all."""
    patient = _drawn_here(file.settings, file.patient)
    exam = patient.exams[file.exam]
    acquisition = exam.acquisitions[file.run]
    frames = render(patient.anatomy, exam.disease, acquisition, size=file.settings.size)
    file.path.parent.mkdir(parents=True, exist_ok=True)
    write_run(
        file.path,
        frames,
        patient=PatientFacts(
            patient.patient_id, f"PHANTOM^{patient.index:05d}", patient.sex, patient.birth_date
        ),
        run=_identity(patient, exam, file.run),
        acquisition=acquisition,
        transfer_syntax=file.settings.transfer_syntax,
    )


# The runs of a patient come one after the other: each process draws the patient once.
_drawn_here = lru_cache(maxsize=2)(draw)


def starts(exam: Exam) -> list[dt.datetime]:
    """Return when each run of an exam began: after 8 o'clock, about a minute apart.

    Only their order means anything.
    """
    first = exam.acquisitions[0].seed % 480
    moment = dt.datetime.combine(exam.date, dt.time(8)) + dt.timedelta(minutes=first)
    moments = []
    for acquisition in exam.acquisitions:
        moments.append(moment)
        moment += dt.timedelta(seconds=45 + acquisition.seed % 60)
    return moments


def _identity(patient: Patient, exam: Exam, position: int) -> RunIdentity:
    who = (patient.seed, patient.index, exam.study_number, position + 1)
    moments = starts(exam)
    return RunIdentity(
        study_uid=exam.study_uid,
        series_uid=ids.series_uid(*who),
        sop_uid=ids.sop_uid(*who),
        study_number=exam.study_number,
        run_number=position + 1,
        study_started=moments[0],
        started=moments[position],
    )


def _runs_of(exam: Exam, settings: CohortSettings) -> tuple[Acquisition, ...]:
    kept = list(exam.acquisitions)
    while settings.runs is not None and len(kept) > settings.runs:
        # The last one of the artery that has the more: both stay in.
        sides = [each.artery for each in kept]
        more = max(sides, key=sides.count)
        del kept[len(kept) - 1 - sides[::-1].index(more)]
    return tuple(_at_rate(each, settings.fps) for each in kept)


def _at_rate(acquisition: Acquisition, fps: float | None) -> Acquisition:
    """Take a run at another frame rate: as long, of as many frames as then fit."""
    if fps is None:
        return acquisition
    lasts_s = acquisition.n_frames * acquisition.frame_time_ms / 1000
    return dataclasses.replace(
        acquisition, n_frames=max(2, round(lasts_s * fps)), frame_time_ms=1000 / fps
    )
