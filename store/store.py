"""The store: made, opened, read by snapshot, written by one writer."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, final
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from core.errors import NotFoundError, StoreError
from core.ids import IdentityMode, IdentityRecord
from core.provenance import software_version
from store.bucket import Bucket
from store.commits import CommitRecord, StoreWriter, read_log, readable
from store.folder import Folder
from store.incoming import clear_incoming
from store.lease import LeaseInfo
from store.place import Place
from store.snapshot import Snapshot
from store.tables import FACT_TABLES, LOG_TABLES, SCHEMAS, Tables
from store.tombstones import Tombstones
from store.visible import Visible

FORMAT_VERSION: Final = 1
"""The format of the store; another one is refused."""

Where = Path | str | Place
"""A path, a URI, or a place that was made of one."""


@dataclass(frozen=True)
class Position:
    """What to compare to see whether a new snapshot would differ.

    Parameters
    ----------
    version : int
        The newest store version.
    deletions : int
        How many patients are deleted.
    """

    version: int
    deletions: int


@final
class Store:
    """A store.  Opening one holds nothing; snapshots and writers do.

    Made by `Store.create` and `Store.open`.

    Attributes
    ----------
    place : Place
        Where it lies.
    uuid : str
        The store's own name, made once; copies of the store share it.
    identity : IdentityRecord
        How identifiers were treated when the store was made.
    """

    def __init__(self, place: Place, store_uuid: str, identity: IdentityRecord) -> None:
        self.place = place
        self.uuid = store_uuid
        self.identity = identity
        self.tables = Tables(place)
        self.pins = place.pins()

    def __repr__(self) -> str:
        return f"Store({str(self.place)!r})"

    @property
    def path(self) -> Path:
        """The folder of a store that lies in one.

        Raises
        ------
        StoreError
            When it does not.
        """
        if self.place.folder is None:
            raise StoreError(f"the store {self.place} is no folder", "use its URI: `place.uri`")
        return self.place.folder

    @classmethod
    def create(cls, where: Where, *, identity: IdentityRecord) -> Self:
        """Make an empty store; it appears complete or not at all.

        Raises
        ------
        StoreError
            When there is something already, or it cannot be written.
        LeaseHeldError
            When another process is making it.
        """
        place = place_of(where)
        store_uuid = uuid.uuid4().hex
        with place.making() as aside:
            _fill(Tables(aside), store_uuid, identity)
        return cls(place, store_uuid, identity)

    @classmethod
    def open(cls, where: Where) -> Self:
        """Open the store in a folder or a bucket.

        Raises
        ------
        NotFoundError
            When there is no store.
        StoreError
            When it cannot be reached, or was made by another format version.
        """
        place = place_of(where)
        tables = Tables(place)
        if not tables.exists("meta"):
            raise NotFoundError(
                f"there is no store in {place}",
                "`angioatlas embed FOLDER --store STORE` makes one",
            )
        rows = tables.read("meta").to_pylist()
        if len(rows) != 1:
            raise StoreError(f"the store {place} is damaged: meta has {len(rows)} rows, not 1")
        meta = rows[0]
        if meta["format_version"] != FORMAT_VERSION:
            raise StoreError(
                f"the store {place} has format {meta['format_version']}; this software reads "
                f"format {FORMAT_VERSION}",
                f"open it with AngioAtlas {meta['software_version']}, which made it",
            )
        identity = IdentityRecord(
            IdentityMode(meta["identity_mode"]), meta["key_fingerprint"], meta["shift_dates"]
        )
        return cls(place, meta["store_uuid"], identity)

    def versions(self) -> list[CommitRecord]:
        """Return the commits that can be read, by version; version 0 is the empty store."""
        return readable(read_log(self.tables))

    @property
    def latest_version(self) -> int:
        """The newest version; 0 before the first commit."""
        return self.position().version

    def position(self) -> Position:
        """Return where the store stands now."""
        versions = self.tables.log.read()["version"].to_pylist()
        return Position(max(versions, default=0), len(self.tombstones()))

    def stamp(self) -> Hashable:
        """Return what changes whenever the position does, in a millisecond: a server polls it."""
        return self.tables.log.stamp(), self.tables.version("tombstones")

    def snapshot(self, version: int | None = None, *, after: Snapshot | None = None) -> Snapshot:
        """Open a version, by default the newest, and pin it.

        Parameters
        ----------
        version : int, optional
        after : Snapshot, optional
            An older one of this store: what it has read, the new one has, and reads of it only what
            changed.

        Raises
        ------
        NotFoundError
            When the version was never committed, or is retired.
        """
        with self.pins.gate(exclusive=False):
            records = read_log(self.tables)
            wanted = records[-1].version if version is None else version
            commit = next((r for r in readable(records) if r.version == wanted), None)
            if commit is None:
                first, last = readable(records)[0].version, records[-1].version
                raise NotFoundError(
                    f"the store has no version {wanted} to read; it has {first} to {last}"
                )
            # Read behind the gate, so that a deletion before a purge is never missed.
            tombstones = self.tombstones()
            pin = self.pins.pin(commit.version)
        visible = Visible(self.tables, records, commit, tombstones)
        snapshot = Snapshot(commit, visible, deletions=len(tombstones), pin=pin)
        if after is not None:
            try:
                snapshot.take_over(after)
            except BaseException:
                snapshot.close()
                raise
        return snapshot

    def writer(self, run_id: str, *, on_step: Callable[[str], None] | None = None) -> StoreWriter:
        """Take the lease and return the writer, which is a context manager.

        What machines handed in to a writer that died is removed.

        Parameters
        ----------
        run_id : str
            Names the run in the ledger and the log.
        on_step : callable, optional
            Called with a name after every single write.

        Raises
        ------
        LeaseHeldError
            When a living process holds the lease.
        """
        lease = self.place.lease(run_id)
        try:
            clear_incoming(self.place.uri)
            return StoreWriter(
                self.tables, self.pins, lease, tombstones=self.tombstones(), on_step=on_step
            )
        except BaseException:
            lease.release()
            raise

    def lease_holder(self) -> LeaseInfo | None:
        """Return who wrote `lease.json`: the writer, or one that died; None when nobody."""
        return self.place.holder()

    def tombstones(self) -> Tombstones:
        """Return the deleted patients, as of now; ``patient_id in store.tombstones()``."""
        return Tombstones.read(self.tables, self.uuid)

    def is_deleted(self, patient_id: str) -> bool:
        """Whether the patient was deleted; to ask for many, keep `tombstones`."""
        return patient_id in self.tombstones()


def _fill(tables: Tables, store_uuid: str, identity: IdentityRecord) -> None:
    row = {
        "store_uuid": store_uuid,
        "identity_mode": identity.mode.value,
        "software_version": software_version(),
        "format_version": FORMAT_VERSION,
        "key_fingerprint": identity.key_fingerprint,
        "shift_dates": identity.shift_dates,
        "created_at": dt.datetime.now(dt.UTC),
    }
    for name in (*LOG_TABLES, *FACT_TABLES):
        if name != "meta":
            tables.create(name)
    tables.log.make()
    # Last of all, with its row at once: what makes it a store.
    tables.create("meta", pa.Table.from_pylist([row], schema=SCHEMAS["meta"]))


def place_of(where: Where) -> Place:
    """Return the place that a path or URI names.

    Parameters
    ----------
    where : Place, Path or str
        A path, a ``file://`` URI, or one of an object store.

    Raises
    ------
    StoreError
        When it is a URI of another kind.
    """
    if isinstance(where, Path):
        return Folder(where)
    if not isinstance(where, str):
        return where
    if "://" not in where:
        return Folder(Path(where))
    parts = urlsplit(where)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Folder(Path(unquote(parts.path)))
    return Bucket(where)
