"""Draw from an iterator in a thread of its own, a bounded number of items ahead.

While the device computes, the thread takes over what the decode processes have ready and hands out
their next cines; without it they would stand still until the device is done.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import Final, Generic, TypeVar

from core.closing import Closing

T = TypeVar("T")

_LOOK_S: Final = 0.2
"""How often a thread whose queue is full looks whether anybody still wants anything."""


class _End:
    """What comes after the last item: why there are no more, if not because it was the last."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Ahead(Closing, Generic[T]):
    """An iterator over what a thread draws; a context manager.

    Parameters
    ----------
    items : generator
        Drawn from, and closed, in the thread.  What it raises is raised to who iterates here.
    most : int
        Items that may wait to be taken, 1 or more.
    """

    def __init__(self, items: Generator[T, None, None], *, most: int) -> None:
        self._items = items
        self._ready: queue.Queue[T | _End] = queue.Queue(most)
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="ahead", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask for nothing more, and wait for the thread, which ends the item that it is just at."""
        self._unwanted.set()
        self._thread.join()

    def __iter__(self) -> Ahead[T]:
        return self

    def __next__(self) -> T:
        item = self._ready.get()
        if not isinstance(item, _End):
            return item
        self._ready.put(item)  # for who asks again
        raise item.error or StopIteration

    def _draw(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._offer(item):
                    return
        except BaseException as error:  # noqa: BLE001  raised where the items are used
            end = _End(error)
        finally:
            self._items.close()
        self._offer(end)

    def _offer(self, item: T | _End) -> bool:
        while not self._unwanted.is_set():
            try:
                self._ready.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False
