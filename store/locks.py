"""Advisory file locks (flock), and the pins of readers built on them.

A lock belongs to an open file and goes when its last holder dies, however it dies, so nothing has
to be cleaned up after a crash.  A child made by fork shares its parent's locks; start workers with
"spawn" or "forkserver".  flock is honest on local file systems; on network file systems it depends
on the server.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from core.errors import StoreError

_GATE: Final = "gate"


@final
class FileLock:
    """One held flock; `release` it, or let the process end."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def share(self) -> FileLock:
        """Return another holder of the same lock, which stays until both have given it back."""
        return FileLock(None if self._descriptor is None else os.dup(self._descriptor))

    def release(self) -> None:
        """Give the lock back; again is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def try_lock(path: Path, *, exclusive: bool, wait: bool = False) -> FileLock | None:
    """Lock the file `path`, which exists, or return None when another holder is in the way.

    Read permission is enough, so that a reader of a store need not be able to write it.

    Raises
    ------
    StoreError
        When the file cannot be opened or the file system has no locks.
    """
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    descriptor: int | None = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, mode if wait else mode | fcntl.LOCK_NB)
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        if error.errno in {errno.EAGAIN, errno.EACCES} and descriptor is not None:
            return None
        raise StoreError(f"{path} cannot be locked: {error.strerror}") from error
    return FileLock(descriptor)


@contextmanager
def held(path: Path, *, exclusive: bool, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of the file `path`, see `try_lock`, for the block; tell whether it is held."""
    lock = try_lock(path, exclusive=exclusive, wait=wait)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


@final
class Pins:
    """Which store versions are being read.

    A reader holds a shared lock on ``pins/<version>`` for as long as it reads.  Choosing a version
    and pinning it happens behind a shared lock on ``pins/gate``; retiring versions happens behind
    an exclusive one, so no reader can slip in between the check and the retirement.

    Parameters
    ----------
    folder : Path
        The folder `pins` of a store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self) -> None:
        """Make the folder, its gate, and the pin of the empty version 0."""
        self._folder.mkdir()
        (self._folder / _GATE).touch()
        self.allow(0)

    def allow(self, version: int) -> None:
        """Make the file that readers of `version` will lock."""
        (self._folder / str(version)).touch()

    @contextmanager
    def gate(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the gate: shared to choose and pin a version, exclusive to retire some."""
        with held(self._folder / _GATE, exclusive=exclusive):
            yield

    def pin(self, version: int) -> FileLock:
        """Pin `version`; call inside the shared gate."""
        lock = try_lock(self._folder / str(version), exclusive=False, wait=True)
        if lock is None:  # pragma: no cover - a waiting lock is granted or raises
            raise StoreError(f"version {version} cannot be pinned")
        return lock

    def pinned(self, versions: Iterable[int]) -> list[int]:
        """Return which of `versions` somebody is reading."""
        return [version for version in versions if self._is_pinned(version)]

    def forget(self, versions: Iterable[int]) -> None:
        """Remove the files of retired versions."""
        for version in versions:
            (self._folder / str(version)).unlink(missing_ok=True)

    def _is_pinned(self, version: int) -> bool:
        path = self._folder / str(version)
        if not path.exists():
            return False
        lock = try_lock(path, exclusive=True)
        if lock is None:
            return True
        lock.release()
        return False
