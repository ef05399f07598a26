"""What one import of labels brings, as rows of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from core.errors import StoreError
from core.labels import LABELS, LabelKind
from store.tables import schema_of


@dataclass(frozen=True)
class LabelRow:
    """One label, with the identifiers of the store.

    Parameters
    ----------
    row_id : str
        What tells it from other rows of its table; see `core.labels.LabelTable.key`.
    cells : mapping
        The values by column; None where there is none.
    withdrawn : bool
        Whether the row is not to be seen any more, from this commit on.
    """

    row_id: str
    cells: Mapping[str, Any] = field(repr=False)
    """Never part of a printed row: a report may name the patient."""
    withdrawn: bool = False


@dataclass(frozen=True)
class LabelBatch:
    """Labels that become visible at once.

    Parameters
    ----------
    rows : mapping
        The new, changed and withdrawn rows of each table.
    """

    rows: Mapping[LabelKind, Sequence[LabelRow]]

    def check(self) -> None:
        """Refuse a batch that contradicts itself.

        Raises
        ------
        StoreError
            When there is nothing in it, a key occurs twice, a row has not the columns of its
            table, or a row has no patient.
        """
        if not any(self.rows.values()):
            raise StoreError("there is nothing in this batch to commit")
        for kind, rows in self.rows.items():
            if len({row.row_id for row in rows}) != len(rows):
                raise StoreError(f"a row of {kind.value} occurs twice in one batch")
            if any(set(row.cells) != set(LABELS[kind].names) for row in rows):
                raise StoreError(f"a row of {kind.value} has not the columns of its table")
            if not all(row.cells["patient_id"] for row in rows):
                raise StoreError(f"a row of {kind.value} has no patient")

    def patients(self) -> set[str]:
        """Return the store's ids of the patients in it."""
        return {row.cells["patient_id"] for rows in self.rows.values() for row in rows}

    def to_arrow(self, commit_id: str) -> dict[str, pa.Table]:
        """Return the rows of each table that has some, by its name, in the declared order."""
        return {
            kind.value: _to_arrow(kind, self.rows[kind], commit_id)
            for kind in LabelKind
            if self.rows.get(kind)
        }


def _to_arrow(kind: LabelKind, rows: Sequence[LabelRow], commit_id: str) -> pa.Table:
    columns: dict[str, list[Any]] = {
        name: [row.cells[name] for row in rows] for name in LABELS[kind].names
    }
    columns["row_id"] = [row.row_id for row in rows]
    columns["commit_id"] = [commit_id] * len(rows)
    columns["withdrawn"] = [row.withdrawn for row in rows]
    schema = schema_of(kind.value)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)
