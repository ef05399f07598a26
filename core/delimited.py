"""Read a table that a person or another program wrote: CSV with one of a few separators, Parquet.

What is wrong with it is said by file, line and column, so that it can be corrected.  A message
never quotes more of a cell than a small number: a cell may hold a patient's name or id.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UsageError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "\u03b1": "the Greek letter alpha"}
"""The last one is what the published model's scripts write."""
MAX_BYTES = 2**30
"""A table of many millions of rows is smaller."""


@dataclass(frozen=True)
class Row:
    """One row of a table: its line in the file, and its cells by the names asked for."""

    line: int
    cells: Mapping[str, str]
    """Stripped; a column that the table has not is absent."""


_PLAIN_NUMBER = re.compile(r"-?\d{1,3}(\.\d{1,3})?", re.ASCII)


def read_rows(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    *,
    required: Collection[str] = (),
    only: bool = False,
) -> Iterator[Row]:
    """Read the rows of a table.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte order mark; the first line names the columns.  Or Parquet, by
        the ending ``.parquet``: numbers, dates and truth values become text as CSV would have it.
    columns : mapping
        The columns to read, by the name they get, each with the names that the table may use for
        them (whatever the case).  Other columns are ignored, empty lines too.
    required : collection of str
        Of these columns, those that the table must have, even when it has no rows.
    only : bool
        Refuse a table with other columns instead of ignoring them.

    Yields
    ------
    Row

    Raises
    ------
    UsageError
        When the file cannot be read, is too large, is no UTF-8, names a column twice, lacks one
        that is required, has one that is not wanted, or has a row of another length than its first
        line.
    """
    if path.suffix.casefold() == ".parquet":
        yield from _parquet_rows(path, columns, required, only=only)
        return
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(
                f"{path} has {size} bytes, expected {MAX_BYTES} at the most", "split the table"
            )
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = _header(path, file, columns)
            _check_columns(path, header, required, only=only)
            yield from _rows(path, file, header)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", "save it as CSV in UTF-8") from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "name a CSV file that is there"
        ) from error
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV table: {error}", "save it as CSV in UTF-8") from error


def bad_cell(path: Path, line: int, column: str, expected: str, found: str) -> UsageError:
    """Return the error of a cell that cannot be used."""
    return UsageError(
        f"{path}, line {line}, column {column}: expected {expected}, found {shown(found)}",
        "correct the table",
    )


def shown(found: str) -> str:
    """Return what a message may say of a cell: a small number as it is, else its length."""
    if _PLAIN_NUMBER.fullmatch(found):
        return found
    return f"a text of {len(found)} characters" if found else "nothing"


@dataclass(frozen=True)
class _Header:
    """The first line of a table: what separates its cells, their names, which are wanted where."""

    separator: str
    names: Sequence[str]
    places: Mapping[str, int]


def _header(path: Path, lines: Iterator[str], columns: Mapping[str, Sequence[str]]) -> _Header:
    first = next(lines, "")
    wanted = _wanted(columns)
    separator = max(SEPARATORS, key=lambda each: sum(c in wanted for c in _names(first, each)))
    return _placed(path, separator, _names(first, separator), wanted)


def _wanted(columns: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {alias.casefold(): name for name, aliases in columns.items() for alias in aliases}


def _placed(
    path: Path, separator: str, header: Sequence[str], wanted: Mapping[str, str]
) -> _Header:
    places: dict[str, int] = {}
    for i, name in enumerate(header):
        known = wanted.get(name)
        if known in places:
            raise UsageError(
                f"{path} has the column {known} twice: columns {places[known] + 1} and {i + 1}",
                "leave one of them out",
            )
        if known is not None:
            places[known] = i
    return _Header(separator, header, places)


def _check_columns(path: Path, header: _Header, required: Collection[str], *, only: bool) -> None:
    missing = [name for name in required if name not in header.places]
    if missing:
        # Cells of the first line are not quoted: without a header they are those of a patient.
        found = ", ".join(header.places) or "none of them"
        raise UsageError(
            f"{path}: expected the columns {', '.join(required)}, found {found}",
            "name the columns in the first line",
        )
    known = set(header.places.values())
    others = [i for i in range(len(header.names)) if i not in known]
    if only and others:
        raise UsageError(
            f"{path} has columns that are not known: "
            + ", ".join(f"{header.names[i]!r} (column {i + 1})" for i in others),
            "leave them out, or name them as the documents do",
        )


def _rows(path: Path, lines: Iterator[str], header: _Header) -> Iterator[Row]:
    separator, names = header.separator, header.names
    reader = csv.reader(lines, delimiter=separator)
    for cells in reader:
        line = reader.line_num + 1
        if not any(cells):
            continue
        if len(cells) != len(names):
            raise UsageError(
                f"{path}, line {line}: expected {len(names)} cells separated by "
                f"{SEPARATORS[separator]}, found {len(cells)}",
                "correct the table",
            )
        yield Row(line, {name: cells[i].strip() for name, i in header.places.items()})


def _parquet_rows(
    path: Path, columns: Mapping[str, Sequence[str]], required: Collection[str], *, only: bool
) -> Iterator[Row]:
    """Yield the rows of a Parquet file; the first row is number 1."""
    import pyarrow as pa  # takes a while to import, and few tables need it
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = [name.strip().casefold() for name in file.schema_arrow.names]
            header = _placed(path, ",", names, _wanted(columns))
            _check_columns(path, header, required, only=only)
            number = 0
            for batch in file.iter_batches():
                cells = {name: batch.column(i).to_pylist() for name, i in header.places.items()}
                for i in range(batch.num_rows):
                    number += 1
                    yield Row(number, {name: _as_text(each[i]) for name, each in cells.items()})
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or 'it is no Parquet file'}",
            "name a Parquet file that is there",
        ) from error
    except pa.ArrowException as error:
        raise UsageError(f"{path} is no whole Parquet file", "write it again") from error


def _as_text(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, list):
        return " ".join(str(each) for each in value)
    return str(value).strip()


def _names(line: str, separator: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=separator), [])
    return [cell.strip().casefold() for cell in cells]
