"""Where the rows of `commits` lie: the log that decides what is visible.

In a folder it is a Lance table, and flock sees to it that one process adds to it.  In a bucket it
is one object, `commits.parquet`, that is replaced as a whole, and only over the very state that the
writer knows: a writer that was stopped while another one took over knows an older state, so its
commit is refused, whenever it wakes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable
from typing import Final, Protocol, final

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import LeaseHeldError, StoreError
from store.objects import Found, Mark, Objects

COMMITS: Final = "commits.parquet"
_ROWS: Final = "commits"
_TRIES: Final = 10

Add = Callable[[pa.Table], None]
"""Adds the row of a commit, which makes it visible.

Raises `LeaseHeldError` when somebody else has taken the lease over; nothing is visible then.
"""


class Rows(Protocol):
    """The Lance table of the log, as `store.tables.Tables` gives it."""

    def read(self, name: str) -> pa.Table:
        """Return all rows of a table."""

    def append(self, name: str, rows: pa.Table) -> int:
        """Add rows to a table."""

    def version(self, name: str) -> int:
        """Return the newest Lance version of a table."""


class CommitLog(Protocol):
    """The log of commits of one store."""

    def make(self) -> None:
        """Make it for a new store, whose tables are there."""

    def read(self) -> pa.Table:
        """Return every row there is now, in no particular order."""

    def stamp(self) -> Hashable:
        """Return what changes whenever a row is added."""

    def begin(self, epoch: int) -> Add:
        """Return how rows are added by who holds the lease: from now on by nobody before it."""


@final
class TableLog:
    """The log in a folder: the Lance table `commits`."""

    def __init__(self, tables: Rows) -> None:
        self._tables = tables

    def make(self) -> None:
        """Do nothing: it is one of the tables."""

    def read(self) -> pa.Table:
        """Return every row there is now."""
        return self._tables.read(_ROWS)

    def stamp(self) -> Hashable:
        """Return the Lance version of the table."""
        return self._tables.version(_ROWS)

    def begin(self, epoch: int) -> Add:
        """Return how rows are added; the flock is the fence."""

        def add(row: pa.Table) -> None:
            self._tables.append(_ROWS, row)

        return add


@final
class ObjectLog:
    """The log in a bucket.

    In a folder that was copied into the bucket, it is the Lance table until a writer begins.

    Parameters
    ----------
    objects : Objects
    tables : Rows
    """

    def __init__(self, objects: Objects, tables: Rows) -> None:
        self._objects = objects
        self._tables = tables

    def make(self) -> None:
        """Write it without a row, unless a process that was killed had come so far."""
        _put(self._objects, self._tables.read(_ROWS), None)

    def read(self) -> pa.Table:
        """Return every row there is now."""
        return self._rows(self._objects.get(COMMITS))

    def stamp(self) -> Hashable:
        """Return the state of the object."""
        return self._objects.state(COMMITS)

    def begin(self, epoch: int) -> Add:
        """Return how rows are added; writes the log anew first, so that older writers are late.

        Raises
        ------
        StoreError
            When the bucket cannot be written.
        """
        for _ in range(_TRIES):
            found = self._objects.get(COMMITS)
            rows = self._rows(found)
            # The token makes another ETag of the same rows, whatever became of epochs.
            told = {"epoch": str(epoch), "token": uuid.uuid4().hex}
            rows = rows.replace_schema_metadata(told)
            mark = _put(self._objects, rows, None if found is None else found.mark)
            if mark is not None:
                return _Adding(self._objects, rows, mark)
            # The one before has committed in between: before this one begins, so that is right.
        raise StoreError(f"the log of {self._objects.uri} is written by somebody without the lease")

    def _rows(self, found: Found | None) -> pa.Table:
        if found is None:
            # Only a folder has pins: without them, this is no copy of one that nobody wrote to yet.
            if not self._objects.is_any("pins"):
                raise StoreError(
                    f"the store {self._objects.uri} is damaged: {COMMITS} is gone",
                    "restore it, or the whole store, from a backup",
                )
            return self._tables.read(_ROWS)
        try:
            return pq.read_table(pa.BufferReader(found.data))
        except pa.ArrowException as error:
            raise StoreError(f"{self._objects.uri}/{COMMITS} is damaged") from error


@final
class _Adding:
    """Adds rows to the log in a bucket, for as long as nobody else begins."""

    def __init__(self, objects: Objects, rows: pa.Table, mark: Mark) -> None:
        self._objects = objects
        self._rows = rows
        self._mark = mark

    def __call__(self, row: pa.Table) -> None:
        told = self._rows.schema.metadata
        rows = pa.concat_tables([self._rows, row.replace_schema_metadata(told)]).combine_chunks()
        mark = _put(self._objects, rows, self._mark)
        if mark is None:
            raise LeaseHeldError(
                "another process has taken over writing to this store meanwhile; nothing of this "
                "commit is visible",
                "run the same command again when that run has ended",
            )
        self._rows, self._mark = rows, mark


def _put(objects: Objects, rows: pa.Table, over: Mark | None) -> Mark | None:
    """Write the log over one state of it, and return the new one; None when it is not that."""
    out = pa.BufferOutputStream()
    pq.write_table(rows, out, compression="zstd")
    return objects.put(COMMITS, out.getvalue().to_pybytes(), over)
