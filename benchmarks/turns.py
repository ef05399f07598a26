"""Times of works that do the same, taken in turn: what happens to one happens to all."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Took:
    """Of one work: seconds on the clock, and seconds that cores worked for it, each time.

    The second do not count what others use of the machine, as long as threads sleep while they
    wait for each other (OMP_WAIT_POLICY=passive).
    """

    wall: tuple[float, ...]
    cores: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds on the clock."""
        return statistics.median(self.wall)

    @property
    def median_cores(self) -> float:
        """Seconds of cores."""
        return statistics.median(self.cores)


def in_turn(works: Mapping[str, Callable[[], object]], count: int) -> dict[str, Took]:
    """Time each work `count` times, after one time that does not count."""
    for work in works.values():
        work()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(count):
        for name, work in works.items():
            used, began = _used(), time.perf_counter()
            work()
            taken[name].append((time.perf_counter() - began, _used() - used))
    return {
        name: Took(tuple(wall for wall, _ in each), tuple(cores for _, cores in each))
        for name, each in taken.items()
    }


def _used() -> float:
    times = os.times()
    return times.user + times.system
