"""A filter in words, written as a predicate: what, how it compares, and with which values."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from angioatlas.findings import EVEN
from core.segments import SEGMENTS, SIGNIFICANT_PERCENT, VESSELS

Value = float | dt.date | str


class Condition(StrEnum):
    """How what is known compares with values."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    BETWEEN = "between"
    FROM = "on or after"
    UNTIL = "on or before"
    IS = "is"
    IS_NOT = "is not"
    FOUND = "is found"
    NOT_FOUND = "is not found"


_NUMBER: Final = (Condition.AT_LEAST, Condition.AT_MOST, Condition.BETWEEN)
_DATE: Final = (Condition.FROM, Condition.UNTIL, Condition.BETWEEN)
_TEXT: Final = (Condition.IS, Condition.IS_NOT)
_LIKELY: Final = (Condition.FOUND, Condition.NOT_FOUND)
_SIGNS: Final = {
    Condition.AT_LEAST: ">=",
    Condition.FROM: ">=",
    Condition.FOUND: ">=",
    Condition.AT_MOST: "<=",
    Condition.UNTIL: "<=",
    Condition.NOT_FOUND: "<",
    Condition.IS: "=",
    Condition.IS_NOT: "<>",
}
_OF_ANY: Final = frozenset({Condition.AT_LEAST, Condition.FROM, Condition.IS, Condition.FOUND})
"""Of several segments one is enough; everything else must hold for all."""
ANYWHERE: Final = "anywhere"


@dataclass(frozen=True)
class Subject:
    """What a filter may be about.

    Attributes
    ----------
    column : str
        Of the exam; of a finding what follows the segment in the names of its columns.
    kind : {"number", "date", "text"}
    conditions : tuple of Condition
    start : float
        The first value that is offered.
    of_segment : bool
        Whether it is a finding, for which a place is chosen.
    """

    column: str
    kind: Literal["number", "date", "text"]
    conditions: tuple[Condition, ...]
    start: float = 0
    of_segment: bool = False


SUBJECTS: Final = {
    "Age, years": Subject("patient_age_years", "number", _NUMBER, 60),
    "Sex": Subject("patient_sex", "text", _TEXT),
    "LVEF, %": Subject("lvef_percent", "number", _NUMBER, 40),
    "Site": Subject("site", "text", _TEXT),
    "Date of the exam": Subject("study_date", "date", _DATE),
    "Cines": Subject("n_videos", "number", _NUMBER, 5),
    "Projections": Subject("n_views", "number", _NUMBER, 5),
    "Exam number": Subject("exam_number", "number", _NUMBER, 2),
    "Exams of the patient": Subject("n_exams", "number", _NUMBER, 2),
    "Stenosis, % diameter": Subject(
        "stenosis_percent", "number", _NUMBER, SIGNIFICANT_PERCENT, of_segment=True
    ),
    "Chronic total occlusion": Subject("cto", "number", _LIKELY, of_segment=True),
    "Calcification": Subject("calcification", "number", _LIKELY, of_segment=True),
    "Thrombus": Subject("thrombus", "number", _LIKELY, of_segment=True),
}
"""By what it is called."""
_PLACES: Final = {
    ANYWHERE: tuple(SEGMENTS),
    **VESSELS,
    **{words: (name,) for name, words in SEGMENTS.items()},
}


def offered(known: Collection[str]) -> list[str]:
    """Return the subjects that a store knows something of, by the names of its columns."""
    return [
        words for words, subject in SUBJECTS.items() if {*columns_of(subject, ANYWHERE)} & {*known}
    ]


def places() -> list[str]:
    """Return where findings may be: anywhere, in a vessel, or in a segment."""
    return [*_PLACES]


def columns_of(subject: Subject, place: str) -> tuple[str, ...]:
    """Return the columns that tell of a subject, of findings those of all segments of a place."""
    if not subject.of_segment:
        return (subject.column,)
    return tuple(f"{segment}_{subject.column}" for segment in _PLACES[place])


def clause(columns: Sequence[str], condition: Condition, values: Sequence[Value] = ()) -> str:
    """Write one condition as a predicate; see `store.predicate.understood`.

    Parameters
    ----------
    columns : sequence of str
        Of several, those of a place with several segments, "at least" and "is found" are said of
        any, everything else of all: whatever is said holds for the worst of them.
    condition : Condition
    values : sequence of float, date or str
        One, of "between" two in either order; none of what is found or not.
    """
    if condition is Condition.BETWEEN:
        low, high = sorted(values)
        if len(columns) == 1:
            return f"{columns[0]} between {_written(low)} and {_written(high)}"
        return " and ".join(
            clause(columns, bound, [value])
            for bound, value in ((Condition.AT_LEAST, low), (Condition.AT_MOST, high))
        )
    (value,) = values or (EVEN,)
    said = [f"{column} {_SIGNS[condition]} {_written(value)}" for column in columns]
    if condition not in _OF_ANY:
        return " and ".join(said)
    return said[0] if len(said) == 1 else f"({' or '.join(said)})"


def joined(where: str, also: str) -> str:
    """Add a condition to a predicate, which may be empty."""
    own = where.strip()
    if not own:
        return also
    return f"({own}) and {also}" if _has_or(own) else f"{own} and {also}"


def _has_or(predicate: str) -> bool:
    """Tell whether a predicate has an OR outside parentheses and texts."""
    depth = 0
    for found in re.finditer(r"'(?:[^']|'')*'|[()]|\w+", predicate):
        word = found.group().lower()
        depth += (word == "(") - (word == ")")
        if word == "or" and depth == 0:
            return True
    return False


def _written(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, dt.date):
        return f"'{value.isoformat()}'"
    return f"{value:g}"
