"""The peak memory of this process and all its descendants together."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from core.closing import Closing

_LOOK_S: Final = 0.2


class PeakOfTree(Closing):
    """Looks at the process tree during a block; a context manager.

    Attributes
    ----------
    peak_mib : float
        The largest sum of proportional set sizes seen: a page that several processes share counts
        once in all.
    """

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self.own_mib = _proportional_kib(os.getpid()) / 1024
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_LOOK_S):
            total = sum(_proportional_kib(pid) for pid in _tree(os.getpid()))
            self.peak_mib = max(self.peak_mib, total / 1024)


def _tree(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _proportional_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
