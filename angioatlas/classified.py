"""Read what a classifier said of runs: a table with one row a SOP instance.

The columns are those that the published model's video filter writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.delimited import Row, bad_cell, read_rows
from core.errors import UsageError
from embedder.dicom.header import is_uid
from embedder.runs import Classified, Structure

SOP, STRUCTURE, CONTRAST, STENT = (
    "SOPInstanceUID", "main_structure_class", "contrast_agent_class", "stent_presence_class",
)  # fmt: skip
COLUMNS = {
    SOP: (SOP, "sop_uid", "sop_instance_uid"),
    STRUCTURE: (STRUCTURE,),
    CONTRAST: (CONTRAST,),
    STENT: (STENT,),
}
"""The columns, with the names that a table may use for them."""
_YES_NO = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
_UNSAID = ("", "nan", "none", "null")
_BY_NAME = {structure.value.casefold(): structure for structure in Structure}
_BY_NUMBER = {str(number): structure for number, structure in enumerate(Structure)}


def read_classified(path: Path) -> dict[str, Classified]:
    """Read a classifier's table.

    Parameters
    ----------
    path : Path
        CSV, see `core.delimited`: a column SOPInstanceUID (or sop_uid) and at least one of
        main_structure_class (a name or number of `Structure`), contrast_agent_class and
        stent_presence_class (0 or 1, yes or no).  An empty cell says nothing.

    Returns
    -------
    dict of str to Classified
        By SOPInstanceUID as in the files, before pseudonymisation.

    Raises
    ------
    UsageError
        When the table cannot be used: file, line, column, what was expected and found.
    """
    found: dict[str, Classified] = {}
    lines: dict[str, int] = {}
    for row in read_rows(path, COLUMNS):
        _require_columns(path, row.cells)
        sop_uid = row.cells[SOP]
        if not is_uid(sop_uid):
            raise bad_cell(path, row.line, SOP, "a UID", sop_uid)
        said = _classified(path, row)
        if found.setdefault(sop_uid, said) != said:
            raise UsageError(
                f"{path}, lines {lines[sop_uid]} and {row.line}: expected one row a SOP instance, "
                "found two that differ",
                "leave one of them out",
            )
        lines.setdefault(sop_uid, row.line)
    if not found:
        raise UsageError(f"{path} has no rows", f"it needs the column {SOP} and one row a run")
    return found


def _require_columns(path: Path, cells: Mapping[str, str]) -> None:
    expected = f"{SOP} and at least one of {STRUCTURE}, {CONTRAST}, {STENT}"
    if SOP not in cells or len(cells) < 2:
        raise UsageError(
            f"{path}: expected the columns {expected}, found {', '.join(cells) or 'none of them'}",
            "name the columns in the first line",
        )


def _classified(path: Path, row: Row) -> Classified:
    def cell(name: str) -> str:
        # Programs write whole numbers as 1.0 where a column has gaps.
        return row.cells.get(name, "").casefold().removesuffix(".0")

    def yes_or_no(name: str) -> bool | None:
        text = cell(name)
        if text not in _YES_NO and text not in _UNSAID:
            raise bad_cell(path, row.line, name, "0 or 1", row.cells[name])
        return _YES_NO.get(text)

    text = cell(STRUCTURE).replace("_", " ")
    structure = _BY_NAME.get(text) or _BY_NUMBER.get(text)
    if structure is None and text not in _UNSAID:
        expected = f"0 to {len(Structure) - 1} or a name such as {Structure.LEFT_CORONARY}"
        raise bad_cell(path, row.line, STRUCTURE, expected, row.cells[STRUCTURE])
    return Classified(structure, yes_or_no(CONTRAST), yes_or_no(STENT))
