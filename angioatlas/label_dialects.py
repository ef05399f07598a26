"""Label tables of other shapes, turned into rows of the tables that a store has.

``outcomes-flat``: one row a patient or exam, with time and event.  ``external-validation``: one row
a cine, with what was found in each segment repeated on every row of its study, as the published
model's scripts take it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from core.delimited import Row, read_rows, shown
from core.errors import UsageError
from core.labels import DEATHS, EVENT_KINDS, FALSE_WORDS, TRUE_WORDS, LabelKind
from core.segments import SEGMENTS

DateOf = Callable[[str], dt.date | None]
"""From an original StudyInstanceUID to the original date of the study, if the store has it."""
OnProblem = Callable[[Row, str, str, str], None]
"""Takes a row, its column, what was expected and what was found."""

# Truth values of a column with gaps are often written as decimal numbers.
_TRUE: Final = TRUE_WORDS | {"1.0"}
_FALSE: Final = FALSE_WORDS | {"0.0"}
_GRADES: Final = {"none": 0.0, "mild": 1.0, "moderate": 1.0, "severe": 1.0}
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)?")


class Dialect(StrEnum):
    """The other shapes, by name."""

    OUTCOMES_FLAT = "outcomes-flat"
    EXTERNAL_VALIDATION = "external-validation"


def label_kind(name: str) -> LabelKind | Dialect:
    """Return the table or the shape of a name; hyphens and underscores are the same.

    Raises
    ------
    UsageError
        There is none of this name.
    """
    every: tuple[LabelKind | Dialect, ...] = (*LabelKind, *Dialect)
    for known in every:
        if known.value.replace("-", "_") == name.replace("-", "_"):
            return known
    raise UsageError(f"there is no label table {name!r}", f"there are {', '.join(every)}")


@dataclass(frozen=True)
class LabelCells:
    """A row of a label table as text, and the row of the file that it comes from."""

    kind: LabelKind
    row: Row


def read_dialect(
    dialect: Dialect, path: Path, *, date_of: DateOf, on_problem: OnProblem
) -> Iterator[LabelCells]:
    """Read a table of another shape.

    Parameters
    ----------
    dialect : Dialect
    path : Path
        CSV or Parquet.
    date_of : callable
    on_problem : callable

    Yields
    ------
    LabelCells
        Rows with original identifiers and dates, not checked yet.

    Raises
    ------
    UsageError
        The file is no table, or lacks a column.
    """
    if dialect is Dialect.OUTCOMES_FLAT:
        return _outcomes(path, date_of, on_problem)
    return _findings(path, date_of, on_problem)


_OUTCOME_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "patient_id": ("patient_id", "ss_patient_id", "patientid"),
    "study_uid": ("study_uid", "studyinstanceuid"),
    "index_date": ("index_date", "exam_date", "study_date"),
    "time_days": ("time_days", "time"),
    "event": ("event", "status"),
    "kind": ("kind", "cause"),
}


def _outcomes(path: Path, date_of: DateOf, on_problem: OnProblem) -> Iterator[LabelCells]:
    """Yield an event where there was one, and the follow-up of the patient."""
    for row in read_rows(
        path, _OUTCOME_COLUMNS, required=("patient_id", "time_days", "event"), only=False
    ):
        cells = row.cells
        start = _start(row, date_of, on_problem)
        days, state = _days(row, on_problem), _state(row, on_problem)
        kind = _kind(row, state, on_problem)
        if start is None or days is None or state is None or kind is None:
            continue
        end = (start + dt.timedelta(days=days)).isoformat()
        patient = cells["patient_id"]
        if state:
            told = {"patient_id": patient, "date": end, "kind": kind, "source": path.name}
            yield LabelCells(LabelKind.EVENTS, Row(row.line, told))
        status = "dead" if state and kind in DEATHS else "alive"
        told = {"patient_id": patient, "last_known_date": end, "status": status}
        yield LabelCells(LabelKind.FOLLOW_UP, Row(row.line, told))


def _start(row: Row, date_of: DateOf, on_problem: OnProblem) -> dt.date | None:
    text = row.cells.get("index_date", "")
    if text:
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            on_problem(row, "index_date", "a date such as 2024-05-31", shown(text))
            return None
    study = row.cells.get("study_uid", "")
    found = date_of(study) if study else None
    if found is None:
        on_problem(row, "index_date", "a date, or a study of the store in study_uid", shown(study))
    return found


def _days(row: Row, on_problem: OnProblem) -> int | None:
    text = row.cells["time_days"]
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < 40_000:
        on_problem(row, "time_days", "days, 0 or more", shown(text))
        return None
    return round(days)


def _state(row: Row, on_problem: OnProblem) -> bool | None:
    state = truth(row.cells["event"])
    if state is None and row.cells["event"] not in ("2", "2.0"):
        on_problem(
            row, "event", "1 or 0, yes or no, or 2 for a competing death", shown(row.cells["event"])
        )
        return None
    return True if state is None else state


def _kind(row: Row, state: bool | None, on_problem: OnProblem) -> str | None:
    """Return the kind of the event; of none it does not matter which."""
    told = row.cells.get("kind", "").casefold()
    if row.cells["event"] in ("2", "2.0"):
        return told or "death_other"
    if state and told and told not in EVENT_KINDS:
        on_problem(row, "kind", f"one of {', '.join(EVENT_KINDS)}", shown(told))
        return None
    return told or "mace"


def _findings(path: Path, date_of: DateOf, on_problem: OnProblem) -> Iterator[LabelCells]:
    """Yield measurements by segment, once a study; what is missing stays missing."""
    columns = {
        "study_uid": ("study_uid", "StudyInstanceUID", "ss_event_cath_id"),
        "patient_id": ("patient_id", "ss_patient_id"),
    }
    columns |= {name: (name,) for segment in SEGMENTS for name in _of_segment(segment)}
    said: dict[tuple[str, str], tuple[Row, float]] = {}
    for row in read_rows(path, columns, required=("study_uid",)):
        study = row.cells["study_uid"]
        date = date_of(study)
        if date is None:
            on_problem(row, "study_uid", "a study of the store", shown(study))
            continue
        for name, value in _values(row, on_problem):
            first = said.setdefault((study, name), (row, value))
            if first[1] != value:
                on_problem(
                    row, name, f"what line {first[0].line} says of the study", "another value"
                )
            elif first[0] is row:
                yield _measurement(row, study, date, name, value)


def _measurement(row: Row, study: str, date: dt.date, name: str, value: float) -> LabelCells:
    cells = {
        "patient_id": row.cells.get("patient_id", ""),
        "study_uid": study,
        "date": date.isoformat(),
        "name": name,
        "value": repr(value),
        "unit": "%" if name.startswith("stenosis") else "",
        "method": "report",
    }
    return LabelCells(LabelKind.MEASUREMENTS, Row(row.line, cells))


def _of_segment(segment: str) -> tuple[str, ...]:
    return tuple(f"{segment}_{each}" for each in ("stenosis", "calcif_binary", "cto", "thrombus"))


def _values(row: Row, on_problem: OnProblem) -> Iterator[tuple[str, float]]:
    for segment in SEGMENTS:
        stenosis, calcification, cto, thrombus = _of_segment(segment)
        for column, name, read, expected in (
            (stenosis, "stenosis_percent", _percent, "a percentage, or a text with one"),
            (calcification, "calcification", _grade, "none, mild, moderate, severe, or 1 or 0"),
            (cto, "cto", _flag, "1 or 0, true or false"),
            (thrombus, "thrombus", _flag, "1 or 0, true or false"),
        ):
            text = row.cells.get(column, "")
            if text.casefold() in ("", "nan", "na") or (text == "none" and read is not _grade):
                continue
            value = read(text)
            if value is None:
                on_problem(row, column, expected, shown(text))
            else:
                yield f"{name}@{segment}", value


def _percent(text: str) -> float | None:
    """Return the largest number of a text, as the published scripts do."""
    found = [float(each) for each in _NUMBERS.findall(text)]
    return max(found) if found and max(found) <= 100 else None


def _grade(text: str) -> float | None:
    graded = _GRADES.get(text.casefold())
    return _flag(text) if graded is None else graded


def _flag(text: str) -> float | None:
    found = truth(text)
    return None if found is None else float(found)


def truth(text: str) -> bool | None:
    """Return the truth value that a text stands for: 1, true, yes and their like; None for none."""
    word = text.strip().casefold()
    return True if word in _TRUE else False if word in _FALSE else None


def latest_follow_up(rows: Iterable[LabelCells], on_problem: OnProblem) -> list[LabelCells]:
    """Return rows with one follow-up a patient: the latest.

    Parameters
    ----------
    rows : iterable of LabelCells
    on_problem : callable
        Told of a patient who is followed beyond a death.
    """
    others: list[LabelCells] = []
    followed: dict[str, list[LabelCells]] = {}
    for each in rows:
        if each.kind is LabelKind.FOLLOW_UP:
            followed.setdefault(each.row.cells["patient_id"], []).append(each)
        else:
            others.append(each)
    return [*others, *(_latest(each, on_problem) for each in followed.values())]


def _latest(rows: list[LabelCells], on_problem: OnProblem) -> LabelCells:
    last = max(rows, key=lambda each: each.row.cells["last_known_date"])
    for each in rows:
        cells = each.row.cells
        if cells["status"] != "dead":
            continue
        if cells["last_known_date"] < last.row.cells["last_known_date"]:
            expected = f"no follow-up beyond the death that line {each.row.line} tells"
            on_problem(last.row, "time_days", expected, "a later end")
        else:
            last = each
    return last
