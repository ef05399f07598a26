"""The describing attributes of a cine: patient, dates and times, frame time, C-arm position.

Every function is total: what is missing, malformed or not sane is None (or an empty text).
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import dataclass

from core.schema import View
from embedder.dicom.attributes import Attributes
from embedder.dicom.view import MAX_PRIMARY_DEG, MAX_SECONDARY_DEG, view_from_angles

MAX_AGE_YEARS = 120.0
FRAME_TIME_MS = (1.0, 10_000.0)
"""Frame times outside this range are no frame times."""
ROTATION_DEG = 10.0
"""A C-arm that turned by more than this during the run has no one view."""
_PLACEHOLDERS = frozenset(
    {
        "ANON", "ANONYM", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "DEIDENTIFIED",
        "UNKNOWN", "UNBEKANNT", "NONE", "NULL", "NAN", "NA", "NOID", "PATIENT", "PATIENTID",
        "REMOVED", "DELETED", "NOTAVAILABLE", "NOTKNOWN", "UNDEFINED", "X", "XX", "XXX", "XXXX",
    }
)  # fmt: skip
_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6})\d*)?)?)?")
_AGE = re.compile(r"(\d{1,3})([YMWD])")
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True)
class Position:
    """Where the C-arm stood.

    Attributes
    ----------
    primary_deg, secondary_deg : float or None
        As in `Cine`; None when missing or outside what a C-arm can do.
    swept_deg : float
        By how much it turned during the run; 0 when the header does not say.
    view : View
    """

    primary_deg: float | None
    secondary_deg: float | None
    swept_deg: float
    view: View


def date(text: str) -> dt.date | None:
    """Read a DA value, YYYYMMDD (also the old YYYY.MM.DD)."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = map(int, found.groups())
    try:
        return dt.date(year, month, day) if 1880 <= year <= 2200 else None
    except ValueError:
        return None


def time(text: str) -> dt.time | None:
    """Read a TM value, HHMMSS.ffffff with anything after the hour optional (also HH:MM:SS)."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    micro = int((found.group(4) or "").ljust(6, "0"))
    try:
        return dt.time(hour, minute, min(second, 59), micro)  # 60 is a leap second
    except ValueError:
        return None


def patient(data: Attributes) -> tuple[str, bool]:
    """Give PatientID and whether it names a patient; ``("", False)`` for a placeholder."""
    return known_patient(data.in_charset("PatientID"))


def known_patient(patient_id: str) -> tuple[str, bool]:
    """Give a patient id and whether it names a patient; ``("", False)`` for a placeholder."""
    letters = "".join(c for c in patient_id.upper() if c.isalnum())
    if not letters.strip("0") or letters in _PLACEHOLDERS:
        return "", False
    return patient_id, True


def patient_sex(data: Attributes) -> str | None:
    """Give PatientSex if it is M, F or O."""
    sex = data.text("PatientSex").upper()
    return sex if sex in ("M", "F", "O") else None


def patient_age_years(data: Attributes, study_date: dt.date | None) -> float | None:
    """Give the age from PatientAge, or from the dates of birth and study; 0 to 120."""
    age = age_years(data.text("PatientAge"))
    born = date(data.text("PatientBirthDate"))
    if age is None and born is not None and study_date is not None:
        age = (study_date - born).days / 365.25
    return age if age is not None and 0 <= age <= MAX_AGE_YEARS else None


def age_years(text: str) -> float | None:
    """Read an AS value, such as 063Y."""
    found = _AGE.fullmatch(text.upper())
    return None if found is None else int(found.group(1)) * _YEARS[found.group(2)]


def series_time(data: Attributes) -> str | None:
    """Give SeriesTime as HHMMSS.ffffff."""
    at = time(data.text("SeriesTime"))
    return None if at is None else at.strftime("%H%M%S.%f")


def acquisition_datetime(data: Attributes) -> dt.datetime | None:
    """Give when the run was taken: acquisition, else content, date and time.

    The time zone of AcquisitionDateTime is dropped: times are compared inside a study, as the
    equipment recorded them.
    """
    text = re.sub(r"[+-]\d{4}$", "", data.text("AcquisitionDateTime"))
    candidates = [
        (text[:8], text[8:]),
        (data.text("AcquisitionDate"), data.text("AcquisitionTime")),
        (data.text("ContentDate"), data.text("ContentTime")),
    ]
    for on, at in candidates:
        day, moment = date(on), time(at)
        if day is not None and moment is not None:
            return dt.datetime.combine(day, moment)
    return None


def frame_time_ms(data: Attributes) -> float | None:
    """Give milliseconds per frame: FrameTime, FrameTimeVector (mean), CineRate, or display rate."""
    # The first increment belongs to the first frame and is 0 (PS3.3 C.7.6.5.1.2).
    vector = data.numbers("FrameTimeVector")[1:]
    candidates = [
        data.number("FrameTime"),
        sum(vector) / len(vector) if vector else None,
        _per_second(data.number("CineRate")),
        _per_second(data.number("RecommendedDisplayFrameRate")),
    ]
    low, high = FRAME_TIME_MS
    return next((ms for ms in candidates if ms is not None and low <= ms <= high), None)


def frame_starts_ms(data: Attributes, n_frames: int) -> list[float] | None:
    """Give when each frame begins, and when the last one ends; None when the header is silent.

    Parameters
    ----------
    data : Attributes
    n_frames : int

    Returns
    -------
    list of float, n_frames + 1 long, or None
        Milliseconds from the first frame, ascending.  By FrameTimeVector where it alone tells the
        frame time and is sane; the last frame then lasts as long as the others do on average.
    """
    step = frame_time_ms(data)
    if step is None:
        return None
    low, high = FRAME_TIME_MS
    steps = data.numbers("FrameTimeVector")[1:]
    by_vector = step != data.number("FrameTime") and len(steps) == n_frames - 1
    if not (by_vector and steps and all(low <= each <= high for each in steps)):
        steps = [step] * (n_frames - 1)
    return list(itertools.accumulate([*steps, step], initial=0.0))


def _per_second(rate: float | None) -> float | None:
    return 1000 / rate if rate else None


def c_arm(data: Attributes) -> Position:
    """Give the C-arm position of a run, from the data set or the functional groups.

    A rotational run (the angles change by more than 10 degrees) keeps its first angles and has
    the view `View.OTHER`.
    """
    primary = _within(data.number("PositionerPrimaryAngle"), MAX_PRIMARY_DEG)
    secondary = _within(data.number("PositionerSecondaryAngle"), MAX_SECONDARY_DEG)
    sweep = max(
        _swept(data.numbers("PositionerPrimaryAngleIncrement")),
        _swept(data.numbers("PositionerSecondaryAngleIncrement")),
    )
    if primary is None and secondary is None:
        primary, secondary, sweep = _enhanced(data)
    turned = sweep > ROTATION_DEG
    view = View.OTHER if turned else view_from_angles(primary, secondary)
    return Position(primary, secondary, sweep, view)


def _within(angle: float | None, limit: float) -> float | None:
    return angle if angle is not None and abs(angle) <= limit else None


def _swept(increments: list[float]) -> float:
    """Give the range of angles of a run whose frames turn by `increments`."""
    angles = list(itertools.accumulate(increments, initial=0.0))
    return max(angles) - min(angles)


def _enhanced(data: Attributes) -> tuple[float | None, float | None, float]:
    """Read the X-Ray Positioner macro (PS3.3 C.8.19.6.10), shared or of each frame."""
    groups = data.items("SharedFunctionalGroupsSequence")
    groups += data.items("PerFrameFunctionalGroupsSequence")
    positions = [found for group in groups if not (found := _positioner(group)).is_empty]
    pairs = [
        (
            _within(position.number("PositionerPrimaryAngle"), MAX_PRIMARY_DEG),
            _within(position.number("PositionerSecondaryAngle"), MAX_SECONDARY_DEG),
        )
        for position in positions
    ]
    if not pairs:
        return None, None, 0.0
    sweep = max(_range([pair[axis] for pair in pairs]) for axis in (0, 1))
    return *pairs[0], sweep


def _positioner(group: Attributes) -> Attributes:
    return group.first("PositionerPositionSequence")


def _range(angles: list[float | None]) -> float:
    known = [angle for angle in angles if angle is not None]
    return max(known) - min(known) if known else 0.0
