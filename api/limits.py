"""How often somebody may ask, and how much is done at a time.

Each process counts for itself: with four workers a caller gets up to four times as much.  That is
enough against who asks too often, and costs no word between processes.  How many texts are embedded
at a time the encoder process sees to, for all of them.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, final

from core.errors import TooManyRequestsError

MOST_CALLERS: Final = 10_000
"""Of whom one process remembers how often they asked."""
CASES_AT_ONCE: Final = 4
"""Comparisons of one process: more of them would only wait for each other, for Python's lock, and
all answer later."""
MOST_CASES_WAITING: Final = 256
MOST_TEXTS_WAITING: Final = 32
"""Searches by text of one process that wait for a place, which takes none of its threads."""
ANALYSES_AT_ONCE: Final = 2
MOST_ANALYSES_WAITING: Final = 16
"""Analyses of one process: each may hold the vectors of a whole cohort."""
EXPORTS_AT_ONCE: Final = 2
MOST_EXPORTS_WAITING: Final = 4


@final
class Buckets:
    """A token bucket for each caller: a request takes one token, and they come back by the second.

    Parameters
    ----------
    per_second : float
        Tokens that come back; 0 sets no limit.
    burst : int
        Tokens of a full bucket.
    most : int
        Buckets kept; the one that was used least recently makes room.
    """

    def __init__(self, per_second: float, burst: int, *, most: int = MOST_CALLERS) -> None:
        self._per_second = per_second
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str, now: float) -> None:
        """Take a token.

        Parameters
        ----------
        caller : str
        now : float
            Seconds of a clock that never goes back.

        Raises
        ------
        TooManyRequestsError
            There is none; it says when there will be.
        """
        if not self._per_second:
            return
        left, at = self._buckets.pop(caller, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_second)
        granted = left >= 1
        self._buckets[caller] = (left - granted, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if not granted:
            wait = math.ceil((1 - left) / self._per_second)
            raise TooManyRequestsError(
                "too many requests", f"try again in {wait} s", retry_after_s=wait
            )


@final
class Places:
    """Room for so much at a time, and for so much more that waits for it.

    Of one event loop: who waits holds no thread, so that everything else is answered meanwhile.

    Parameters
    ----------
    at_once, waiting : int
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._most = at_once + waiting
        self._taken = 0
        self._room = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a place for the block.

        Raises
        ------
        TooManyRequestsError
            Too many wait already.
        """
        if self._taken >= self._most:
            raise TooManyRequestsError(
                "the server is busy with requests of this kind", "try again soon", retry_after_s=2
            )
        self._taken += 1
        try:
            async with self._room:
                yield
        finally:
            self._taken -= 1
