"""Where pictures are drawn: one guarded worker, started at the first picture and then kept.

To start one takes most of a second, a thumbnail a twentieth; a page shows dozens of thumbnails.
"""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from typing import Final

from core.outcomes import Code, InputRefused
from core.settings import LimitSettings
from embedder.guard.nursery import GuardError
from embedder.guard.pool import GuardedPool
from embedder.pictures import Drawing, draw

_GIB: Final = 2**30
_PRELOAD: Final = ("embedder.pictures",)


class Workshop:
    """Draws one picture at a time, and so for one thread at a time.

    Parameters
    ----------
    limits : LimitSettings
        The same as of embedding: what a file may cost.
    """

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._pool: GuardedPool | None = None
        self._open = ExitStack()
        # The worker ends with whoever needs it, and with the program.
        weakref.finalize(self, self._open.close)

    def draw(self, drawing: Drawing) -> None:
        """Draw a picture in the worker.

        Raises
        ------
        InputRefused
            With the code of what is wrong with the source, or of what it did to the worker.
        OSError
            The picture cannot be written.
        GuardError
            When the worker cannot be started.
        """
        try:
            ((_, result),) = self.ready().map(draw, [drawing], fallback=Code.DECODE_FAILED)
        except GuardError:
            self.close()  # the next picture gets a new one
            raise
        if isinstance(result, InputRefused):
            raise result
        if result:
            raise OSError(result, os.strerror(result))

    def close(self) -> None:
        """End the worker; the next picture starts another."""
        self._pool = None
        self._open.close()

    def ready(self) -> GuardedPool:
        """Return the worker, which is started unless it is there.

        Raises
        ------
        GuardError
            When it cannot be started.
        """
        if self._pool is None:
            pool = GuardedPool(
                1,
                seconds=self._limits.decode_seconds,
                memory_bytes=int(self._limits.worker_memory_gib * _GIB),
                preload=_PRELOAD,
            )
            self._pool = self._open.enter_context(pool)
        return self._pool
