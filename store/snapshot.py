"""One version of the store, as a reader sees it, for as long as the reader wants.

A snapshot holds a pin (`store.locks.Pins`), so nothing it needs is removed under it.  Deleted
patients are those deleted when it was opened: a new snapshot of an old version does not show a
patient who was deleted since.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.closing import Closing
from core.errors import NotFoundError, StoreError, UsageError
from core.schema import EMBEDDING_DIM, Level
from store.commits import CommitRecord
from store.inputs import Ledger
from store.locks import FileLock
from store.tables import Tables, space_table
from store.tombstones import Tombstones
from store.visibility import (
    Facts,
    commit_order,
    read_facts,
    read_inputs,
    read_study_keys,
    read_video_keys,
    read_videos,
)

VectorKind = Literal["embedding", "pooled"]

_FEW_COMMITS: Final = 64
"""Up to this many commits, rows are asked for by commit; beyond, the table is scanned."""
_SAFE_TO_QUOTE: Final = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.SyntaxException,
)


@dataclass(frozen=True)
class VectorBatch:
    """Some vectors of a stream.

    Parameters
    ----------
    positions : array [m], int64
        Rows of the key table that the vectors belong to.
    vectors : array [m, 512], float32
        The vectors, in the order of `positions`.
    """

    positions: NDArray[np.int64]
    vectors: NDArray[np.float32]


@final
class Snapshot(Closing):
    """A pinned version.  Made by `Store.snapshot`; use it as a context manager or `close` it.

    It may be used from several threads.

    Attributes
    ----------
    commit : CommitRecord
        The commit whose version this is.
    deletions : int
        How many patients were deleted when the snapshot was opened.
    """

    def __init__(
        self,
        tables: Tables,
        records: Sequence[CommitRecord],
        commit: CommitRecord,
        *,
        tombstones: Tombstones,
        pin: FileLock,
    ) -> None:
        self._tables = tables
        self._commits = commit_order(records, commit.version)
        self._tombstones = tombstones
        self._pin = pin
        self._lock = threading.RLock()
        self._keys: dict[tuple[str, Level], pa.Table] = {}
        self._closed = False
        self.commit = commit
        self.deletions = len(tombstones)

    @property
    def version(self) -> int:
        """The store version."""
        return self.commit.version

    def __repr__(self) -> str:
        return f"Snapshot(version={self.version})"

    def close(self) -> None:
        """Let the version go."""
        with self._lock:
            if not self._closed:
                self._closed = True
                if "_connection" in self.__dict__:
                    self._connection.close()
                self._pin.release()

    def studies(self) -> pa.Table:
        """Return the visible rows of `studies`, by study_uid."""
        with self._lock:
            return self._facts.studies

    def videos(self) -> pa.Table:
        """Return the visible rows of `videos`, by sop_uid."""
        with self._lock:
            return self._videos

    def inputs(self) -> pa.Table:
        """Return the current ledger row of every input, by uri."""
        with self._lock:
            return read_inputs(self._tables, self.commit.table_versions, self._facts)

    def ledger(self) -> Ledger:
        """Return the ledger for look-ups; build it once and keep it."""
        return Ledger(self.inputs())

    def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """Answer one SELECT over the views `studies`, `videos` and `inputs`.

        Parameters
        ----------
        query : str
            One statement of DuckDB's SQL.  It reaches no file and no network.
        params : sequence or mapping, optional
            Values for ``?`` or ``$name`` in the query; anything a user typed belongs here.

        Raises
        ------
        UsageError
            When it is not one SELECT, or DuckDB refuses it.
        """
        with self._lock:
            connection = self._connection.cursor()
        try:
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError("the query is not one SELECT statement")
            relation = connection.sql(statements[0], params=params)
            return relation.to_arrow_table()
        except duckdb.Error as error:
            # Errors of these kinds quote the query; others may quote values of patients.
            quotable = isinstance(error, _SAFE_TO_QUOTE)
            cause = str(error).splitlines()[0] if quotable else type(error).__name__
            raise UsageError(f"the query failed: {cause}") from error
        finally:
            connection.close()

    def spaces(self) -> list[str]:
        """Return the encoder ids that have vectors in this version, sorted."""
        names = (name.split("/") for name in self.commit.table_versions)
        return sorted({parts[1] for parts in names if parts[0] == "spaces"})

    def keys(self, encoder_id: str, level: Level) -> pa.Table:
        """Return what is visible in an encoder space.

        Returns
        -------
        pa.Table
            uid (study or SOP instance), study_uid, patient_id, commit_id; by uid in byte order.

        Raises
        ------
        NotFoundError
            When the version has no such space.
        """
        with self._lock:
            if (encoder_id, level) not in self._keys:
                self._keys[encoder_id, level] = self._read_keys(encoder_id, level)
            return self._keys[encoder_id, level]

    def vectors(
        self,
        encoder_id: str,
        level: Level,
        *,
        keys: pa.Table | None = None,
        kind: VectorKind = "embedding",
    ) -> tuple[pa.Table, NDArray[np.float32]]:
        """Return vectors in the order of their keys.

        Parameters
        ----------
        encoder_id : str
            The space.
        level : Level
            Studies or videos.
        keys : pa.Table, optional
            Some rows of ``keys(encoder_id, level)``; all of them by default.
        kind : {"embedding", "pooled"}
            The joint embedding, or (videos only) the vector before the aggregator.

        Returns
        -------
        keys : pa.Table
            As given, or all.
        vectors : array [n, 512], float32, C-contiguous
            Row i belongs to row i of the keys.

        Raises
        ------
        NotFoundError
            When the version has no such space.
        StoreError
            When a key has no vector in this version.
        """
        keys = self.keys(encoder_id, level) if keys is None else keys
        out = np.empty((keys.num_rows, EMBEDDING_DIM), np.float32)
        found = np.zeros(keys.num_rows, bool)
        for batch in self.stream_vectors(encoder_id, level, keys=keys, kind=kind):
            out[batch.positions] = batch.vectors
            found[batch.positions] = True
        if not found.all():
            missing = int(np.count_nonzero(~found))
            raise StoreError(
                f"{missing} of {keys.num_rows} keys have no {level} vector in version "
                f"{self.version}"
            )
        return keys, out

    def stream_vectors(
        self, encoder_id: str, level: Level, *, keys: pa.Table, kind: VectorKind = "embedding"
    ) -> Iterator[VectorBatch]:
        """Yield the vectors of `keys` in batches of bounded size, in no particular order."""
        self._check_open()
        if kind == "pooled" and level is not Level.VIDEO:
            raise UsageError("only videos have a pooled vector")
        if keys.num_rows == 0:
            return
        name = space_table(encoder_id, f"{level}_vectors")
        if name not in self.commit.table_versions:
            raise NotFoundError(f"version {self.version} has no space {encoder_id}")
        uid = "sop_uid" if level is Level.VIDEO else "study_uid"
        at = {
            key: i
            for i, key in enumerate(
                zip(keys["uid"].to_pylist(), keys["commit_id"].to_pylist(), strict=True)
            )
        }
        for batch in self._tables.scan(
            name,
            self.commit.table_versions[name],
            columns=[uid, "commit_id", kind],
            where=_by_commit({commit_id for _, commit_id in at}),
        ):
            pairs = zip(batch[uid].to_pylist(), batch["commit_id"].to_pylist(), strict=True)
            positions = np.fromiter((at.get(pair, -1) for pair in pairs), np.int64, batch.num_rows)
            wanted = positions >= 0
            matrix = batch[kind].flatten().to_numpy(zero_copy_only=True)
            yield VectorBatch(positions[wanted], matrix.reshape(-1, EMBEDDING_DIM)[wanted])

    @cached_property
    def _facts(self) -> Facts:
        # Here and below the caller holds the lock: cached_property has one of its own in 3.11, and
        # two locks taken in two orders are a deadlock.
        self._check_open()
        return read_facts(self._tables, self.commit.table_versions, self._commits, self._tombstones)

    @cached_property
    def _videos(self) -> pa.Table:
        return read_videos(self._tables, self.commit.table_versions, self._facts)

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        self._check_open()
        views = {"studies": self.studies(), "videos": self.videos(), "inputs": self.inputs()}
        connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
        for name, rows in views.items():
            # A table, since a registered view belongs to one cursor and each query has its own.
            connection.register("arriving", rows)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
            connection.unregister("arriving")
        connection.execute("SET lock_configuration = true")
        return connection

    def _read_keys(self, encoder_id: str, level: Level) -> pa.Table:
        self._check_open()
        at = self.commit.table_versions
        if encoder_id not in self.spaces():
            known = ", ".join(self.spaces()) or "none"
            raise NotFoundError(
                f"version {self.version} has no space {encoder_id}; it has: {known}",
                "embed with that encoder, or name one of these",
            )
        if level is Level.STUDY:
            return read_study_keys(self._tables, at, encoder_id, self._facts)
        study_keys = self.keys(encoder_id, Level.STUDY)
        return read_video_keys(self._tables, at, encoder_id, study_keys)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the snapshot of version {self.version} is closed")


def _by_commit(commit_ids: set[str]) -> str | None:
    # Commit ids are hex digits of our own making, so they may stand in the text.
    if len(commit_ids) > _FEW_COMMITS:
        return None
    return f"commit_id IN ({', '.join(repr(commit_id) for commit_id in sorted(commit_ids))})"
