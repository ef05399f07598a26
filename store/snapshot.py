"""One version of the store, as a reader sees it, for as long as the reader wants.

A snapshot holds a pin (`store.locks.Pins`), so nothing it needs is removed under it.  Deleted
patients are those deleted when it was opened: a new snapshot of an old version does not show a
patient who was deleted since.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar, cast, final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.closing import Closing
from core.errors import NotFoundError, StoreError, UsageError
from core.labels import LABELS, LabelKind
from core.schema import EMBEDDING_DIM, Level
from core.segments import HEADS
from store.commits import CommitRecord
from store.inputs import Ledger
from store.locks import FileLock
from store.sql import locked, select
from store.tables import Tables, space_table
from store.tombstones import Tombstones
from store.visibility import (
    Facts,
    by_commit,
    commit_order,
    read_facts,
    read_finding_keys,
    read_findings,
    read_inputs,
    read_labels,
    read_study_keys,
    read_video_keys,
    read_videos,
)

VectorKind = Literal["embedding", "pooled"]
T = TypeVar("T")


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
    is_pinned : bool
        Whether nothing of the version is removed; see `unpin`.
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
        self._records = records
        self._commits = commit_order(records, commit.version)
        self._tombstones = tombstones
        self._pin = pin
        # What was read once is had without this lock: who reads a table for the first time holds
        # it for long, and keeps nobody else waiting.
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._keys: dict[tuple[str, Level], pa.Table] = {}
        self._finding_keys: dict[str, pa.Table] = {}
        self._labels: dict[LabelKind, pa.Table] = {}
        self._derived: dict[Hashable, Any] = {}
        self._holders = 1
        self.is_pinned = True
        self._closed = False
        self.commit = commit
        self.deletions = len(tombstones)

    @property
    def version(self) -> int:
        """The store version."""
        return self.commit.version

    def __repr__(self) -> str:
        return f"Snapshot(version={self.version})"

    def lend(self) -> Snapshot:
        """Return this snapshot for one more holder; each of them closes it.

        Raises
        ------
        StoreError
            When nobody holds it any more.
        """
        with self._counting:
            self._check_open()
            self._holders += 1
        return self

    def close(self) -> None:
        """Let the version go, unless it was lent to others who still hold it."""
        with self._counting:
            self._holders -= 1
            is_last = self._holders <= 0 and not self._closed
            self._closed = self._closed or is_last
        if is_last:
            with self._lock:
                if "_connection" in self.__dict__:
                    self._connection.close()
                self._pin.release()

    def unpin(self) -> None:
        """Stay open without the pin, in nobody's way: what was not read yet may be gone later."""
        with self._lock:
            self.is_pinned = False
            self._pin.release()

    def hiding(self, tombstones: Tombstones) -> Snapshot:
        """Return a snapshot of this version without the patients who were deleted since.

        It is made of what was read, so in a fraction of the time that opening one takes.  Studies,
        videos and vectors are as there; only inputs and labels of studies that nobody sees any more
        and that once were a deleted patient's may still be shown.
        """
        with self._lock:
            self._check_open()
            other = Snapshot(
                self._tables,
                self._records,
                self.commit,
                tombstones=tombstones,
                pin=self._pin.share(),
            )
            other.is_pinned = self.is_pinned
            facts, videos = self._facts, self._videos
            deleted = tombstones.among(facts.studies["patient_id"].unique().to_pylist())
            seen, gone = _split(facts.studies, deleted)
            hidden = [facts.hidden_studies, gone.select(["study_uid"])]
            # As if they had been read; `cached_property` keeps its value there.
            other.__dict__["_facts"] = Facts(
                seen, facts.commits, pa.concat_tables(hidden, promote_options="permissive")
            )
            other.__dict__["_videos"] = _split(videos, deleted)[0]
            other._keys = {name: _split(keys, deleted)[0] for name, keys in self._keys.items()}
            return other

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` makes of this snapshot; made the first time and kept under a name."""
        if name not in self._derived:
            with self._lock:
                if name not in self._derived:
                    self._derived[name] = make()
        return cast(T, self._derived[name])

    def studies(self) -> pa.Table:
        """Return the visible rows of `studies`, by study_uid."""
        facts: Facts | None = self.__dict__.get("_facts")
        if facts is None:
            with self._lock:
                facts = self._facts
        return facts.studies

    def videos(self) -> pa.Table:
        """Return the visible rows of `videos`, by sop_uid."""
        if "_videos" not in self.__dict__:
            with self._lock:
                return self._videos
        return self.__dict__["_videos"]

    def inputs(self) -> pa.Table:
        """Return the current ledger row of every input, by uri."""
        with self._lock:
            return read_inputs(self._tables, self.commit.table_versions, self._facts)

    def labels(self, kind: LabelKind, *, patients: Sequence[str] | None = None) -> pa.Table:
        """Return the visible rows of a label table, by patient and date.

        Parameters
        ----------
        kind : LabelKind
        patients : sequence of str, optional
            Rows of these patients alone.

        Returns
        -------
        pa.Table
            The columns that `core.labels` declares, in that order.
        """
        rows = self.label_rows(kind).select(LABELS[kind].names)
        if patients is not None:
            wanted = pa.array(patients, pa.string())
            rows = rows.filter(pc.is_in(rows["patient_id"], value_set=wanted))
        # Rows of a patient by date; what is left of the order is that of the row ids.
        order = [name for name in ("patient_id", "date") if name in rows.column_names]
        return rows.take(pc.sort_indices(rows, [(name, "ascending") for name in order]))

    def label_rows(self, kind: LabelKind) -> pa.Table:
        """Return the visible rows of a label table with `row_id` and `commit_id`, by row_id."""
        with self._lock:
            if kind not in self._labels:
                self._labels[kind] = read_labels(
                    self._tables,
                    self.commit.table_versions,
                    kind.value,
                    facts=self._facts,
                    tombstones=self._tombstones,
                )
            return self._labels[kind]

    def ledger(self) -> Ledger:
        """Return the ledger for look-ups; build it once and keep it."""
        return Ledger(self.inputs())

    def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """Answer one SELECT over the views `studies`, `videos`, `inputs` and the label tables.

        Reports are not among them: they may name persons.

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
            return select(connection, query, params)
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
        if (encoder_id, level) not in self._keys:
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
            where=by_commit({commit_id for _, commit_id in at}),
        ):
            pairs = zip(batch[uid].to_pylist(), batch["commit_id"].to_pylist(), strict=True)
            positions = np.fromiter((at.get(pair, -1) for pair in pairs), np.int64, batch.num_rows)
            wanted = positions >= 0
            matrix = batch[kind].flatten().to_numpy(zero_copy_only=True)
            yield VectorBatch(positions[wanted], matrix.reshape(-1, EMBEDDING_DIM)[wanted])

    def finding_keys(self, encoder_id: str) -> pa.Table:
        """Return which findings are visible in an encoder space.

        Returns
        -------
        pa.Table
            heads_id, study_uid, commit_id; by heads_id and study_uid in byte order.

        Raises
        ------
        NotFoundError
            When the version has no such space.
        """
        with self._lock:
            if encoder_id not in self._finding_keys:
                self._check_space(encoder_id)
                self._finding_keys[encoder_id] = read_finding_keys(
                    self._tables, self.commit.table_versions, encoder_id, self._facts
                )
            return self._finding_keys[encoder_id]

    def heads(self, encoder_id: str) -> list[str]:
        """Return the ids of the sets of heads that have findings to see in a space, sorted."""
        return sorted(self.finding_keys(encoder_id)["heads_id"].unique().to_pylist())

    def findings(
        self, encoder_id: str, heads_id: str, *, columns: Sequence[str] = HEADS
    ) -> pa.Table:
        """Return the visible findings of one set of heads, by study_uid.

        Parameters
        ----------
        encoder_id : str
            The space.
        heads_id : str
            The set of heads.
        columns : sequence of str
            Some of `core.segments.HEADS`; all of them by default.

        Returns
        -------
        pa.Table
            study_uid, commit_id, and of each of `columns` float32: percent diameter stenosis or a
            logit, null when this set has no such head.

        Raises
        ------
        NotFoundError
            When the version has no such space, or nothing of these heads in it.
        """
        return self._read_findings(encoder_id, heads_id, columns)

    def finding_vectors(
        self, encoder_id: str, heads_id: str
    ) -> tuple[pa.Table, NDArray[np.float32]]:
        """Return the vectors that the heads read, with study_uid and commit_id of each.

        Returns
        -------
        keys : pa.Table
            study_uid, commit_id; by study_uid, as in `findings`.
        vectors : array [n, d], float32
            Row i belongs to row i of the keys.

        Raises
        ------
        NotFoundError
            When the version has no such space, or nothing of these heads in it.
        StoreError
            When the vectors are of several lengths.
        """
        rows = self._read_findings(encoder_id, heads_id, ["pooled"])
        lengths = set(pc.list_value_length(rows["pooled"]).to_pylist())
        if len(lengths) > 1:
            raise StoreError(f"pooled vectors of {heads_id} have several lengths: {lengths}")
        flat = rows["pooled"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return rows.drop_columns("pooled"), flat.reshape(rows.num_rows, -1)

    def _read_findings(self, encoder_id: str, heads_id: str, columns: Sequence[str]) -> pa.Table:
        keys = self.finding_keys(encoder_id)
        mine = keys.filter(pc.equal(keys["heads_id"], heads_id))
        if mine.num_rows == 0:
            known = ", ".join(self.heads(encoder_id)) or "none"
            raise NotFoundError(
                f"version {self.version} has no findings of {heads_id} in the space {encoder_id}; "
                f"it has findings of: {known}",
                "embed with an encoder that has these heads, or name one of these",
            )
        self._check_open()
        return read_findings(self._tables, self.commit.table_versions, encoder_id, mine, columns)

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
        labels = {
            kind.value: self.labels(kind) for kind in LabelKind if kind is not LabelKind.REPORTS
        }
        facts = {"studies": self.studies(), "videos": self.videos(), "inputs": self.inputs()}
        return locked(facts | labels)

    def _read_keys(self, encoder_id: str, level: Level) -> pa.Table:
        self._check_space(encoder_id)
        at = self.commit.table_versions
        if level is Level.STUDY:
            return read_study_keys(self._tables, at, encoder_id, self._facts)
        study_keys = self.keys(encoder_id, Level.STUDY)
        return read_video_keys(self._tables, at, encoder_id, study_keys)

    def _check_space(self, encoder_id: str) -> None:
        self._check_open()
        if encoder_id not in self.spaces():
            known = ", ".join(self.spaces()) or "none"
            raise NotFoundError(
                f"version {self.version} has no space {encoder_id}; it has: {known}",
                "embed with that encoder, or name one of these",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the snapshot of version {self.version} is closed")


def _split(rows: pa.Table, deleted: list[str]) -> tuple[pa.Table, pa.Table]:
    """Part the rows of other patients from those of deleted ones."""
    hidden = pc.is_in(rows["patient_id"], value_set=pa.array(deleted, pa.string()))
    return rows.filter(pc.invert(hidden)), rows.filter(hidden)
