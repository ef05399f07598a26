"""The store: made, opened, read by snapshot, written by one writer."""

from __future__ import annotations

import datetime as dt
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, final
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from core.errors import NotFoundError, StoreError
from core.ids import IdentityMode, IdentityRecord
from core.provenance import software_version
from store.commits import CommitRecord, StoreWriter, read_log, readable
from store.incoming import clear_incoming
from store.lease import LOCK_FILE, Lease, LeaseInfo, holder
from store.locks import Pins
from store.snapshot import Snapshot
from store.tables import FACT_TABLES, LOG_TABLES, SCHEMAS, Tables
from store.tombstones import Tombstones
from store.visible import Visible

FORMAT_VERSION: Final = 1
"""The format of the store's folder; another one is refused."""


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
    """A store folder.  Opening one holds nothing; snapshots and writers do.

    Made by `Store.create` and `Store.open`.

    Attributes
    ----------
    path : Path
        The folder.
    uuid : str
        The store's own name, made once; copies of the folder share it.
    identity : IdentityRecord
        How identifiers were treated when the store was made.
    """

    def __init__(self, path: Path, store_uuid: str, identity: IdentityRecord) -> None:
        self.path = path
        self.uuid = store_uuid
        self.identity = identity
        self.tables = Tables(path)
        self.pins = Pins(path / "pins")

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    @classmethod
    def create(cls, path: Path | str, *, identity: IdentityRecord) -> Self:
        """Make an empty store; the folder appears complete or not at all.

        Raises
        ------
        StoreError
            When `path` is an object-store URI, exists and is not an empty folder, or cannot be
            written.
        """
        folder = local_path(path)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(
                f"{folder} exists already and is not an empty folder", "choose another folder"
            )
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.new")
        store = cls(temporary, uuid.uuid4().hex, identity)
        try:
            temporary.mkdir(parents=True)
            store._fill()
            temporary.replace(folder)
        except OSError as error:
            raise StoreError(f"the store {folder} cannot be made: {error.strerror}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(folder, store.uuid, identity)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the store in `path`.

        Raises
        ------
        NotFoundError
            When there is no store.
        StoreError
            When `path` is an object-store URI, or the store was made by another format version.
        """
        folder = local_path(path)
        tables = Tables(folder)
        if not tables.exists("meta"):
            raise NotFoundError(
                f"there is no store in {folder}",
                "`angioatlas embed FOLDER --store STORE` makes one",
            )
        rows = tables.read("meta").to_pylist()
        if len(rows) != 1:
            raise StoreError(f"the store {folder} is damaged: meta has {len(rows)} rows, not 1")
        meta = rows[0]
        if meta["format_version"] != FORMAT_VERSION:
            raise StoreError(
                f"the store {folder} has format {meta['format_version']}; this software reads "
                f"format {FORMAT_VERSION}",
                f"open it with AngioAtlas {meta['software_version']}, which made it",
            )
        identity = IdentityRecord(
            IdentityMode(meta["identity_mode"]), meta["key_fingerprint"], meta["shift_dates"]
        )
        return cls(folder, meta["store_uuid"], identity)

    def versions(self) -> list[CommitRecord]:
        """Return the commits that can be read, by version; version 0 is the empty store."""
        return readable(read_log(self.tables))

    @property
    def latest_version(self) -> int:
        """The newest version; 0 before the first commit."""
        return self.position().version

    def position(self) -> Position:
        """Return where the store stands now."""
        versions = self.tables.read("commits", columns=["version"])["version"].to_pylist()
        return Position(max(versions, default=0), len(self.tombstones()))

    def stamp(self) -> tuple[int, int]:
        """Return what changes whenever the position does, in a millisecond: a server polls it."""
        return self.tables.version("commits"), self.tables.version("tombstones")

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
        lease = Lease.take(self.path, run_id)
        try:
            clear_incoming(self.path)
            return StoreWriter(
                self.tables, self.pins, lease, tombstones=self.tombstones(), on_step=on_step
            )
        except BaseException:
            lease.release()
            raise

    def lease_holder(self) -> LeaseInfo | None:
        """Return who wrote `lease.json`: the writer, or one that died; None when nobody."""
        return holder(self.path)

    def tombstones(self) -> Tombstones:
        """Return the deleted patients, as of now; ``patient_id in store.tombstones()``."""
        return Tombstones.read(self.tables, self.uuid)

    def is_deleted(self, patient_id: str) -> bool:
        """Whether the patient was deleted; to ask for many, keep `tombstones`."""
        return patient_id in self.tombstones()

    def _fill(self) -> None:
        for name in (*LOG_TABLES, *FACT_TABLES):
            self.tables.create(name)
        (self.path / "spaces").mkdir()
        (self.path / LOCK_FILE).touch()
        self.pins.create()
        row = {
            "store_uuid": self.uuid,
            "identity_mode": self.identity.mode.value,
            "software_version": software_version(),
            "format_version": FORMAT_VERSION,
            "key_fingerprint": self.identity.key_fingerprint,
            "shift_dates": self.identity.shift_dates,
            "created_at": dt.datetime.now(dt.UTC),
        }
        self.tables.append("meta", pa.Table.from_pylist([row], schema=SCHEMAS["meta"]))


def local_path(path: Path | str) -> Path:
    """Return the folder that `path` names.

    Parameters
    ----------
    path : Path or str
        A path or a ``file://`` URI.

    Raises
    ------
    StoreError
        When it is a URI of another kind.
    """
    if isinstance(path, str) and "://" in path:
        parts = urlsplit(path)
        if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
            raise StoreError(
                f"object stores are not supported yet: {parts.scheme}://…",
                "name a folder on a local disk",
            )
        return Path(unquote(parts.path))
    return Path(path)
