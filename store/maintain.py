"""Compaction, retention, and the deletion of a patient.

Nothing in LanceDB compacts by itself, and each append leaves one small file and one manifest that
lists all files, so a store that is written often is to be compacted often.

Rows leave a table by a rewrite: the rows to keep are streamed into a new Lance version, which a new
store version then points to.  Older store versions go on reading the older Lance versions until
they are retired.  Both happen under the lease, so never beside a run that embeds.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from core.errors import LeaseHeldError, StoreError
from core.labels import LabelKind
from core.schema import Level
from core.settings import RetentionSettings
from store.commits import COMPACT, PURGE, CommitRecord, StoreWriter, read_log
from store.judgements import Judgements
from store.registry import Registry
from store.snapshot import Snapshot
from store.store import Store
from store.tables import LOG_TABLES, REGISTRY_TABLES, Tables, key_column, space_table
from store.tombstones import HIDDEN, PURGED, write_tombstone

RETENTION: Final = RetentionSettings()
"""The defaults."""

_WAIT_S: Final = 0.1

RowKey = tuple[str, str]
"""The key column's value and the commit_id of a row."""


@dataclass(frozen=True)
class MaintenanceReport:
    """What a compaction or a purge did.

    Parameters
    ----------
    version : int
        The newest store version afterwards.
    oldest_readable : int
        Versions before this one can no longer be read.
    rows_removed : dict of str to int
        Rows that left the newest version of each table: orphans of killed runs, superseded rows,
        rows of deleted patients.
    bytes_before, bytes_after : int
        Size of the store.
    """

    version: int
    oldest_readable: int
    rows_removed: dict[str, int]
    bytes_before: int
    bytes_after: int


def commits_since_compaction(store: Store) -> int:
    """Return how many commits came after the last one that rewrote the tables.

    Each left one small file in every table it wrote.
    """
    count = 0
    for record in reversed(read_log(store.tables)[1:]):
        if record.kind in {COMPACT, PURGE}:
            break
        count += 1
    return count


def compact(
    store: Store,
    *,
    keep_versions: int = RETENTION.keep_versions,
    grace: dt.timedelta = dt.timedelta(days=RETENTION.grace_days),
    now: dt.datetime | None = None,
    on_step: Callable[[str], None] | None = None,
) -> MaintenanceReport:
    """Remove what no readable version needs and merge small files; what is visible stays the same.

    Readable afterwards: the newest `keep_versions` versions, those younger than `grace`, those that
    somebody is reading or a saved cohort was chosen from, and every version after the oldest of
    these.

    Parameters
    ----------
    store : Store
        The store.  A table that needs it is rewritten, so as much free disk space is needed.
    keep_versions : int
        At least 1; the version that the compaction itself makes counts.
    grace : timedelta
        Not negative.
    now : datetime, optional
        With time zone; the clock by default.
    on_step : callable, optional
        Called with a name after every single write.

    Raises
    ------
    LeaseHeldError
        When a run is writing.
    StoreError
        When a write fails; readers see what they saw before.
    """
    if keep_versions < 1 or grace < dt.timedelta(0):
        raise StoreError("compaction keeps at least one version and no negative grace period")
    before = folder_bytes(store)
    cutoff = (now or dt.datetime.now(dt.UTC)) - grace
    with store.writer(_run_id(COMPACT), on_step=on_step) as writer:
        removed, table_versions = _rewrite_all(store, writer)
        with store.pins.gate(exclusive=True):
            last = writer.log[-1]
            changed = table_versions != last.table_versions
            newest = last.version + 1 if changed else last.version
            if changed or _floor(store, writer, newest - keep_versions, cutoff) > (
                last.oldest_readable
            ):
                floor = _floor(store, writer, last.version + 1 - keep_versions, cutoff)
                writer.publish(COMPACT, table_versions, oldest_readable=floor)
        _drop_retired(store, writer, unfinished=not store.place.is_fenced)
        last = writer.log[-1]
    return MaintenanceReport(
        last.version, last.oldest_readable, removed, before, folder_bytes(store)
    )


def hide_patient(store: Store, patient_id: str) -> None:
    """Delete a patient from every snapshot opened from now on; needs no lease.

    Parameters
    ----------
    store : Store
        The store.
    patient_id : str
        The patient's id in the store (see `core.ids.Identity.resolve_patient`).
    """
    tombstones = store.tombstones()
    if patient_id not in tombstones:
        write_tombstone(store.tables, tombstones.hash(patient_id), HIDDEN)


def purge_patient(
    store: Store,
    patient_id: str,
    *,
    wait_s: float = 0.0,
    on_step: Callable[[str], None] | None = None,
) -> MaintenanceReport:
    """Delete a patient for good: hidden at once, then the bytes removed from all versions.

    The older versions hold the bytes, so all of them are dropped; only the newest stays readable.
    Ledger rows of the patient's studies go too.  An input that never became part of a study (say,
    undecodable) has no patient in the store; its row, path and message stay.  After a failure or a
    kill, call it again.

    Parameters
    ----------
    store : Store
        The store.
    patient_id : str
        The patient's id in the store (see `core.ids.Identity.resolve_patient`).
    wait_s : float
        Seconds to wait for readers; those that follow the store let go by themselves.
    on_step : callable, optional
        Called with a name after every single write.

    Raises
    ------
    LeaseHeldError
        When a run is writing.  The patient is hidden, the bytes are still there.
    StoreError
        When somebody is reading an older version; the message lists the versions.  The patient is
        hidden from new snapshots, the bytes are still there.
    """
    before = folder_bytes(store)
    hide_patient(store, patient_id)
    try:
        writer = store.writer(_run_id(PURGE), on_step=on_step)
    except LeaseHeldError as error:
        raise LeaseHeldError(
            f"the patient is hidden, but the bytes stay: {error.message}",
            "run the same command again when that run has ended",
        ) from error
    with writer:
        writer.step("tombstone")
        _wait_for_readers(store, [record.version for record in writer.log], wait_s)
        removed, table_versions = _rewrite_all(store, writer)
        with store.pins.gate(exclusive=True):
            # A reader may have come while the tables were rewritten.
            _refuse_pinned(store, [record.version for record in writer.log])
            writer.publish(PURGE, table_versions, oldest_readable=writer.log[-1].version + 1)
        _drop_retired(store, writer, unfinished=True)
        tombstones = store.tombstones()
        Registry(store.tables).forget_patient(patient_id)
        Judgements(store).forget_patient(patient_id)
        writer.step("forget in cohorts")
        if not tombstones.is_purged(patient_id):
            write_tombstone(store.tables, tombstones.hash(patient_id), PURGED)
        writer.step("purged")
        last = writer.log[-1]
    return MaintenanceReport(
        last.version, last.oldest_readable, removed, before, folder_bytes(store)
    )


def folder_bytes(store: Store) -> int:
    """Return the size of all files of the store."""
    return store.place.size()


def _run_id(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def _floor(store: Store, writer: StoreWriter, droppable: int, cutoff: dt.datetime) -> int:
    """Return the oldest version to keep readable, when those up to `droppable` may go.

    The gate is held, so no pin can appear meanwhile.
    """
    oldest = writer.log[-1].oldest_readable
    candidates = [r for r in writer.log if oldest <= r.version <= droppable]
    pinned = set(store.pins.pinned(record.version for record in candidates))
    pinned |= {cohort.store_version for cohort in Registry(store.tables).cohorts()}
    for record in candidates:
        # The empty version 0 was never committed, so it has no age.
        young = record.version > 0 and record.created_at > cutoff
        if young or record.version in pinned:
            return record.version
    return max(droppable + 1, oldest)


def _wait_for_readers(store: Store, versions: list[int], wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while store.pins.pinned(versions) and time.monotonic() < until:
        time.sleep(_WAIT_S)
    _refuse_pinned(store, versions)


def _refuse_pinned(store: Store, versions: list[int]) -> None:
    pinned = store.pins.pinned(versions)
    if pinned:
        raise StoreError(
            "the patient is hidden, but the bytes stay: somebody is still reading version "
            f"{', '.join(map(str, pinned))}",
            "close or restart those readers, then run the same command again",
        )


def _rewrite_all(store: Store, writer: StoreWriter) -> tuple[dict[str, int], dict[str, int]]:
    """Bring the newest version of every table down to the visible rows, as few files."""
    removed: dict[str, int] = {}
    with store.snapshot() as snapshot:
        keep = _visible_keys(snapshot)
    versions: dict[str, int] = {}
    for name in store.tables.commit_tables():
        wanted = keep.get(name, set())
        versions[name] = writer.settle(name)
        surplus = store.tables.count(name) - len(wanted)
        if surplus or store.tables.is_fragmented(name):
            versions[name] = writer.rewrite(name, _kept(store.tables, name, wanted))
        if surplus:
            removed[name] = surplus
    # What is in no commit (tables of a killed run) is left out, unless rows are wanted of it.
    named = set(writer.log[-1].table_versions) | keep.keys()
    return removed, {name: versions[name] for name in sorted(named) if name in versions}


def _visible_keys(snapshot: Snapshot) -> dict[str, set[RowKey]]:
    def pairs(table: pa.Table, key: str) -> set[RowKey]:
        columns = (table[key].to_pylist(), table["commit_id"].to_pylist())
        return set(zip(*columns, strict=True))

    keep = {
        "inputs": pairs(snapshot.inputs(), "uri"),
        "videos": pairs(snapshot.videos(), "sop_uid"),
        "studies": pairs(snapshot.studies(), "study_uid"),
        **{
            kind.value: pairs(snapshot.label_rows(kind), "row_id")
            for kind in LabelKind
            if kind.value in snapshot.commit.table_versions
        },
    }
    for encoder_id in snapshot.spaces():
        for level in Level:
            name = f"spaces/{encoder_id}/{level}_vectors"
            keep[name] = pairs(snapshot.keys(encoder_id, level), "uid")
        name = space_table(encoder_id, "findings")
        if name in snapshot.commit.table_versions:
            keep[name] = pairs(snapshot.finding_keys(encoder_id), "study_uid")
    return keep


def _kept(tables: Tables, name: str, wanted: set[RowKey]) -> Iterator[pa.RecordBatch]:
    key = key_column(name)
    n = 0
    for batch in tables.scan(name):
        rows = zip(batch[key].to_pylist(), batch["commit_id"].to_pylist(), strict=True)
        kept = batch.filter(pa.array([row in wanted for row in rows], pa.bool_()))
        n += kept.num_rows
        yield kept
    if n != len(wanted):
        # Raising here abandons the rewrite: the table stays as it is.
        raise StoreError(f"{name} has {n} of the {len(wanted)} visible rows; it is not rewritten")


def _drop_retired(store: Store, writer: StoreWriter, *, unfinished: bool) -> None:
    """Remove tags, pins and files of retired versions and of killed commits."""
    last = writer.log[-1]
    kept = [record for record in writer.log if record.version >= last.oldest_readable]
    tags = {record.tag for record in kept}
    for name in store.tables.commit_tables():
        store.tables.keep_only_tags(name, tags)
        writer.step(f"untag {name}")
        if name not in last.table_versions:
            store.tables.clean_all_but_latest(name, unfinished=unfinished)
        else:
            store.tables.clean_before(name, _oldest_in_use(kept, name), unfinished=unfinished)
        writer.step(f"clean {name}")
    registry = [name for name in REGISTRY_TABLES if store.tables.exists(name)]
    for name in (*LOG_TABLES, *registry):
        store.tables.tidy_log(name)
        writer.step(f"tidy {name}")
    store.pins.forget(record.version for record in writer.log if record not in kept)


def _oldest_in_use(kept: list[CommitRecord], name: str) -> int:
    return min(record.table_versions[name] for record in kept if name in record.table_versions)
