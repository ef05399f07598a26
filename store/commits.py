"""One store version over several tables: the log of commits, and the one who writes it.

LanceDB versions each table by itself.  A commit appends to the tables one after the other, tags the
resulting Lance version of each, and last of all adds one row to the table `commits`; that row is
what makes the new rows visible.  Whoever dies before it leaves rows that nobody sees and that the
next compaction removes.  Where the log lies, and what keeps a writer that lost its lease from
adding to it, is the matter of `store.commit_log`.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, final

import pyarrow as pa

from core.closing import Closing
from core.errors import StoreError
from core.provenance import software_version
from store.batch import CommitBatch
from store.inputs import rows_to_arrow
from store.labels import LabelBatch
from store.lease import LeaseInfo
from store.place import ReaderPins, WriterLease
from store.rows import (
    findings_to_arrow,
    studies_to_arrow,
    study_vectors_to_arrow,
    video_vectors_to_arrow,
    videos_to_arrow,
)
from store.tables import SCHEMAS, Tables, space_table
from store.tombstones import Tombstones

EMBED: Final = "embed"
LABELS: Final = "labels"
COMPACT: Final = "compact"
PURGE: Final = "purge"


@dataclass(frozen=True)
class CommitRecord:
    """One row of the log.

    Parameters
    ----------
    version : int
        The store version, 1, 2, 3 …; 0 is the empty store, which has no row.
    commit_id : str
        What the rows of this commit carry; never used again.
    kind : str
        ``embed``, ``labels``, ``compact`` or ``purge``.
    run_id : str
        The run that made it.
    encoder_id : str or None
        The space whose vectors it brought.
    created_at : datetime
        UTC.
    table_versions : mapping of str to int
        Lance version of each table as of this commit.
    oldest_readable : int
        Versions before this one are retired.
    """

    version: int
    commit_id: str
    kind: str
    run_id: str
    encoder_id: str | None
    created_at: dt.datetime
    table_versions: Mapping[str, int] = field(default_factory=dict)
    oldest_readable: int = 0

    @property
    def tag(self) -> str:
        """The Lance tag of this commit's table versions."""
        return f"c-{self.commit_id}"


EMPTY: Final = CommitRecord(0, "", EMBED, "", None, dt.datetime.fromtimestamp(0, dt.UTC))
"""The store as it was made."""


def read_log(tables: Tables) -> list[CommitRecord]:
    """Return every commit there is now, retired ones too, by version; the first is `EMPTY`."""
    records = [
        CommitRecord(
            version=row["version"],
            commit_id=row["commit_id"],
            kind=row["kind"],
            run_id=row["run_id"],
            encoder_id=row["encoder_id"],
            created_at=row["created_at"],
            table_versions=json.loads(row["table_versions"]),
            oldest_readable=row["oldest_readable"],
        )
        for row in tables.log.read().to_pylist()
    ]
    return [EMPTY, *sorted(records, key=lambda record: record.version)]


def readable(records: list[CommitRecord]) -> list[CommitRecord]:
    """Return the commits of `records` that are not retired."""
    oldest = records[-1].oldest_readable
    return [record for record in records if record.version >= oldest]


@final
class StoreWriter(Closing):
    """The one writer of a store, for as long as it holds the lease.

    Made by `Store.writer`.

    Parameters
    ----------
    tables, pins, lease
        Of the store; the lease is held and is released by `close`.
    tombstones : Tombstones
        As of the start.
    on_step : callable
        Called with a name after every single write; a test ends the process there.
    """

    def __init__(
        self,
        tables: Tables,
        pins: ReaderPins,
        lease: WriterLease,
        *,
        tombstones: Tombstones,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.tables = tables
        self.pins = pins
        self._lease = lease
        self._tombstones = tombstones
        self._on_step: Callable[[str], None] = on_step or (lambda name: None)
        # Nobody else commits while the lease is held, so the log is read once.
        self._add = tables.log.begin(lease.epoch)
        self._log = read_log(tables)
        self._own: dict[str, int] = {}

    @property
    def took_over(self) -> LeaseInfo | None:
        """The previous writer, when it died without giving its lease back."""
        return self._lease.took_over

    @property
    def log(self) -> list[CommitRecord]:
        """Every commit, the newest last."""
        return list(self._log)

    def close(self) -> None:
        """Give the lease back."""
        self._lease.release()

    def heartbeat(self) -> None:
        """Note that the writer is alive; a commit does so too."""
        self._lease.beat()

    def step(self, name: str) -> None:
        """Say that something was written; go on only while the lease is held.

        Raises
        ------
        LeaseHeldError
            When somebody else has taken it over.
        """
        self._on_step(name)
        self._lease.check()

    def commit(self, batch: CommitBatch) -> int:
        """Make everything in `batch` visible at once and return the new store version.

        The order of writes is inputs, videos, video vectors, study vectors, findings, studies,
        tags, and last the row in `commits`.

        Raises
        ------
        StoreError
            When the batch contradicts itself (see `CommitBatch.check`), holds a patient that was
            deleted before this writer was opened, or a write fails.  Nothing is visible then.
        """
        batch.check()
        self._refuse_deleted(
            (study.patient_id for study in batch.studies),
            "a study",
            "skip the patient's inputs with the code patient_deleted",
        )
        commit_id = uuid.uuid4().hex
        run_id = self._lease.info.run_id
        parts: list[tuple[str, pa.Table]] = [
            ("inputs", rows_to_arrow(batch.inputs, run_id=run_id, commit_id=commit_id)),
            ("videos", videos_to_arrow(batch.cines, commit_id)),
        ]
        if batch.encoder_id and batch.video_vectors and batch.study_vectors:
            parts += [
                (
                    space_table(batch.encoder_id, "video_vectors"),
                    video_vectors_to_arrow(batch.video_vectors, commit_id),
                ),
                (
                    space_table(batch.encoder_id, "study_vectors"),
                    study_vectors_to_arrow(batch.study_vectors, commit_id),
                ),
            ]
        if batch.encoder_id and batch.findings:
            parts.append(
                (
                    space_table(batch.encoder_id, "findings"),
                    findings_to_arrow(batch.findings, commit_id),
                )
            )
        parts.append(("studies", studies_to_arrow(batch.studies, commit_id)))
        versions = dict(self._log[-1].table_versions)
        versions.update({name: self._append(name, rows) for name, rows in parts if rows.num_rows})
        return self.publish(EMBED, versions, commit_id=commit_id, encoder_id=batch.encoder_id)

    def commit_labels(self, batch: LabelBatch) -> int:
        """Make the labels in `batch` visible at once and return the new store version.

        Raises
        ------
        StoreError
            When the batch contradicts itself (see `LabelBatch.check`), holds a patient that was
            deleted before this writer was opened, or a write fails.  Nothing is visible then.
        """
        batch.check()
        self._refuse_deleted(batch.patients(), "a label", "leave the patient's rows out")
        commit_id = uuid.uuid4().hex
        versions = dict(self._log[-1].table_versions)
        for name, rows in batch.to_arrow(commit_id).items():
            versions[name] = self._append(name, rows)
        return self.publish(LABELS, versions, commit_id=commit_id)

    def publish(
        self,
        kind: str,
        table_versions: Mapping[str, int],
        *,
        commit_id: str | None = None,
        encoder_id: str | None = None,
        oldest_readable: int | None = None,
    ) -> int:
        """Tag the Lance versions and add the row to the log; return the new store version."""
        last = self._log[-1]
        record = CommitRecord(
            version=last.version + 1,
            commit_id=commit_id or uuid.uuid4().hex,
            kind=kind,
            run_id=self._lease.info.run_id,
            encoder_id=encoder_id,
            created_at=dt.datetime.now(dt.UTC),
            table_versions=dict(table_versions),
            oldest_readable=last.oldest_readable if oldest_readable is None else oldest_readable,
        )
        self._lease.check()
        for name, lance_version in record.table_versions.items():
            self.tables.tag(name, record.tag, lance_version)
            self.step(f"tag {name}")
        self.pins.allow(record.version)
        self.step("pin")
        self._add(_to_arrow(record))
        self._on_step("commits")
        self._log.append(record)
        # It is visible, whatever became of the lease meanwhile; the next step asks.
        with suppress(StoreError):
            self._lease.beat()
        return record.version

    def _refuse_deleted(self, patients: Iterable[str], what: str, hint: str) -> None:
        if self._tombstones.among(patients):
            raise StoreError(
                f"the batch holds {what} of a patient who was deleted from this store", hint
            )

    def _append(self, name: str, rows: pa.Table) -> int:
        if not self.tables.exists(name):
            self.tables.create(name)
            self.step(f"create {name}")
        self._own[name] = self.tables.append(name, rows, onto=self._base(name))
        self.step(name)
        return self._own[name]

    def settle(self, name: str) -> int:
        """Return the Lance version of a table that holds all that is committed, and is the newest.

        Where a writer may have lost its lease without knowing it yet, what it wrote to the table is
        left out: the rows of an append would be seen by nobody, but a rewrite of what it knew of
        would lack the rows that came after.
        """
        base = self._base(name)
        return self.tables.version(name) if base is None else self.tables.settle(name, base)

    def rewrite(self, name: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Replace the rows of a table by those that are wanted of it; return its Lance version."""
        self._own[name] = self.tables.rewrite(name, batches)
        self.step(f"rewrite {name}")
        return self._own[name]

    def _base(self, name: str) -> int | None:
        """Return the Lance version that this writer's rows come after; None is the newest."""
        if not self.tables.place.is_fenced:
            return None
        return self._own.get(name, self._log[-1].table_versions.get(name))


def _to_arrow(record: CommitRecord) -> pa.Table:
    row = {
        "commit_id": record.commit_id,
        "kind": record.kind,
        "run_id": record.run_id,
        "table_versions": json.dumps(dict(record.table_versions), sort_keys=True),
        "software_version": software_version(),
        "version": record.version,
        "oldest_readable": record.oldest_readable,
        "encoder_id": record.encoder_id,
        "created_at": record.created_at,
    }
    return pa.Table.from_pylist([row], schema=SCHEMAS["commits"])
