"""Labels into the store: original identifiers become the store's, known rows are left alone.

All or nothing: a row that cannot be used refuses the import, and what is imported is one commit.
The same files again change nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from angioatlas.label_dialects import DateOf, Dialect
from angioatlas.label_files import LabelFile, Problems, ReadRow, find_files, read_any
from core.ids import Identity
from core.labels import LABELS, LabelKind
from core.provenance import Run
from store.labels import LabelBatch, LabelRow
from store.snapshot import Snapshot
from store.store import Store
from store.tombstones import Tombstones


@dataclass
class TableCounts:
    """What became of the rows of one table.

    Attributes
    ----------
    rows : int
        Rows in the files.
    new, changed, unchanged : int
        Rows that the store did not have, had otherwise, or had; repeated rows are unchanged.
    withdrawn : int
        Rows that the store had and the files, which replace them, have not.
    deleted_patient : int
        Rows left out since their patient was deleted from the store.
    unknown_patient : int
        Reports left out since neither file nor store knows whose they are.
    not_matched : int
        Rows kept whose patient or study the store does not hold yet.
    """

    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    deleted_patient: int = 0
    unknown_patient: int = 0
    not_matched: int = 0


@dataclass(frozen=True)
class LabelReport:
    """What an import did.

    Attributes
    ----------
    store_version : int
        The version that shows the labels; the one from before when nothing changed.
    tables : mapping
        The counts of every table that the files hold rows of.
    """

    store_version: int
    tables: Mapping[LabelKind, TableCounts] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {
            "store_version": self.store_version,
            "tables": {kind.value: asdict(counts) for kind, counts in self.tables.items()},
        }


@dataclass(frozen=True)
class _Translated:
    """A row with the identifiers of the store, and where it was read."""

    row: LabelRow
    read: ReadRow


def import_labels(
    store: Store,
    paths: Sequence[Path],
    *,
    identity: Identity,
    kind: LabelKind | Dialect | None = None,
    replace: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> LabelReport:
    """Read label tables and commit what is new or changed in them.

    Parameters
    ----------
    store : Store
    paths : sequence of Path
        Files, or folders with files named as the tables (``events.csv``).
    identity : Identity
        The identity that the store was made with; the files hold original identifiers.
    kind : LabelKind or Dialect, optional
        The table that the files hold, when their names do not tell, or another shape that they
        have.
    replace : bool
        The files are the whole of their tables: rows of the store that they do not have are
        withdrawn.
    on_step : callable, optional
        Called after every single write to the store.

    Returns
    -------
    LabelReport

    Raises
    ------
    UsageError
        When a file or a cell cannot be used: which, and what was expected.  Nothing is imported.
    LeaseHeldError
        When another process writes to the store.
    """
    read = _read(find_files(paths, kind), _StudyDates(store, identity))
    with store.writer(Run.begin().run_id, on_step=on_step) as writer:
        with store.snapshot() as snapshot:
            arrival = _Arrival(identity, snapshot, store.tombstones())
            rows = {kind: arrival.changes(kind, read[kind], replace=replace) for kind in read}
            arrival.problems.refuse()
            version = snapshot.version
        if any(rows.values()):
            version = writer.commit_labels(LabelBatch(rows))
    return LabelReport(version, arrival.counts)


class _StudyDates:
    """Original dates of studies by their original UIDs."""

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store, self._identity = store, identity

    @cached_property
    def _studies(self) -> dict[str, tuple[str, dt.date | None]]:
        with self._store.snapshot() as snapshot:
            rows = snapshot.studies().select(["study_uid", "patient_id", "study_date"]).to_pylist()
        return {row["study_uid"]: (row["patient_id"], row["study_date"]) for row in rows}

    def __call__(self, study_uid: str) -> dt.date | None:
        patient_id, date = self._studies.get(self._identity.uid(study_uid), ("", None))
        if date is None:
            return None
        return date - dt.timedelta(days=self._identity.shift_days(patient_id))


def _read(files: Iterable[LabelFile], date_of: DateOf) -> dict[LabelKind, list[ReadRow]]:
    problems = Problems()
    read: dict[LabelKind, list[ReadRow]] = {}
    for file in files:
        for kind, rows in read_any(file, problems, date_of=date_of).items():
            read.setdefault(kind, []).extend(rows)
    problems.refuse()
    return {kind: read[kind] for kind in LabelKind if kind in read}


class _Arrival:
    """Rows on their way into a store as it now is.

    Parameters
    ----------
    identity : Identity
    snapshot : Snapshot
        The newest version.
    tombstones : Tombstones
    """

    def __init__(self, identity: Identity, snapshot: Snapshot, tombstones: Tombstones) -> None:
        self._identity = identity
        self._snapshot = snapshot
        self._tombstones = tombstones
        studies = snapshot.studies().select(["study_uid", "patient_id", "patient_known"])
        self._studies = {row["study_uid"]: row for row in studies.to_pylist()}
        self._patients = {row["patient_id"] for row in self._studies.values()}
        self.counts: dict[LabelKind, TableCounts] = {}
        self.problems = Problems()

    def changes(self, kind: LabelKind, read: Sequence[ReadRow], *, replace: bool) -> list[LabelRow]:
        """Return the rows of one table that a commit is to bring."""
        counts = self.counts[kind] = TableCounts(rows=len(read))
        arrived = self._once(kind, [self._translated(kind, row) for row in read], counts)
        known = self._known(kind)
        changes = []
        for row in arrived.values():
            before = known.get(row.row_id)
            if before == row.cells:
                counts.unchanged += 1
                continue
            counts.new += before is None
            counts.changed += before is not None
            changes.append(row)
        if replace:
            gone = [LabelRow(each, known[each], True) for each in known if each not in arrived]
            counts.withdrawn = len(gone)
            changes += gone
        counts.not_matched = sum(not self._is_matched(row) for row in arrived.values())
        return changes

    def _once(
        self, kind: LabelKind, rows: Iterable[_Translated], counts: TableCounts
    ) -> dict[str, LabelRow]:
        """Return what can be kept, by row id; two rows with one key have to be equal."""
        found: dict[str, _Translated] = {}
        for each in rows:
            patient_id = each.row.cells["patient_id"]
            if patient_id is None:
                counts.unknown_patient += 1
            elif patient_id in self._tombstones:
                counts.deleted_patient += 1
            elif (first := found.setdefault(each.row.row_id, each)) is not each:
                counts.unchanged += 1
                if first.row.cells != each.row.cells:
                    self._contradicted(kind, first.read, each.read)
        return {row_id: each.row for row_id, each in found.items()}

    def _contradicted(self, kind: LabelKind, first: ReadRow, second: ReadRow) -> None:
        self.problems.add(
            second,
            second.path,
            column=", ".join(LABELS[kind].key),
            expected="one row",
            found=f"another that differs in {first.path}, line {first.line}",
        )

    def _translated(self, kind: LabelKind, read: ReadRow) -> _Translated:
        cells = dict(read.cells)
        if cells.get("study_uid"):
            cells["study_uid"] = self._identity.uid(cells["study_uid"])
        cells["patient_id"] = self._patient(read, cells.get("study_uid"))
        if cells["patient_id"] is not None:
            shift = dt.timedelta(days=self._identity.shift_days(cells["patient_id"]))
            dated = {name: cell for name, cell in cells.items() if isinstance(cell, dt.date)}
            cells |= {name: date + shift for name, date in dated.items()}
        if LABELS[kind].key == ("id",):
            given = cells.pop("id")
            cells["id"] = self._identity.label(given) if given else _digest(cells)
            return _Translated(LabelRow(cells["id"], cells), read)
        return _Translated(
            LabelRow(_digest({name: cells[name] for name in LABELS[kind].key}), cells), read
        )

    def _patient(self, read: ReadRow, study_uid: str | None) -> str | None:
        study = self._studies.get(study_uid or "")
        original = read.cells["patient_id"]
        if original is None:
            return study["patient_id"] if study else None
        patient_id = self._identity.patient(original)
        if study and study["patient_known"] and study["patient_id"] != patient_id:
            self.problems.add(
                read,
                read.path,
                column="study_uid",
                expected="a study of the patient in patient_id",
                found="one of another patient",
            )
        return patient_id

    def _known(self, kind: LabelKind) -> dict[str, dict[str, Any]]:
        names = LABELS[kind].names
        rows = self._snapshot.label_rows(kind).to_pylist()
        return {row["row_id"]: {name: row[name] for name in names} for row in rows}

    def _is_matched(self, row: LabelRow) -> bool:
        study_uid = row.cells.get("study_uid")
        return row.cells["patient_id"] in self._patients and (
            study_uid is None or study_uid in self._studies
        )


def _digest(cells: Mapping[str, Any]) -> str:
    text = json.dumps(cells, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
