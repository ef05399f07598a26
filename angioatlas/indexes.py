"""The saved indexes of one store: derived caches in the state folder, never in the store."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import NotFoundError, StoreError
from core.schema import Level
from index.faiss_index import FlatIndex, IndexInfo, Keys
from index.search import Searchable
from store.snapshot import Snapshot
from store.store import Position

_STALE_SHARE = 0.1
"""Share of rows that may be missing from an index, or dead in it, before it is built again."""


@dataclass(frozen=True)
class IndexFacts:
    """One saved index."""

    encoder_id: str
    level: str
    kind: str
    store_version: int
    rows: int

    @classmethod
    def of(cls, index: FlatIndex) -> IndexFacts:
        """Describe an index."""
        info = index.info
        return cls(info.encoder_id, info.level.value, "exact", info.store_version, len(index))

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain values for JSON."""
        return asdict(self)


class IndexCache:
    """Builds, saves and finds the indexes of one store.

    Parameters
    ----------
    folder : Path
        The store's own folder below the state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready: dict[tuple[str, Level], tuple[Position, Searchable]] = {}

    def build(self, snapshot: Snapshot, encoder_id: str, level: Level) -> FlatIndex:
        """Build the index of a snapshot, and save it where the next search finds it.

        Raises
        ------
        NotFoundError
            When the snapshot has no vectors of the encoder.
        """
        keys, vectors = snapshot.vectors(encoder_id, level)
        info = IndexInfo(encoder_id, level, snapshot.version)
        index = FlatIndex.build(Keys(keys["uid"], keys["commit_id"]), vectors, info=info)
        index.save(self._place(encoder_id, level))
        return index

    def searchable(self, snapshot: Snapshot, encoder_id: str, level: Level) -> Searchable:
        """Return what a snapshot shows, ready to be searched.

        A saved index of another version serves as long as few of its rows changed; what it lacks
        is read from the store, what is no longer visible is masked.  What was made ready stays in
        memory until the store moves on.
        """
        position = Position(snapshot.version, snapshot.deletions)
        ready = self._ready.get((encoder_id, level))
        if ready is None or ready[0] != position:
            ready = (position, self._attach(snapshot, encoder_id, level))
            self._ready[encoder_id, level] = ready
        return ready[1]

    def _attach(self, snapshot: Snapshot, encoder_id: str, level: Level) -> Searchable:
        keys = snapshot.keys(encoder_id, level)
        live = Keys(keys["uid"], keys["commit_id"])
        index = self._usable(encoder_id, level, live)
        if index is None:
            index = self.build(snapshot, encoder_id, level)
        return Searchable.attach(
            index,
            live,
            lambda rows: snapshot.vectors(encoder_id, level, keys=keys.take(rows))[1],
        )

    def saved(self) -> list[IndexFacts]:
        """Describe the saved indexes that can be read."""
        found = []
        for about in sorted(self.folder.glob("*/*/index.json")):
            try:
                found.append(IndexFacts.of(FlatIndex.load(about.parent)))
            except StoreError:  # damaged: the next search builds it again
                continue
        return found

    def clear(self) -> None:
        """Remove every saved index of the store."""
        self._ready.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _usable(self, encoder_id: str, level: Level, live: Keys) -> FlatIndex | None:
        try:
            index = FlatIndex.load(self._place(encoder_id, level))
        except (NotFoundError, StoreError):
            return None
        shared = int((index.keys.positions_in(live) >= 0).sum())
        changed = len(index) + len(live) - 2 * shared
        return index if changed <= _STALE_SHARE * max(len(live), 1) else None

    def _place(self, encoder_id: str, level: Level) -> Path:
        return self.folder / encoder_id / level.value
