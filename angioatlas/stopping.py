"""How a run is asked to stop: it finishes the studies in flight, and leaves the rest for later."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, final


@final
class Stop:
    """Whether a run was asked to stop.

    Attributes
    ----------
    asked : bool
    """

    def __init__(self) -> None:
        self.asked = False
        self._finishes = False

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Say that the block looks at `asked`, and comes to its end soon after it turns true."""
        self._finishes = True
        try:
            yield
        finally:
            self._finishes = False

    @contextmanager
    def by_signals(self, on_asked: Callable[[], object]) -> Iterator[None]:
        """Ask to stop when SIGINT or SIGTERM arrives during the block, in the main thread.

        Parameters
        ----------
        on_asked : callable
            Called at the first signal, to tell whoever sent it.

        Raises
        ------
        KeyboardInterrupt
            At a signal that finds nothing to finish, and at the second one.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            if self.asked or not self._finishes:
                raise KeyboardInterrupt
            self.asked = True
            on_asked()

        before: dict[int, Any] = {
            number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
