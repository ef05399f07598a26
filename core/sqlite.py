"""SQLite files that only their owner can read, shared by several processes."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 30.0
"""How long a process waits for another one's lock."""

_making: Final = threading.Lock()


def connect(path: Path) -> sqlite3.Connection:
    """Open a database in WAL mode; the file is made, with mode 0600, when absent.

    Transactions are the caller's: nothing is begun behind its back, see `transaction`.

    Raises
    ------
    OSError, sqlite3.Error
        For the caller to translate.
    """
    _make(path)
    # One connection may serve several threads, one at a time: who shares it holds a lock.
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=PATIENCE_S, check_same_thread=False
    )
    try:
        _use_wal(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK when the block fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk, say, has rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make(path: Path) -> None:
    # SQLite gives its -wal and -shm files the mode of the database, so the mode has to be right
    # before SQLite sees the file.  A file that is there is never opened here: to close it would
    # drop the POSIX locks of every connection that this process has to it, and another process
    # would then take itself for the last user and remove the journal.  Nor may a thread have a
    # connection before the one that makes the file has closed it.
    with _making:
        if not path.exists():
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for locks in this one statement, whatever the time-out: two processes
    # that open a new file at once would refuse each other.
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
