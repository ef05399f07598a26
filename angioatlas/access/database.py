"""An SQLite file of this installation, opened when it is first needed."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, final

from core.closing import Closing
from core.errors import StoreError
from core.sqlite import connect, transaction


@final
class Database(Closing):
    """One file, for all threads of this process and beside other processes.

    Parameters
    ----------
    path : Path
        Made with mode 0600, in a folder with mode 0700, by the first who writes.
    what : str
        What the file is, for errors: "audit trail".
    schema : str
        Statements that make what is not there.
    synchronous : {"NORMAL", "FULL"}
        Whether a commit waits until it would outlive a power cut.  It outlives the process always.
    """

    def __init__(
        self, path: Path, what: str, schema: str, *, synchronous: Literal["NORMAL", "FULL"]
    ) -> None:
        self._path = path
        self._what = what
        self._schema = f"PRAGMA synchronous = {synchronous}; {schema}"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"Database({str(self._path)!r})"

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds; nothing when there is no file yet.

        Raises
        ------
        StoreError
            When the file cannot be read.
        """
        with self._lock, self._translated("read"):
            if self._there() is None:
                return []
            return self._open().execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, in a transaction that no other process writes beside.

        Raises
        ------
        StoreError
            When the file cannot be written.
        """
        with self._lock, self._translated("written"):
            if self._there() is None:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = self._open()
            with transaction(connection):
                yield connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._opened == self._there():
            return self._connection
        connection = connect(self._path)
        connection.executescript(self._schema)
        self._connection, self._opened = connection, self._there()
        return connection

    def _there(self) -> tuple[int, int] | None:
        # SQLite does not survive a fork, so a child opens the file for itself; and who writes to a
        # file that was deleted, or replaced, writes to nowhere.
        try:
            return os.getpid(), self._path.stat().st_ino
        except FileNotFoundError:
            return None

    @contextmanager
    def _translated(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"the {self._what} {self._path} cannot be {verb}: {error}",
                "give this installation a state folder of its own that it can write: "
                "ANGIOATLAS_STATE_DIR (`angioatlas config show`)",
            ) from error
