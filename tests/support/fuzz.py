"""Damaged files through guarded workers: how each ended, and what it cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.outcomes import OUTCOMES, Code, InputRefused
from embedder.guard.pool import GuardedPool
from tests.support.mutate import mutant

SECONDS = 9.0
ENDS = {"embedded", *(f"{outcome.status} {code}" for code, outcome in OUTCOMES.items())}
Read = Callable[[Path], tuple[str, float, int]]
"""How a file ended, its seconds, and the memory of the worker in KiB; see `guard_tasks`."""


@dataclass(frozen=True)
class Fuzzing:
    ends: Counter[str]
    slowest: float
    peak_mib: float
    seconds: float

    def check(self, count: int) -> None:
        assert sum(self.ends.values()) == count
        assert set(self.ends) <= ENDS, set(self.ends) - ENDS
        assert self.slowest < SECONDS
        assert self.peak_mib < 1024

    def __str__(self) -> str:
        count = sum(self.ends.values())
        lines = "".join(f"\n{n:6} {end}" for end, n in self.ends.most_common())
        return (
            f"\n{count} mutants in {self.seconds:.0f} s; slowest that came back "
            f"{self.slowest:.2f} s, largest worker {self.peak_mib:.0f} MiB{lines}"
        )


def fuzz(read: Read, seeds: Sequence[bytes], folder: Path, count: int) -> Fuzzing:
    """Read `count` mutants, each from a file of its own that is gone afterwards."""

    def mutants() -> Iterator[Path]:
        for number in range(count):
            path = folder / str(number)
            path.write_bytes(mutant(seeds[number % len(seeds)], number))
            yield path

    ends: Counter[str] = Counter()
    slowest, peak_kib = 0.0, 0
    with GuardedPool(2, seconds=SECONDS) as pool:
        started = time.monotonic()
        for path, result in pool.map(read, mutants(), fallback=Code.BAD_HEADER):
            path.unlink()
            if isinstance(result, InputRefused):
                end = f"{result.status.value} {result.reason.value}"
                if result.reason is Code.BAD_HEADER:
                    end += f" (worker: {result.message})"
            else:
                end, seconds, kib = result
                slowest, peak_kib = max(slowest, seconds), max(peak_kib, kib)
            ends[end] += 1
        return Fuzzing(ends, slowest, peak_kib / 1024, time.monotonic() - started)
