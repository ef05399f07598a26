"""A store below a prefix of a bucket of an object store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, final
from urllib.parse import urlsplit

from core.errors import StoreError
from store.commit_log import COMMITS, CommitLog, ObjectLog, Rows
from store.lease import LeaseInfo
from store.locks import FileLock
from store.object_lease import LEASE, REGISTRY, ObjectLease, holder, mutex
from store.objects import CLOCK, CONNECT_S, Objects
from store.place import Place, ReaderPins, WriterLease

DEAD_AFTER_S: Final = 60.0
"""Without a sign of life for this long, a writer counts as dead."""
_SCHEMES: Final = ("s3", "gs", "az")
_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*(/[A-Za-z0-9][A-Za-z0-9._=-]*)*")
_META: Final = ("tables", "meta")
_OF_NO_STORE_YET: Final = {LEASE, COMMITS, "tables"}
"""What a process may leave that is killed while it makes a store; and clocks."""
_RETRIES: Final = {
    # LanceDB's own are minutes, and it tries most things six times over.
    "connect_timeout": f"{CONNECT_S}s",
    "client_max_retries": "3",
    "client_retry_timeout": "15",
}


@final
class Bucket:
    """A prefix of a bucket, whose locks are objects that are only written over a known state.

    Parameters
    ----------
    uri : str
        ``s3://bucket/prefix``, or with ``gs`` or ``az``.
    dead_after_s : float
        Seconds without a sign of life after which a writer counts as dead.
    """

    is_fenced = True
    folder = None

    def __init__(self, uri: str, *, dead_after_s: float = DEAD_AFTER_S) -> None:
        self.uri = checked(uri)
        self._dead_after_s = dead_after_s
        self._objects = Objects(self.uri)

    def __str__(self) -> str:
        return self.uri

    @contextmanager
    def making(self) -> Iterator[Place]:
        """Give this place, while nobody else may; what a killed process began is gone on with.

        The table `meta` is made last and makes it a store.
        """
        self._refuse_what_is_there()  # before anything is written beside it
        lease = self.lease("makes the store")
        try:
            self._refuse_what_is_there()
            self._objects.check_conditions()
            yield self
        finally:
            lease.release()

    def reach(self) -> None:
        """Raise `StoreError` when the server does not answer, or not as it should."""
        self._objects.reach()

    def connect(self, database: str) -> Any:
        """Open a LanceDB database of the store, which finds credentials as `Objects` does."""
        import lancedb

        return lancedb.connect(f"{self.uri}/{database}", storage_options=_RETRIES)

    def writing(self, database: str, table: str) -> AbstractContextManager[None]:
        """Do nothing: an object is put as a whole."""
        return nullcontext()

    def has_table(self, database: str, table: str) -> bool:
        """Whether a table was ever made."""
        return self._objects.is_any(f"{database}/{table}.lance/_versions")

    def spaces(self) -> list[tuple[str, str]]:
        """Return (encoder_id, table) of all vector tables, committed or not."""
        return sorted(
            (encoder_id, name.removesuffix(".lance"))
            for encoder_id in self._objects.folders("spaces")
            for name in self._objects.folders(f"spaces/{encoder_id}")
        )

    def log(self, tables: Rows) -> CommitLog:
        """Return the log of commits: an object."""
        return ObjectLog(self._objects, tables)

    def pins(self) -> ReaderPins:
        """Return the pins that nobody can hold."""
        return NoPins()

    def lease(self, run_id: str) -> WriterLease:
        """Take the lease, or raise `LeaseHeldError`."""
        return ObjectLease.take(self._objects, run_id, dead_after_s=self._dead_after_s)

    def holder(self) -> LeaseInfo | None:
        """Return who holds the lease, or died with it."""
        return holder(self._objects)

    def registry_lock(self) -> AbstractContextManager[None]:
        """Hold the lock of saved things."""
        return mutex(self._objects, REGISTRY, dead_after_s=self._dead_after_s)

    def size(self) -> int:
        """Return how many bytes all objects have."""
        return self._objects.size()

    def _refuse_what_is_there(self) -> None:
        there = {*self._objects.folders(), *self._objects.names()} - _OF_NO_STORE_YET
        if any(not name.startswith(CLOCK) for name in there) or self.has_table(*_META):
            raise StoreError(f"{self.uri} exists already and is not empty", "choose another prefix")


@final
class NoPins:
    """The pins of a bucket: none, so a version is retired by age, whoever reads it."""

    def allow(self, version: int) -> None:
        """Do nothing."""

    @contextmanager
    def gate(self, *, exclusive: bool) -> Iterator[None]:
        """Do nothing."""
        yield

    def pin(self, version: int) -> FileLock:
        """Return a lock of nothing."""
        return FileLock(None)

    def pinned(self, versions: Iterable[int]) -> list[int]:
        """Return that nobody is known to read any."""
        return []

    def forget(self, versions: Iterable[int]) -> None:
        """Do nothing."""


def checked(uri: str) -> str:
    """Return the URI of a store in a bucket, without a slash at its end.

    Raises
    ------
    StoreError
        When it is none; what it holds is not repeated, since it may be a secret.
    """
    parts = urlsplit(uri)
    prefix = parts.path.strip("/")
    if parts.scheme not in _SCHEMES:
        raise StoreError(
            f"a store cannot lie in {parts.scheme}://…",
            f"name a folder, or {', '.join(f'{s}://BUCKET/PREFIX' for s in _SCHEMES)}",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise StoreError(
            f"a URI of a store holds no credentials and options: {parts.scheme}://…",
            "give them in the environment (docs/operations.md)",
        )
    if not parts.netloc or not _PREFIX.fullmatch(prefix):
        raise StoreError(
            f"{parts.scheme}://{parts.netloc}/{prefix[:100]} does not name a bucket and a prefix",
            "such as s3://bucket/atlas; letters, digits, '.', '_', '=', '-' and '/' only",
        )
    return f"{parts.scheme}://{parts.netloc}/{prefix}"
