"""Times of a machine that others use, too: a measurement that they took part in is made again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_STAT = Path("/proc/stat")
_OTHERS = 0.06
"""Share of the cores that others may take during a measurement that counts."""
_TICKS_PER_SECOND = 100


def rounds(
    works: Mapping[str, Callable[[], object]], count: int, *, patience_s: float = 90
) -> dict[str, list[float]]:
    """Time works in turn, so that what the machine does to one it does to all.

    Parameters
    ----------
    works : mapping of str to callable
    count : int
        Times that count of each.
    patience_s : float
        After which times count whatever others do.

    Returns
    -------
    dict of str to list of float
        Seconds, at least `count` of each.
    """
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    until = time.monotonic() + patience_s
    while min(len(each) for each in seconds.values()) < count:
        while time.monotonic() < until and _others_work():
            time.sleep(0.5)
        for name, work in works.items():
            busy, own, began = _busy(), _own(), time.perf_counter()
            work()
            took = time.perf_counter() - began
            others = (_busy() - busy) - (_own() - own)
            if others <= _OTHERS * took * (os.cpu_count() or 1) or time.monotonic() > until:
                seconds[name].append(took)
    return seconds


def _others_work() -> bool:
    busy, began = _busy(), time.perf_counter()
    time.sleep(0.2)
    return _busy() - busy > _OTHERS * (time.perf_counter() - began) * (os.cpu_count() or 1)


def _busy() -> float:
    """Return the seconds that all cores together have worked; zero where the system hides it."""
    if not _STAT.exists():
        return 0.0
    user, nice, system, _idle, _iowait, *rest = map(int, _STAT.open().readline().split()[1:9])
    return (user + nice + system + sum(rest)) / _TICKS_PER_SECOND


def _own() -> float:
    """Return the seconds that this process has worked, all threads together."""
    used = os.times()
    return used.user + used.system
