"""What a cell of a label table may hold: pandera schemas, made of the declaration in `core.labels`.

Cells come as text, whatever the file is; a schema says what is wrong with all of them at once, and
`value_of` turns a cell that fits into what it means.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from core.labels import (
    LABELS,
    PERCENT_RANGES,
    ColumnType,
    LabelColumn,
    LabelKind,
    measurement_name,
)
from core.segments import SEGMENTS
from embedder.dicom.describe import known_patient
from embedder.dicom.header import is_uid

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_YEAR, LAST_YEAR = 1900, 2100
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*(@[A-Za-z0-9_]+)?", re.ASCII)
_SEPARATORS: Final = re.compile(r"[\s;|]+")

EXPECTED: Final[Mapping[ColumnType, str]] = {
    "patient": "the id of a patient, no placeholder",
    "study": "a StudyInstanceUID",
    "id": "a text",
    "date": f"a date such as 2024-05-31, from {FIRST_YEAR} to {LAST_YEAR}",
    "number": "a number such as 55 or 0.5",
    "word": "a name in lower case, such as lvef_percent or stenosis_percent@prox_lad",
    "text": "a text",
    "segments": f"segments, separated by spaces, of {', '.join(SEGMENTS)}",
}
"""What a cell of each type has to be, in words."""


def failures(kind: LabelKind, cells: pd.DataFrame) -> Iterator[tuple[int, str, str]]:
    """Yield what is wrong with the cells of a table: row, column, and what was expected.

    Parameters
    ----------
    kind : LabelKind
    cells : DataFrame of str
        All columns of the table, the rows numbered from 0; empty where there is no value.
    """
    try:
        _schema(kind).validate(cells, lazy=True)
    except SchemaErrors as errors:
        found = errors.failure_cases
        # A check of whole rows is one of what they measure, and names every cell of a row.
        found["column"] = found["column"].mask(
            found["schema_context"] == "DataFrameSchema", "value"
        )
        found = found.drop_duplicates(["index", "column"]).sort_values(["index", "column"])
        yield from zip(found["index"].astype(int), found["column"], found["check"], strict=True)


def value_of(column: LabelColumn, text: str) -> Any:
    """Return what a cell that fits its column means; None where there is no value."""
    if not text:
        return [] if column.type == "segments" else None
    return text.casefold() if column.allowed else _READERS[column.type](text)


@lru_cache(maxsize=len(LabelKind))
def _schema(kind: LabelKind) -> pa.DataFrameSchema:
    columns = {column.name: _column(column) for column in LABELS[kind].columns}
    if kind is LabelKind.MEASUREMENTS:
        columns["name"].checks.append(
            pa.Check(
                _names_a_segment,
                element_wise=True,
                error=f"a segment after @: {', '.join(SEGMENTS)}",
            )
        )
        return pa.DataFrameSchema(columns, checks=[*_percentages()])
    return pa.DataFrameSchema(columns)


def _column(column: LabelColumn) -> pa.Column:
    checks = [pa.Check(bool, element_wise=True, error="a value")] if column.required else []
    expected = f"one of {', '.join(column.allowed)}" if column.allowed else EXPECTED[column.type]
    checks.append(pa.Check(lambda text: _fits(column, text), element_wise=True, error=expected))
    return pa.Column(str, checks=checks)


def _fits(column: LabelColumn, text: str) -> bool:
    if not text:
        return True  # whether there has to be a value is another check
    if column.allowed:
        return text.casefold() in column.allowed
    try:
        _READERS[column.type](text)
    except ValueError:
        return False
    return True


def _names_a_segment(text: str) -> bool:
    try:
        measurement_name(text)
    except ValueError:
        return False
    return True


def _percentages() -> Iterator[pa.Check]:
    for quantity, (low, high) in PERCENT_RANGES.items():
        yield pa.Check(
            partial(_within, quantity=quantity, low=low, high=high),
            error=f"percent, {low:g} to {high:g}",
        )


def _within(cells: pd.DataFrame, *, quantity: str, low: float, high: float) -> pd.Series[bool]:
    mine = cells["name"].str.partition("@")[0] == quantity
    values = pd.to_numeric(cells["value"], errors="coerce")
    return ~mine | values.isna() | values.between(low, high)


def _patient(text: str) -> str:
    patient_id, known = known_patient(text)
    if not known:
        raise ValueError(text)
    return patient_id


def _uid(text: str) -> str:
    if not is_uid(text):
        raise ValueError(text)
    return text


def _date(text: str) -> dt.date:
    date = dt.date.fromisoformat(text) if _DATE.fullmatch(text) else None
    if date is None or not FIRST_YEAR <= date.year <= LAST_YEAR:
        raise ValueError(text)
    return date


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(text)
    return float(text)


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(text)
    return text


def _segments(text: str) -> list[str]:
    found = [each for each in _SEPARATORS.split(text) if each]
    if not set(found) <= SEGMENTS.keys():
        raise ValueError(text)
    return [segment for segment in SEGMENTS if segment in found]


_READERS: Final[Mapping[ColumnType, Callable[[str], Any]]] = {
    "patient": _patient,
    "study": _uid,
    "id": str,
    "date": _date,
    "number": _number,
    "word": _word,
    "text": str,
    "segments": _segments,
}
