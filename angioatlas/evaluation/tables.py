"""Read a table of relevance: which studies or videos a query asks for.

One of three shapes, told apart by the columns:

* ``query,uid,relevance``: a text, or the UID of a study; what was judged; 0 to 3.
* ``query,where``: a text; a predicate that says which rows it asks for.
* ``uid,label``: studies (or videos) with the same label ask for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.delimited import Row, bad_cell, read_rows
from core.errors import UsageError
from core.schema import HIGHEST_GRADE

_COLUMNS: Final = ("query", "uid", "relevance", "where", "label")
_SHAPES: Final = (("query", "uid", "relevance"), ("query", "where"), ("uid", "label"))
_EXPECTED: Final = "; or ".join(", ".join(shape) for shape in _SHAPES)


@dataclass(frozen=True)
class Judged:
    """A row that says how well one study or video answers a query."""

    query: str
    uid: str
    relevance: int


@dataclass(frozen=True)
class Defined:
    """A row that says by a predicate what a text asks for; `place` is its file and line."""

    query: str
    where: str
    place: str


@dataclass(frozen=True)
class Labelled:
    """A row that says of which kind a study or video is."""

    uid: str
    label: str


@dataclass(frozen=True)
class Relevance:
    """What is relevant, said in one of three ways; the other two are empty."""

    judged: Sequence[Judged] = ()
    defined: Sequence[Defined] = ()
    labelled: Sequence[Labelled] = ()


def read_relevance(path: Path) -> Relevance:
    """Read a table of relevance, CSV or Parquet (see `core.delimited`).

    Raises
    ------
    UsageError
        When the table cannot be used: file, line, column, what was expected and found.
    """
    rows = list(read_rows(path, {name: (name,) for name in _COLUMNS}, only=True))
    if not rows:
        raise UsageError(f"{path} has no rows", f"it needs the columns {_EXPECTED}")
    shape = next((each for each in _SHAPES if set(each) == set(rows[0].cells)), None)
    if shape is None:
        raise UsageError(
            f"{path}: expected the columns {_EXPECTED}; found {', '.join(rows[0].cells)}",
            "name the columns in the first line, and leave others out",
        )
    for row in rows:
        for column in shape:
            if not row.cells[column]:
                raise bad_cell(path, row.line, column, "a value", "")
    if shape == _SHAPES[0]:
        return Relevance(judged=_judged(path, rows))
    if shape == _SHAPES[1]:
        _refuse_two(path, rows, ("query",), "predicate", lambda row: row.cells["where"])
        defined: dict[str, Defined] = {}
        for row in rows:
            text, place = row.cells["query"], f"{path}, line {row.line}"
            defined.setdefault(text, Defined(text, row.cells["where"], place))
        return Relevance(defined=[*defined.values()])
    _refuse_two(path, rows, ("uid",), "label", lambda row: row.cells["label"])
    return Relevance(labelled=[Labelled(row.cells["uid"], row.cells["label"]) for row in rows])


def _judged(path: Path, rows: Sequence[Row]) -> list[Judged]:
    grades = {str(grade): grade for grade in range(HIGHEST_GRADE + 1)}
    # Programs write whole numbers as 1.0 where a column has gaps.
    grades |= {f"{grade}.0": grade for grade in grades.values()}
    for row in rows:
        if row.cells["relevance"] not in grades:
            expected = f"a whole number from 0 to {HIGHEST_GRADE}"
            raise bad_cell(path, row.line, "relevance", expected, row.cells["relevance"])
    _refuse_two(
        path, rows, ("query", "uid"), "relevance", lambda row: grades[row.cells["relevance"]]
    )
    return [
        Judged(row.cells["query"], row.cells["uid"], grades[row.cells["relevance"]]) for row in rows
    ]


def _refuse_two(
    path: Path,
    rows: Sequence[Row],
    key: Sequence[str],
    what: str,
    said: Callable[[Row], object],
) -> None:
    """Refuse two rows that say different things of the same; the same twice is no harm."""
    first: dict[tuple[str, ...], Row] = {}
    for row in rows:
        earlier = first.setdefault(tuple(row.cells[name] for name in key), row)
        if said(earlier) != said(row):
            raise UsageError(
                f"{path}, lines {earlier.line} and {row.line}: expected one {what} for each "
                f"{' and '.join(key)}, found two that differ",
                "leave one of them out",
            )
