"""Where the time of an embedding run goes, and what therefore bounds it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

Stage = Literal["decode", "device", "write"]
_STARVED: Final = 0.1
"""Share of the time spent waiting for clips from which on the encoder is starved: a queue that is
ever full waits for nothing."""


@dataclass
class Stages:
    """Seconds that the one flow of a run spent on each stage; it does one thing at a time.

    Attributes
    ----------
    decode_s : float
        Waiting for a clip that is not decoded yet.  Decoding goes on during the other stages.
    device_s : float
        Resizing, normalising and encoding.
    write_s : float
        Committing.
    """

    decode_s: float = 0.0
    device_s: float = 0.0
    write_s: float = 0.0

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            setattr(self, f"{stage}_s", getattr(self, f"{stage}_s") + took)

    def add(self, other: Stages) -> None:
        """Add the time of another flow, such as that of another device."""
        self.decode_s += other.decode_s
        self.device_s += other.device_s
        self.write_s += other.write_s

    @property
    def bound_by(self) -> Stage | None:
        """The stage whose speed decides that of the run; None before anything was done."""
        total = self.decode_s + self.device_s + self.write_s
        if not total:
            return None
        if self.decode_s >= _STARVED * total:
            return "decode"
        return "device" if self.device_s >= self.write_s else "write"

    def verdict(self) -> str:
        """Say in one line what bounds the run, and how the time is shared out."""
        total = self.decode_s + self.device_s + self.write_s
        if self.bound_by is None:
            return "nothing was embedded"
        return (
            f"bound by {self.bound_by}: {self.decode_s / total:.0%} of the time waiting for "
            f"decoded clips, {self.device_s / total:.0%} on the device, "
            f"{self.write_s / total:.0%} writing"
        )
