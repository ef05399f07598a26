"""Read label tables: find the files, check every cell, and say all that is wrong with them.

The columns and what they may hold are declared in `core.labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from angioatlas.label_dialects import DateOf, Dialect, latest_follow_up, read_dialect
from core.delimited import Row, read_rows, shown
from core.errors import UsageError
from core.labels import LABELS, LabelKind

_SHOWN_PROBLEMS: Final = 20
_ENDINGS: Final = (".csv", ".parquet")


@dataclass(frozen=True)
class LabelFile:
    """A file, and the table that it holds rows of or the shape that it has."""

    path: Path
    kind: LabelKind | Dialect


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


def find_files(paths: Sequence[Path], kind: LabelKind | Dialect | None = None) -> list[LabelFile]:
    """Return the label files that `paths` name.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders with files named as the tables (``events.csv``, ``events.parquet``); other
        files of a folder are none of them.
    kind : LabelKind or Dialect, optional
        The table that all files hold, whatever their names; then no folder can be given.

    Raises
    ------
    UsageError
        When a path is not there, a file's name does not tell its table, or a folder has none.
    """
    return [file for path in paths for file in _files_of(path, kind)]


def _files_of(path: Path, kind: LabelKind | Dialect | None) -> list[LabelFile]:
    named = ", ".join(f"{each}.csv" for each in LabelKind)
    if path.is_dir():
        if kind is not None:
            raise UsageError(f"{path} is a folder, and --kind tells one table", "name the file")
        found = [LabelFile(path / f"{each}{end}", each) for each in LabelKind for end in _ENDINGS]
        found = [file for file in found if file.path.is_file()]
        if not found:
            raise UsageError(f"{path} has no label table", f"the files are named {named}")
        return found
    if not path.is_file():
        raise UsageError(f"there is no file {path}", f"name one, or a folder with {named}")
    if kind is None and path.stem not in set(LabelKind):
        raise UsageError(
            f"the name of {path} does not tell which table it is",
            f"give --kind {'|'.join((*LabelKind, *Dialect))}",
        )
    return [LabelFile(path, kind or LabelKind(path.stem))]


def read_any(
    file: LabelFile, problems: Problems, *, date_of: DateOf
) -> dict[LabelKind, list[ReadRow]]:
    """Read a label table, or a table of another shape, as rows of label tables.

    Parameters
    ----------
    file : LabelFile
    problems : Problems
        Takes what is wrong with cells; a row with a problem is not returned.
    date_of : callable
        From an original StudyInstanceUID to the original date of the study.

    Raises
    ------
    UsageError
        When the file is no table, or lacks a column.
    """
    if isinstance(file.kind, LabelKind):
        return {file.kind: read_file(file, problems)}

    def note(row: Row, column: str, expected: str, found: str) -> None:
        problems.add(row, file.path, column=column, expected=expected, found=found)

    read = read_dialect(file.kind, file.path, date_of=date_of, on_problem=note)
    rows: dict[LabelKind, list[Row]] = {}
    for each in latest_follow_up(read, note):
        rows.setdefault(each.kind, []).append(each.row)
    return {
        kind: check_rows(LabelFile(file.path, kind), found, problems)
        for kind, found in rows.items()
    }


def read_file(file: LabelFile, problems: Problems) -> list[ReadRow]:
    """Read a label table.

    Parameters
    ----------
    file : LabelFile
        CSV or Parquet, see `core.delimited`.
    problems : Problems
        Takes what is wrong with cells; a row with a problem is not returned.

    Raises
    ------
    UsageError
        When the file is no table, lacks a column or has one that is not known.
    """
    columns = LABELS[LabelKind(file.kind)].columns
    rows = list(
        read_rows(
            file.path,
            {column.name: (column.name,) for column in columns},
            required=[column.name for column in columns if column.required],
            only=True,
        )
    )
    return check_rows(file, rows, problems)


def check_rows(file: LabelFile, rows: Sequence[Row], problems: Problems) -> list[ReadRow]:
    """Return the rows of a label table whose cells can all be used, and note what is wrong.

    Parameters
    ----------
    file : LabelFile
        Where they were read.
    rows : sequence of Row
        Their cells as text, by the names of the table's columns; what is absent is empty.
    problems : Problems
    """
    from angioatlas.label_schema import failures, value_of  # pandera takes a second to import

    kind = LabelKind(file.kind)
    columns = LABELS[kind].columns
    names = [column.name for column in columns]
    cells = pd.DataFrame(
        [[row.cells.get(name, "") for name in names] for row in rows], columns=names
    )
    bad = set()
    for at, name, expected in failures(kind, cells):
        bad.add(at)
        found = shown(rows[at].cells.get(name, ""))
        problems.add(rows[at], file.path, column=name, expected=expected, found=found)
    return [
        ReadRow(
            file.path, row.line, {c.name: value_of(c, row.cells.get(c.name, "")) for c in columns}
        )
        for at, row in enumerate(rows)
        if at not in bad
    ]
