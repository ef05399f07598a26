"""What describes a movie: a row of a table, in the place of a DICOM header.

AVI and MP4 files name neither patient nor study.  A table of one row a movie does; its columns are
called as in DICOM, or as the published model's scripts call them.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from core.delimited import Row, bad_cell, read_rows
from core.errors import UsageError
from core.schema import View
from core.uris import uri_of
from embedder.dicom.describe import FRAME_TIME_MS, MAX_AGE_YEARS, age_years, date, known_patient
from embedder.dicom.describe import time as time_of_day
from embedder.dicom.header import is_uid
from embedder.dicom.view import MAX_PRIMARY_DEG, MAX_SECONDARY_DEG, view_from_angles

PATH, STUDY, PATIENT, SOP = "FileName", "StudyInstanceUID", "PatientID", "SOPInstanceUID"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    PATH: (PATH, "path"),
    STUDY: (STUDY, "study_uid"),
    PATIENT: (PATIENT, "patient_id", "Patient_ID", "ss_patient_id"),
    SOP: (SOP, "sop_uid"),
    "SeriesInstanceUID": ("SeriesInstanceUID", "series_uid"),
    "StudyDate": ("StudyDate", "study_date"),
    "SeriesTime": ("SeriesTime", "SeriesTimes", "series_time"),
    "InstanceNumber": ("InstanceNumber", "instance_number"),
    "primary_angle": ("primary_angle", "PositionerPrimaryAngle"),
    "secondary_angle": ("secondary_angle", "PositionerSecondaryAngle"),
    "view_class": ("view_class",),
    "PatientSex": ("PatientSex", "patient_sex"),
    "PatientAge": ("PatientAge", "patient_age"),
    "fps": ("fps",),
}
"""The columns, with the names that a table may use for them, whatever the case."""
MAX_ROWS = 1_000_000
_UNSAID = frozenset({"", "nan", "none", "null", "nat", "na", "n/a"})
_VIEWS = {view.value.casefold(): view for view in View}
_CLOCK = re.compile(r"(\d{1,6})(\.\d+)?")

T = TypeVar("T")


@dataclass(frozen=True)
class MovieRow:
    """One movie as its table describes it; see `core.schema.Cine` for the fields.

    `sop_uid` is empty where the table has none, `frame_time_ms` None where the movie decides.
    """

    study_uid: str
    sop_uid: str
    series_uid: str
    patient_id: str = field(repr=False)
    patient_known: bool
    patient_sex: str | None
    patient_age_years: float | None
    study_date: dt.date | None
    series_time: str | None
    instance_number: int | None
    view: View
    primary_angle_deg: float | None
    secondary_angle_deg: float | None
    frame_time_ms: float | None

    def says(self) -> dict[str, Any]:
        """Return the fields of a `Cine` that the table decides; the movie tells the others."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)}
        unsaid = {"sop_uid": "", "frame_time_ms": None}
        return {name: value for name, value in facts.items() if unsaid.get(name, ...) != value}


def read_movie_rows(path: Path) -> dict[str, MovieRow]:
    """Read a table of movies.

    Parameters
    ----------
    path : Path
        CSV, see `core.delimited`, with the columns `FileName` and `StudyInstanceUID` at least.  A
        relative file name counts from the table's folder.

    Returns
    -------
    dict of str to MovieRow
        By the movie's uri.

    Raises
    ------
    UsageError
        When the table cannot be used: file, line, column, what was expected and found.
    """
    rows: dict[str, MovieRow] = {}
    lines: dict[str, int] = {}
    for row in read_rows(path, COLUMNS):
        missing = [name for name in (PATH, STUDY) if name not in row.cells]
        if missing:
            raise UsageError(
                f"{path}: expected the columns {PATH} and {STUDY}, found no "
                f"{' and no '.join(missing)}",
                "name the columns in the first line",
            )
        if len(rows) == MAX_ROWS:
            raise UsageError(f"{path} has more than {MAX_ROWS} rows", "split the table")
        cells = _Cells(path, row)
        uri = uri_of(path.parent / cells.needed(PATH, "a path", lambda text: text))
        if uri in lines:
            raise UsageError(
                f"{path}, lines {lines[uri]} and {row.line}: expected one row a movie, found the "
                "same file twice",
                "leave one of them out",
            )
        lines[uri] = row.line
        rows[uri] = _movie_row(cells)
    if not rows:
        raise UsageError(f"{path} has no rows", f"it needs the columns {PATH} and {STUDY}")
    return rows


class _Cells:
    """The cells of one row, read with an error that says where."""

    def __init__(self, path: Path, row: Row) -> None:
        self._path = path
        self._row = row

    def read(self, column: str, expected: str, convert: Callable[[str], T | None]) -> T | None:
        """Convert a cell; None when it is empty, an error when it cannot be converted."""
        text = self._row.cells.get(column, "")
        if text.casefold() in _UNSAID:
            return None
        value = convert(text)
        if value is None:
            raise bad_cell(self._path, self._row.line, column, expected, text)
        return value

    def needed(self, column: str, expected: str, convert: Callable[[str], T | None]) -> T:
        """Convert a cell that must not be empty."""
        value = self.read(column, expected, convert)
        if value is None:
            raise bad_cell(self._path, self._row.line, column, expected, "")
        return value


def _movie_row(cells: _Cells) -> MovieRow:
    patient_id, known = known_patient(cells.read(PATIENT, "an id", str) or "")
    primary = cells.read("primary_angle", "degrees, -180 to 180", _within(MAX_PRIMARY_DEG))
    secondary = cells.read("secondary_angle", "degrees, -90 to 90", _within(MAX_SECONDARY_DEG))
    view = cells.read("view_class", "one of the twelve views, such as LAO Cranial", _view)
    return MovieRow(
        study_uid=cells.needed(STUDY, "a UID", _uid),
        sop_uid=cells.read(SOP, "a UID", _uid) or "",
        series_uid=cells.read("SeriesInstanceUID", "a UID", _uid) or "",
        patient_id=patient_id,
        patient_known=known,
        patient_sex=cells.read("PatientSex", "M, F or O", _sex),
        patient_age_years=cells.read("PatientAge", "years, or a DICOM age such as 063Y", _age),
        study_date=cells.read("StudyDate", "a date, YYYYMMDD", lambda text: date(_whole(text))),
        series_time=cells.read("SeriesTime", "a time, HHMMSS", _clock),
        instance_number=cells.read("InstanceNumber", "a whole number", _integer),
        view=view or view_from_angles(primary, secondary),
        primary_angle_deg=primary,
        secondary_angle_deg=secondary,
        frame_time_ms=cells.read("fps", "frames a second", _frame_time_ms),
    )


def _uid(text: str) -> str | None:
    return text if is_uid(text) else None


def _view(text: str) -> View | None:
    return _VIEWS.get(text.casefold())


def _sex(text: str) -> str | None:
    return text.upper() if text.upper() in ("M", "F", "O") else None


def _age(text: str) -> float | None:
    age = age_years(text)
    return _number(text if age is None else str(age), 0, MAX_AGE_YEARS)


def _frame_time_ms(text: str) -> float | None:
    low, high = FRAME_TIME_MS
    rate = _number(text, 1000 / high, 1000 / low)
    return None if rate is None else 1000 / rate


def _integer(text: str) -> int | None:
    try:
        number = int(_whole(text))
    except ValueError:
        return None
    return number if abs(number) < 2**31 else None


def _clock(text: str) -> str | None:
    """Read a TM value; one that was stored as a number has lost its leading zeros."""
    found = _CLOCK.fullmatch(text)
    if found is not None and (found.group(2) or len(found.group(1)) % 2):
        text = found.group(1).zfill(6) + (found.group(2) or "")
    moment = time_of_day(text)
    return None if moment is None else moment.strftime("%H%M%S.%f")


def _whole(text: str) -> str:
    """Take away the fraction that programs write where a column of whole numbers has gaps."""
    return text.removesuffix(".0")


def _number(text: str, low: float, high: float) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and low <= number <= high else None


def _within(limit: float) -> Callable[[str], float | None]:
    return lambda text: _number(text, -limit, limit)
