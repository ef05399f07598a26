"""Values that are made when they are first asked for, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast, final

T = TypeVar("T")


@final
class Once:
    """Values by name; threads may share it.

    What was made is had without the lock: who makes a value holds it for long, and keeps nobody
    else waiting who asks for another one that is there.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def get(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a name; `make` makes it the first time, and may ask for others."""
        if name not in self._made:
            with self._lock:
                if name not in self._made:
                    self._made[name] = make()
        return cast(T, self._made[name])

    def put(self, name: Hashable, value: object) -> None:
        """Set the value of a name, as if it had been made."""
        with self._lock:
            self._made[name] = value

    def made(self) -> dict[Hashable, Any]:
        """Return what was made so far."""
        with self._lock:
            return dict(self._made)
