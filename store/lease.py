"""One writer of embeddings at a time.

The lease is a flock on `lease.lock`: the operating system frees it when its holder dies, so a dead
writer is taken over at once and never by a time-out that could hit a living one.  `lease.json` says
who holds it, for people; nothing is decided by it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import socket
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from core.errors import LeaseHeldError
from store.failures import failed
from store.locks import FileLock, try_lock

LOCK_FILE: Final = "lease.lock"
INFO_FILE: Final = "lease.json"


@dataclasses.dataclass(frozen=True)
class LeaseInfo:
    """Who holds, or held, the lease.

    Parameters
    ----------
    host, pid, run_id
        The process.
    started_at, heartbeat_at : str
        ISO 8601, UTC: when it took the lease and when it last committed.
    """

    host: str
    pid: int
    run_id: str
    started_at: str
    heartbeat_at: str


@final
class Lease:
    """The lease of one store, held from `take` to `release`.

    Attributes
    ----------
    info : LeaseInfo
        This holder.
    took_over : LeaseInfo or None
        The previous holder, when it died without giving the lease back.
    epoch : int
        Nothing here; where the lease may be lost, it grows with every holder.
    """

    epoch = 0

    def __init__(
        self, folder: Path, lock: FileLock, info: LeaseInfo, took_over: LeaseInfo | None
    ) -> None:
        self._folder = folder
        self._lock = lock
        self.info = info
        self.took_over = took_over

    @classmethod
    def take(cls, folder: Path, run_id: str) -> Self:
        """Take the lease of the store in `folder`.

        Raises
        ------
        LeaseHeldError
            When a living process holds it; the message names process, host and since when.
        """
        lock = try_lock(folder / LOCK_FILE, exclusive=True)
        if lock is None:
            raise LeaseHeldError(
                held_by(holder(folder)), "wait for it to end, or stop that process; readers go on"
            )
        now = now_text()
        info = LeaseInfo(socket.gethostname(), os.getpid(), run_id, now, now)
        lease = cls(folder, lock, info, took_over=holder(folder))
        try:
            lease._write()
        except BaseException:
            lock.release()
            raise
        return lease

    def beat(self) -> None:
        """Note that the holder is alive."""
        self.info = dataclasses.replace(self.info, heartbeat_at=now_text())
        self._write()

    def check(self) -> None:
        """Make sure that the lease is still held, as it is: no living process loses a flock."""

    def release(self) -> None:
        """Give the lease back."""
        # A disk that has become read-only keeps the note; the lock is what counts.
        with suppress(OSError):
            (self._folder / INFO_FILE).unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _write(self) -> None:
        temporary = self._folder / f".{INFO_FILE}.{uuid.uuid4().hex}"
        try:
            temporary.write_text(json.dumps(dataclasses.asdict(self.info)), encoding="utf-8")
            temporary.replace(self._folder / INFO_FILE)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise failed("noting who writes to the store", error) from error


def holder(folder: Path) -> LeaseInfo | None:
    """Return what `lease.json` says; None when it is absent or cannot be understood."""
    try:
        return LeaseInfo(**json.loads((folder / INFO_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def held_by(info: LeaseInfo | None) -> str:
    """Say who writes."""
    if info is None:
        return "another process is writing to this store"
    return (
        f"process {info.pid} on {info.host} (run {info.run_id}) is writing to this store since "
        f"{info.started_at}; its last sign of life was at {info.heartbeat_at}"
    )


def now_text() -> str:
    """Return the time as it stands in a lease."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
