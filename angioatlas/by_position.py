"""What was made of a store as it stood, kept while somebody may ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar, final

from store.snapshot import Snapshot
from store.store import Position

T = TypeVar("T")
_KEPT: Final = 2
"""While a server makes the newest position ready, it still answers from the one before."""


def position_of(snapshot: Snapshot) -> Position:
    """Return where the store stood when a snapshot was opened."""
    return Position(snapshot.version, snapshot.deletions)


@final
class ByPosition(Generic[T]):
    """Values by name, of the last two positions that were asked for; threads may share it."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, dict[Position, T]] = {}
        # What is made may be made of what is kept here, too.
        self._making = threading.RLock()

    def get(self, name: Hashable, snapshot: Snapshot) -> T | None:
        """Return what is kept for a snapshot, if anything."""
        return self._kept.get(name, {}).get(position_of(snapshot))

    def put(self, name: Hashable, snapshot: Snapshot, value: T) -> None:
        """Keep a value for a snapshot."""
        position = position_of(snapshot)
        # A new dict, so that a thread that reads the old one is not disturbed.
        others = {at: old for at, old in self._kept.get(name, {}).items() if at != position}
        kept = [*others.items()][1 - _KEPT :]
        self._kept[name] = {**dict(kept), position: value}

    def once(self, name: Hashable, snapshot: Snapshot, make: Callable[[], T]) -> T:
        """Return what is kept for a snapshot; made the first time, while others wait for it."""
        found = self.get(name, snapshot)
        if found is None:
            with self._making:
                found = self.get(name, snapshot)
                if found is None:
                    found = make()
                    self.put(name, snapshot, found)
        return found

    def newest(self, name: Hashable) -> T | None:
        """Return the value of the position that was last put, if any."""
        values = [*self._kept.get(name, {}).values()]
        return values[-1] if values else None

    def keep_only(self, snapshot: Snapshot) -> None:
        """Forget what is of other positions."""
        position = position_of(snapshot)
        for name, values in [*self._kept.items()]:
            self._kept[name] = {at: value for at, value in values.items() if at == position}

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
