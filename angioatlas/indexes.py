"""The saved indexes of one store: derived caches in the state folder, never in the store.

A search is answered from the saved index and, beside it, from what was committed since, so it is
right however old the index is.  A new one is built for speed, when a tenth of the rows changed.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from angioatlas.by_position import ByPosition
from core.errors import AtlasError, NotFoundError, StoreError, UsageError
from core.schema import Level
from index.engines import Kind
from index.faiss_index import ABOUT_FILE, IndexInfo, VectorIndex
from index.keys import Keys
from index.search import Searchable
from index.tuning import choose_kind
from store.locks import held
from store.snapshot import Snapshot

_STALE_SHARE: Final = 0.1
"""Share of rows that may be missing from an index, or dead in it, before it is built again."""
_LOCK: Final = "lock"
_log = logging.getLogger(__name__)

TextVectors = Callable[[str], NDArray[np.float32] | None]
"""Given an encoder id, returns vectors of sentences in its space [t, 512], or None without any."""


@dataclass(frozen=True)
class IndexFacts:
    """One saved index.

    Attributes
    ----------
    encoder_id, level : str
    kind : str
        See `index.engines.Kind`.
    chosen_by : str
        ``size``, or ``request``.
    store_version : int
        The version that it was built from.
    rows : int
    recall_at_10, recall_at_10_far : float
        Share of the true ten nearest rows that is found: for queries like the rows, and for those
        that lie apart as texts do.
    memory_mb, disk_mb : float
        Resident or mapped, 10⁶ bytes; all files together.
    """

    encoder_id: str
    level: str
    kind: str
    chosen_by: str
    store_version: int
    rows: int
    recall_at_10: float
    recall_at_10_far: float
    memory_mb: float
    disk_mb: float

    @classmethod
    def of(cls, index: VectorIndex, folder: Path) -> IndexFacts:
        """Describe an index that is saved in a folder."""
        info, recall = index.info, index.recall
        disk = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        return cls(
            encoder_id=info.encoder_id,
            level=info.level.value,
            kind=index.engine.kind.value,
            chosen_by="request" if info.requested else "size",
            store_version=info.store_version,
            rows=len(index),
            recall_at_10=1.0 if recall is None else recall.near,
            recall_at_10_far=1.0 if recall is None else recall.far,
            memory_mb=round(index.engine.memory_bytes / 1e6, 1),
            disk_mb=round(disk / 1e6, 1),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Ready:
    """What a searchable was made of, to see whether it is still the newest."""

    saved: tuple[int, int] | None
    index: VectorIndex | None
    searchable: Searchable


class IndexCache:
    """Builds, saves and finds the indexes of one store; threads may share it.

    Parameters
    ----------
    folder : Path
        The store's own folder below the state folder.
    reopen : callable
        Opens the newest snapshot, for an index that is built beside the queries.
    texts : callable
        What approximate kinds are tuned on besides rows.
    beside : bool
        Build a stale index again in a thread of its own while it goes on to be searched, as a
        server wants; otherwise before the search is answered.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reopen: Callable[[], Snapshot],
        texts: TextVectors = lambda encoder_id: None,
        beside: bool = False,
    ) -> None:
        self.folder = folder
        self._reopen = reopen
        self._texts = texts
        self._beside = beside
        self._ready: ByPosition[_Ready] = ByPosition()
        self._attaching = threading.Lock()
        self._builders: dict[tuple[str, Level], threading.Thread] = {}

    def build(
        self, snapshot: Snapshot, encoder_id: str, level: Level, *, kind: Kind | None = None
    ) -> IndexFacts:
        """Build the index of a snapshot, and save it where the next search finds it.

        Parameters
        ----------
        snapshot : Snapshot
        encoder_id : str
        level : Level
        kind : Kind, optional
            By default what suits the number of rows and the free memory.

        Raises
        ------
        NotFoundError
            When the snapshot has no vectors of the encoder.
        """
        keys, vectors = snapshot.vectors(encoder_id, level)
        info = IndexInfo(encoder_id, level, snapshot.version, requested=kind is not None)
        chosen = kind or choose_kind(len(vectors), free_memory())
        index = VectorIndex.build(
            Keys(keys["uid"], keys["commit_id"]),
            vectors,
            info=info,
            kind=chosen,
            texts=self._texts(encoder_id) if chosen in (Kind.COMPRESSED, Kind.HNSW) else None,
        )
        folder = self._place(encoder_id, level)
        index.save(folder)
        return IndexFacts.of(index, folder)

    def searchable(self, snapshot: Snapshot, encoder_id: str, level: Level) -> Searchable:
        """Return what a snapshot shows, ready to be searched.

        A saved index of another version serves as long as few of its rows changed; what it lacks
        is read from the store, what is no longer visible is masked.  What was made ready stays in
        memory until the store moves on, or another index is saved, by this process or another.
        """
        which = (encoder_id, level)
        ready, saved = self._ready.get(which, snapshot), self._saved_at(encoder_id, level)
        if ready is not None and ready.saved == saved:
            return ready.searchable
        # Who holds the lock may be a server's thread that makes a newer position ready: those who
        # ask about this one, which is ready, do not wait for it.
        with self._attaching:
            ready, saved = self._ready.get(which, snapshot), self._saved_at(encoder_id, level)
            if ready is None or ready.saved != saved:
                ready = self._attach(snapshot, encoder_id, level, saved)
                self._ready.put(which, snapshot, ready)
            return ready.searchable

    def _attach(
        self, snapshot: Snapshot, encoder_id: str, level: Level, saved: tuple[int, int] | None
    ) -> _Ready:
        keys = snapshot.keys(encoder_id, level)
        live = Keys(keys["uid"], keys["commit_id"])
        index = self._in_memory(encoder_id, level, saved) or self._load(encoder_id, level)
        if index is None or saved is None or _is_stale(index, live):
            kind = index.engine.kind if index is not None and index.info.requested else None
            if index is not None and self._beside:
                self._build_beside(encoder_id, level, kind)
            else:
                self.build(snapshot, encoder_id, level, kind=kind)
                index, saved = self._load(encoder_id, level), self._saved_at(encoder_id, level)
        searchable = Searchable.attach(
            index,
            live,
            lambda rows: snapshot.vectors(encoder_id, level, keys=keys.take(rows))[1],
        )
        return _Ready(saved, index, searchable)

    def _in_memory(
        self, encoder_id: str, level: Level, saved: tuple[int, int] | None
    ) -> VectorIndex | None:
        """Return the index of another position, if it is the saved one, or the saved one is gone.

        It goes when a patient is deleted; a server answers from what it has in memory, which is
        masked, until another one is built.
        """
        newest = self._ready.newest((encoder_id, level))
        if newest is None or (newest.saved != saved and not (self._beside and saved is None)):
            return None
        return newest.index

    def _build_beside(self, encoder_id: str, level: Level, kind: Kind | None) -> None:
        which = (encoder_id, level)
        running = self._builders.get(which)
        if running is not None and running.is_alive():
            return

        def build() -> None:
            try:
                with self._alone(encoder_id, level) as is_ours:
                    if is_ours:
                        with self._reopen() as snapshot:
                            self.build(snapshot, encoder_id, level, kind=kind)
            except AtlasError as error:  # the old index still answers; the next commit tries again
                _log.warning("an index was not built again: %s", error.message)

        self._builders[which] = threading.Thread(target=build, name="index", daemon=True)
        self._builders[which].start()

    @contextmanager
    def _alone(self, encoder_id: str, level: Level) -> Iterator[bool]:
        """Tell whether no other process of this server builds the index already."""
        folder = self._place(encoder_id, level)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _LOCK).touch()
        except OSError as error:
            raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
        with held(folder / _LOCK, exclusive=True, wait=False) as is_ours:
            yield is_ours

    def saved(self) -> list[IndexFacts]:
        """Describe the saved indexes that can be read."""
        found = []
        for about in sorted(self.folder.glob(f"*/*/{ABOUT_FILE}")):
            # Damaged: the next search builds it again.  For a GPU that is gone: a search says so.
            with suppress(StoreError, UsageError):
                found.append(IndexFacts.of(VectorIndex.load(about.parent), about.parent))
        return found

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget what is in memory of other positions."""
        self._ready.keep_only(snapshot)

    def clear(self) -> None:
        """Remove every saved index of the store; what a server has in memory goes at its next."""
        if not self._beside:
            self._ready.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self, encoder_id: str, level: Level) -> VectorIndex | None:
        try:
            return VectorIndex.load(self._place(encoder_id, level))
        except (NotFoundError, StoreError):
            return None

    def _saved_at(self, encoder_id: str, level: Level) -> tuple[int, int] | None:
        """Return what changes whenever another index is saved; None without one."""
        try:
            about = (self._place(encoder_id, level) / ABOUT_FILE).stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns

    def _place(self, encoder_id: str, level: Level) -> Path:
        return self.folder / encoder_id / level.value


def free_memory() -> int:
    """Return the bytes of memory that can be had without swapping."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        told = next(line for line in lines if line.startswith("MemAvailable:"))
        return 1024 * int(told.split()[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _is_stale(index: VectorIndex, live: Keys) -> bool:
    shared = int((index.keys.positions_in(live) >= 0).sum())
    changed = len(index) + len(live) - 2 * shared
    return changed > _STALE_SHARE * max(len(live), 1)
