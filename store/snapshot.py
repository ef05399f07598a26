"""One version of the store, as a reader sees it, for as long as the reader wants.

A snapshot holds a pin (`store.locks.Pins`), so nothing it needs is removed under it.  Deleted
patients are those deleted when it was opened: a new snapshot of an old version does not show a
patient who was deleted since.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from core.closing import Closing
from core.errors import NotFoundError, StoreError, UsageError
from core.labels import LABELS, LabelKind
from core.once import Once
from core.schema import EMBEDDING_DIM, Level
from core.segments import HEADS
from store.commits import CommitRecord
from store.inputs import Ledger
from store.locks import FileLock
from store.sql import locked, select
from store.tables import space_table
from store.tombstones import Tombstones
from store.visibility import by_commit, read_findings
from store.visible import Visible

VectorKind = Literal["embedding", "pooled"]
T = TypeVar("T")
_CONNECTION: Final = "the connection of `Snapshot.sql`"


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

    def __init__(self, commit: CommitRecord, visible: Visible, *, deletions: int, pin: FileLock):
        self._visible = visible
        self._pin = pin
        self._derived = Once()
        self._counting = threading.Lock()
        self._holders = 1
        self.is_pinned = True
        self.commit = commit
        self.deletions = deletions

    @property
    def version(self) -> int:
        """The store version."""
        return self.commit.version

    @property
    def is_closed(self) -> bool:
        """Whether nobody holds it any more: what was read can be had still, and no more is read."""
        return self._visible.is_closed

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
            self._visible.check_open()
            self._holders += 1
        return self

    def close(self) -> None:
        """Let the version go, unless it was lent to others who still hold it."""
        with self._counting:
            self._holders -= 1
            is_last = self._holders <= 0 and not self.is_closed
            self._visible.is_closed = self.is_closed or is_last
        if is_last:
            self._pin.release()
            connection: duckdb.DuckDBPyConnection | None = self._derived.made().get(_CONNECTION)
            if connection is not None:
                connection.close()

    def unpin(self) -> None:
        """Stay open without the pin, in nobody's way: what was not read yet may be gone later."""
        self.is_pinned = False
        self._pin.release()

    def hiding(self, tombstones: Tombstones) -> Snapshot:
        """Return a snapshot of this version without the patients who were deleted since.

        It is made of what was read, so in a fraction of the time that opening one takes; see
        `Visible.hiding` for what may still be shown.
        """
        self._visible.check_open()
        visible = self._visible.hiding(tombstones)
        other = Snapshot(self.commit, visible, deletions=len(tombstones), pin=self._pin.share())
        other.is_pinned = self.is_pinned
        return other

    def take_over(self, older: Snapshot) -> None:
        """Read what an older snapshot has read, of what was committed since alone.

        Parameters
        ----------
        older : Snapshot
            It may be closed.
        """
        self._visible.check_open()
        self._visible.take_over(older._visible)

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` makes of this snapshot; made the first time and kept under a name."""
        return self._derived.get(name, make)

    def studies(self) -> pa.Table:
        """Return the visible rows of `studies`, by study_uid."""
        return self._visible.facts().studies

    def videos(self) -> pa.Table:
        """Return the visible rows of `videos`, by sop_uid."""
        return self._visible.videos()

    def inputs(self) -> pa.Table:
        """Return the current ledger row of every input, by uri."""
        return self._visible.inputs()

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
        return self._visible.labels(kind)

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
        self._visible.check_open()
        connection = self._derived.get(_CONNECTION, self._connect).cursor()
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
        self._check_space(encoder_id)
        return self._visible.keys(encoder_id, level)

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
        self._visible.check_open()
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
        for batch in self._visible.rows.tables.scan(
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
        self._check_space(encoder_id)
        return self._visible.finding_keys(encoder_id)

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
        self._visible.check_open()
        return read_findings(self._visible.rows, encoder_id, mine, columns)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        labels = {
            kind.value: self.labels(kind) for kind in LabelKind if kind is not LabelKind.REPORTS
        }
        facts = {"studies": self.studies(), "videos": self.videos(), "inputs": self.inputs()}
        return locked(facts | labels)

    def _check_space(self, encoder_id: str) -> None:
        if encoder_id not in self.spaces():
            known = ", ".join(self.spaces()) or "none"
            raise NotFoundError(
                f"version {self.version} has no space {encoder_id}; it has: {known}",
                "embed with that encoder, or name one of these",
            )
