"""Read label tables: find the files, check every cell, and say all that is wrong with them.

The columns and what they may hold are declared in `core.labels`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.delimited import Row, read_rows, shown
from core.errors import UsageError
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

_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*(@[A-Za-z0-9_]+)?", re.ASCII)
_SEPARATORS: Final = re.compile(r"[\s;|]+")
_SHOWN_PROBLEMS: Final = 20


class _Unfit(Exception):
    """A cell that cannot be used; the message says what was expected."""


@dataclass(frozen=True)
class LabelFile:
    """A file and the table that it holds rows of."""

    path: Path
    kind: LabelKind


@dataclass(frozen=True)
class ReadRow:
    """One row as read, with original identifiers.

    Attributes
    ----------
    path : Path
    line : int
    cells : mapping
        The values by column, of their types; None where there is none.
    """

    path: Path
    line: int
    cells: Mapping[str, Any] = field(repr=False)


@dataclass
class Problems:
    """What is wrong with files, gathered so that it can be corrected at once."""

    said: list[str] = field(default_factory=list)

    def add(
        self, row: ReadRow | Row, path: Path, *, column: str, expected: str, found: str
    ) -> None:
        """Note a cell."""
        self.said.append(
            f"{path}, line {row.line}, column {column}: expected {expected}, found {found}"
        )

    def refuse(self) -> None:
        """Raise when there was a problem.

        Raises
        ------
        UsageError
            With the first twenty and the number of all.
        """
        if not self.said:
            return
        more = len(self.said) - _SHOWN_PROBLEMS
        lines = [*self.said[:_SHOWN_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        raise UsageError(
            f"no label was imported, {len(self.said)} cells cannot be used:\n  "
            + "\n  ".join(lines),
            "correct the tables and give the same command again",
        )


def find_files(paths: Sequence[Path], kind: LabelKind | None = None) -> list[LabelFile]:
    """Return the label files that `paths` name.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders with files named as the tables (``events.csv``); other files of a folder
        are none of them.
    kind : LabelKind, optional
        The table that all files hold, whatever their names; then no folder can be given.

    Raises
    ------
    UsageError
        When a path is not there, a file's name does not tell its table, or a folder has none.
    """
    return [file for path in paths for file in _files_of(path, kind)]


def _files_of(path: Path, kind: LabelKind | None) -> list[LabelFile]:
    named = ", ".join(f"{each}.csv" for each in LabelKind)
    if path.is_dir():
        if kind is not None:
            raise UsageError(f"{path} is a folder, and --kind tells one table", "name the file")
        found = [LabelFile(path / f"{each}.csv", each) for each in LabelKind]
        found = [file for file in found if file.path.is_file()]
        if not found:
            raise UsageError(f"{path} has no label table", f"the files are named {named}")
        return found
    if not path.is_file():
        raise UsageError(f"there is no file {path}", f"name one, or a folder with {named}")
    if kind is None and path.stem not in set(LabelKind):
        raise UsageError(
            f"the name of {path} does not tell which table it is",
            f"give --kind {'|'.join(LabelKind)}",
        )
    return [LabelFile(path, kind or LabelKind(path.stem))]


def read_file(file: LabelFile, problems: Problems) -> list[ReadRow]:
    """Read a label table.

    Parameters
    ----------
    file : LabelFile
        CSV, see `core.delimited`.
    problems : Problems
        Takes what is wrong with cells; a row with a problem is not returned.

    Raises
    ------
    UsageError
        When the file is no table, lacks a column or has one that is not known.
    """
    columns = LABELS[file.kind].columns
    rows = read_rows(
        file.path,
        {column.name: (column.name,) for column in columns},
        required=[column.name for column in columns if column.required],
        only=True,
    )
    read = (_read_row(file, row, columns, problems) for row in rows)
    return [row for row in read if row is not None]


def _read_row(
    file: LabelFile, row: Row, columns: Sequence[LabelColumn], problems: Problems
) -> ReadRow | None:
    before = len(problems.said)
    cells: dict[str, Any] = {}
    for column in columns:
        text = row.cells.get(column.name, "")
        try:
            cells[column.name] = _value(column, text)
        except _Unfit as unfit:
            problems.add(row, file.path, column=column.name, expected=str(unfit), found=shown(text))
    if file.kind is LabelKind.MEASUREMENTS and len(problems.said) == before:
        _check_measurement(file, row, cells, problems)
    return ReadRow(file.path, row.line, cells) if len(problems.said) == before else None


def _value(column: LabelColumn, text: str) -> Any:
    if not text:
        if column.required:
            raise _Unfit("a value")
        return [] if column.type == "segments" else None
    if column.allowed:
        if text.casefold() not in column.allowed:
            raise _Unfit(f"one of {', '.join(column.allowed)}")
        return text.casefold()
    return _READERS[column.type](text)


def _check_measurement(
    file: LabelFile, row: Row, cells: Mapping[str, Any], problems: Problems
) -> None:
    try:
        quantity, _ = measurement_name(cells["name"])
    except ValueError:
        expected = f"a segment after @: {', '.join(SEGMENTS)}"
        problems.add(
            row, file.path, column="name", expected=expected, found=shown(row.cells["name"])
        )
        return
    low, high = PERCENT_RANGES.get(quantity, (-math.inf, math.inf))
    if not low <= cells["value"] <= high:
        problems.add(
            row,
            file.path,
            column="value",
            expected=f"percent, {low:g} to {high:g}",
            found=shown(row.cells["value"]),
        )


def _patient(text: str) -> str:
    patient_id, known = known_patient(text)
    if not known:
        raise _Unfit("the id of a patient, no placeholder")
    return patient_id


def _uid(text: str) -> str:
    if not is_uid(text):
        raise _Unfit("a StudyInstanceUID")
    return text


def _date(text: str) -> dt.date:
    try:
        date = dt.date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        date = None
    if date is None or not _FIRST_YEAR <= date.year <= _LAST_YEAR:
        raise _Unfit(f"a date such as 2024-05-31, from {_FIRST_YEAR} to {_LAST_YEAR}")
    return date


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise _Unfit("a number such as 55 or 0.5")
    return float(text)


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise _Unfit("a name in lower case, such as lvef_percent or stenosis_percent@prox_lad")
    return text


def _segments(text: str) -> list[str]:
    found = [each for each in _SEPARATORS.split(text) if each]
    if not set(found) <= SEGMENTS.keys():
        raise _Unfit(f"segments, separated by spaces, of {', '.join(SEGMENTS)}")
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
