"""Where a store lies: a folder (`store.folder`), or a prefix of a bucket (`store.bucket`).

A place answers what differs between the two: where LanceDB finds the tables, where the log of
commits is, how one writer and one saver at a time is seen to, and what readers hold.  Nothing else
in the store knows which it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from store.commit_log import CommitLog, Rows
from store.lease import LeaseInfo
from store.locks import FileLock


class WriterLease(Protocol):
    """The right to write, of one process at a time.

    Attributes
    ----------
    info : LeaseInfo
        This holder.
    took_over : LeaseInfo or None
        The previous holder, when it died without giving the lease back.
    epoch : int
        Grows with every holder, where a lease may be lost.
    """

    info: LeaseInfo
    took_over: LeaseInfo | None
    epoch: int

    def beat(self) -> None:
        """Note that the holder is alive."""

    def check(self) -> None:
        """Raise `LeaseHeldError` when somebody else has taken the lease over."""

    def release(self) -> None:
        """Give the lease back."""


class ReaderPins(Protocol):
    """Which versions are being read; see `store.locks.Pins`."""

    def allow(self, version: int) -> None:
        """Let readers come to a version."""

    def gate(self, *, exclusive: bool) -> AbstractContextManager[None]:
        """Hold the gate: shared to choose and pin a version, exclusive to retire some."""

    def pin(self, version: int) -> FileLock:
        """Pin a version; call inside the shared gate."""

    def pinned(self, versions: Iterable[int]) -> list[int]:
        """Return which of some versions somebody is reading."""

    def forget(self, versions: Iterable[int]) -> None:
        """Let nobody come to retired versions any more."""


class Place(Protocol):
    """Where a store lies.

    Attributes
    ----------
    is_fenced : bool
        Whether a writer may have lost its lease without knowing it yet, so that what it still does
        must do no harm.
    """

    is_fenced: bool

    @property
    def uri(self) -> str:
        """What `Store.open` finds it by, from any folder."""

    @property
    def folder(self) -> Path | None:
        """The folder; None when it is none."""

    def making(self) -> AbstractContextManager[Place]:
        """Give an empty place for a new store, which is at this one when the block ends well."""

    def reach(self) -> None:
        """Raise `StoreError` when it cannot be reached; costs nothing where it just was."""

    def connect(self, database: str) -> Any:
        """Open a LanceDB database of the store."""

    def writing(self, database: str, table: str) -> AbstractContextManager[None]:
        """Take back what the block writes to a table, with an `OSError`, unless it is whole."""

    def has_table(self, database: str, table: str) -> bool:
        """Whether a table was ever made."""

    def spaces(self) -> list[tuple[str, str]]:
        """Return (encoder_id, table) of all vector tables, committed or not."""

    def log(self, tables: Rows) -> CommitLog:
        """Return the log of commits."""

    def pins(self) -> ReaderPins:
        """Return which versions are being read."""

    def lease(self, run_id: str) -> WriterLease:
        """Take the lease, or raise `LeaseHeldError`."""

    def holder(self) -> LeaseInfo | None:
        """Return who holds the lease, or died with it."""

    def registry_lock(self) -> AbstractContextManager[None]:
        """Hold the lock that orders appends to the tables of no version, and their rewrites."""

    def size(self) -> int:
        """Return how many bytes the store has."""
