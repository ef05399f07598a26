"""Read a table that a person or another program wrote: CSV with one of a few separators.

What is wrong with it is said by file, line and column, so that it can be corrected.  A message
never quotes more of a cell than a small number: a cell may hold a patient's name or id.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
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


def read_rows(path: Path, columns: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Read the rows of a table.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte order mark; the first line names the columns.
    columns : mapping
        The columns to read, by the name they get, each with the names that the table may use for
        them (whatever the case).  Other columns are ignored, empty lines too.

    Yields
    ------
    Row

    Raises
    ------
    UsageError
        When the file cannot be read, is too large, is no UTF-8, names a column twice, or has a row
        of another length than its first line.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(
                f"{path} has {size} bytes, expected {MAX_BYTES} at the most", "split the table"
            )
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, file, columns)
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
    plain = found.isascii() and found.isdigit() and len(found) <= 3
    shown = found if plain else f"a text of {len(found)} characters" if found else "nothing"
    return UsageError(
        f"{path}, line {line}, column {column}: expected {expected}, found {shown}",
        "correct the table",
    )


def _rows(path: Path, lines: Iterator[str], columns: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    first = next(lines, "")
    wanted = {alias.casefold(): name for name, aliases in columns.items() for alias in aliases}
    separator = max(SEPARATORS, key=lambda each: sum(c in wanted for c in _names(first, each)))
    header = _names(first, separator)
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
    reader = csv.reader(lines, delimiter=separator)
    for cells in reader:
        line = reader.line_num + 1
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise UsageError(
                f"{path}, line {line}: expected {len(header)} cells separated by "
                f"{SEPARATORS[separator]}, found {len(cells)}",
                "correct the table",
            )
        yield Row(line, {name: cells[i].strip() for name, i in places.items()})


def _names(line: str, separator: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=separator), [])
    return [cell.strip().casefold() for cell in cells]
