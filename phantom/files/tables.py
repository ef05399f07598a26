"""The tables of a cohort: labels, as a hospital would have them, and the whole truth.

One dataclass is one table, its fields are the columns.  Dates are ISO 8601, truth values 1 and 0,
rows in the order of patients, exams and time.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.segments import SEGMENTS
from phantom import ids
from phantom.heart.disease import visible
from phantom.people.hazard import MACE
from phantom.people.measurements import measure
from phantom.people.patients import Patient
from phantom.seeds import Purpose, generator
from phantom.words.reports import LANGUAGE, report

SOURCE: Final = "phantom"
"""Where every event is from."""


@dataclass(frozen=True)
class ReportRow:
    """labels/reports.csv."""

    study_uid: str
    patient_id: str
    text: str
    language: str


@dataclass(frozen=True)
class EventRow:
    """labels/events.csv."""

    patient_id: str
    date: dt.date
    kind: str
    source: str


@dataclass(frozen=True)
class FollowUpRow:
    """labels/follow_up.csv."""

    patient_id: str
    last_known_date: dt.date
    status: str


@dataclass(frozen=True)
class MeasurementRow:
    """labels/measurements.csv."""

    id: str
    patient_id: str
    study_uid: str
    date: dt.date
    name: str
    value: int
    unit: str
    method: str


@dataclass(frozen=True)
class ProcedureRow:
    """labels/procedures.csv; several segments have spaces between them."""

    id: str
    patient_id: str
    date: dt.date
    kind: str
    segments: str


@dataclass(frozen=True)
class CovariateRow:
    """labels/covariates.csv."""

    id: str
    patient_id: str
    date: dt.date
    name: str
    value: str


@dataclass(frozen=True)
class PatientTruth:
    """truth/patients.csv; the first MACE is empty where there was none."""

    patient_id: str
    sex: str
    birth_date: dt.date
    dominance: str
    ramus: bool
    diabetes: bool
    exams: int
    first_exam_date: dt.date
    first_mace_date: dt.date | None
    first_mace_kind: str
    last_known_date: dt.date
    status: str


@dataclass(frozen=True)
class StudyTruth:
    """truth/studies.csv; see `phantom.people.patients.Exam`."""

    study_uid: str
    patient_id: str
    exam: int
    date: dt.date
    age_years: float
    presentation: str
    dominance: str
    lvef_percent: float
    unchanged: bool
    true_change: float
    burden: float
    log_hazard: float
    one_year_risk: float


@dataclass(frozen=True)
class SegmentTruth:
    """truth/segments.csv: one row for each segment that the heart has, healthy ones too.

    The state is the true one.  Where `visible` is 0, its stenosis, occlusion and thrombus cannot be
    seen, for contrast does not get there; calcium and stents can.
    """

    study_uid: str
    segment: str
    stenosis_percent: float
    cto: bool
    thrombus: bool
    calcification: float
    stent: bool
    visible: bool


@dataclass(frozen=True)
class RunTruth:
    """truth/runs.csv."""

    sop_uid: str
    study_uid: str
    file: str
    artery: str
    primary_angle_deg: float
    secondary_angle_deg: float
    field_of_view_mm: float
    frame_time_ms: float
    n_frames: int


Row = (
    ReportRow
    | EventRow
    | FollowUpRow
    | MeasurementRow
    | ProcedureRow
    | CovariateRow
    | PatientTruth
    | StudyTruth
    | SegmentTruth
    | RunTruth
)

TABLES: Final[dict[type[Row], str]] = {
    ReportRow: "labels/reports.csv",
    EventRow: "labels/events.csv",
    FollowUpRow: "labels/follow_up.csv",
    MeasurementRow: "labels/measurements.csv",
    ProcedureRow: "labels/procedures.csv",
    CovariateRow: "labels/covariates.csv",
    PatientTruth: "truth/patients.csv",
    StudyTruth: "truth/studies.csv",
    SegmentTruth: "truth/segments.csv",
    RunTruth: "truth/runs.csv",
}
"""The file of each table in a cohort's folder."""

_DECIMALS = 4


def write_tables(out: Path, patients: Sequence[Patient]) -> None:
    """Write every table of a cohort, each file whole or not at all.

    Parameters
    ----------
    out : Path
        The cohort's folder.
    patients : sequence of Patient
        In the order of the tables.
    """
    rows: dict[type[Row], list[Row]] = {kind: [] for kind in TABLES}
    for patient in patients:
        for row in rows_of(patient):
            rows[type(row)].append(row)
    for kind, name in TABLES.items():
        _put(out / name, table_text(kind, rows[kind]))


def table_text(kind: type[Row], rows: Iterable[Row]) -> str:
    """Return a table as CSV: a first line of column names, lines ending in a line feed."""
    columns = [field.name for field in dataclasses.fields(kind)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(getattr(row, column)) for column in columns] for row in rows)
    return text.getvalue()


def rows_of(patient: Patient) -> Iterator[Row]:
    """Yield every row of a patient, those of one table in their order."""
    yield from _history(patient)
    yield from _measurements(patient)
    yield from _covariates(patient)
    yield _patient_truth(patient)
    for exam in patient.exams:
        rng = generator(patient.seed, patient.index, Purpose.REPORTS, exam.study_number)
        text = report(patient.anatomy, exam.disease, rng=rng)
        yield ReportRow(exam.study_uid, patient.patient_id, text, LANGUAGE)
    yield from _study_truth(patient)


def _history(patient: Patient) -> Iterator[Row]:
    who = patient.patient_id
    for event in patient.events:
        yield EventRow(who, event.date, event.kind, SOURCE)
    yield FollowUpRow(who, patient.follow_up.last_known_date, patient.follow_up.status)
    for n, procedure in enumerate(patient.procedures, 1):
        where = " ".join(procedure.segments)
        yield ProcedureRow(f"{who}-procedure-{n}", who, procedure.date, procedure.kind, where)


def _measurements(patient: Patient) -> Iterator[Row]:
    who, n = patient.patient_id, 0
    for exam in patient.exams:
        for found in measure(patient, exam):
            n += 1
            yield MeasurementRow(
                id=f"{who}-measurement-{n}",
                patient_id=who,
                study_uid=exam.study_uid,
                unit="%",
                **vars(found),
            )


def _covariates(patient: Patient) -> Iterator[Row]:
    who, first = patient.patient_id, patient.exams[0].date
    known: list[tuple[dt.date, str, object]] = [
        (first, name, value) for name, value in vars(patient.risk).items()
    ]
    known.append((first, "prior_mi", patient.prior_mi))
    known += [(exam.date, "presentation", exam.presentation) for exam in patient.exams]
    for n, (date, name, value) in enumerate(known, 1):
        yield CovariateRow(f"{who}-covariate-{n}", who, date, name, str(_cell(value)))


def _patient_truth(patient: Patient) -> PatientTruth:
    mace = next((event for event in patient.events if event.kind in MACE), None)
    return PatientTruth(
        patient_id=patient.patient_id,
        sex=patient.sex,
        birth_date=patient.birth_date,
        dominance=patient.anatomy.dominance,
        ramus="bx" in patient.anatomy.segments,
        diabetes=patient.risk.diabetes,
        exams=len(patient.exams),
        first_exam_date=patient.exams[0].date,
        first_mace_date=mace.date if mace else None,
        first_mace_kind=mace.kind if mace else "",
        last_known_date=patient.follow_up.last_known_date,
        status=patient.follow_up.status,
    )


def _study_truth(patient: Patient) -> Iterator[Row]:
    for exam in patient.exams:
        yield StudyTruth(
            study_uid=exam.study_uid,
            patient_id=patient.patient_id,
            exam=exam.study_number,
            date=exam.date,
            age_years=exam.age_years,
            presentation=exam.presentation,
            dominance=patient.anatomy.dominance,
            lvef_percent=exam.disease.lvef_percent,
            unchanged=exam.unchanged,
            true_change=exam.true_change,
            burden=exam.burden,
            log_hazard=exam.log_hazard,
            one_year_risk=exam.one_year_risk,
        )
        seen = visible(patient.anatomy, exam.disease)
        for segment in SEGMENTS:
            if segment in patient.anatomy.segments:
                state = exam.disease.state(segment)
                yield SegmentTruth(
                    study_uid=exam.study_uid,
                    segment=segment,
                    stenosis_percent=state.stenosis_percent,
                    cto=state.cto,
                    thrombus=state.thrombus,
                    calcification=state.calcification,
                    stent=state.stent,
                    visible=seen.state(segment) == state,
                )
        for run, acquisition in enumerate(exam.acquisitions, 1):
            yield RunTruth(
                sop_uid=ids.sop_uid(patient.seed, patient.index, exam.study_number, run),
                study_uid=exam.study_uid,
                file=ids.run_file(patient.patient_id, exam.study_number, run),
                artery=acquisition.artery,
                primary_angle_deg=acquisition.primary_deg,
                secondary_angle_deg=acquisition.secondary_deg,
                field_of_view_mm=acquisition.field_of_view_mm,
                frame_time_ms=acquisition.frame_time_ms,
                n_frames=acquisition.n_frames,
            )


def _cell(value: object) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return round(value, _DECIMALS)
    return value.isoformat() if isinstance(value, dt.date) else value


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(file)
