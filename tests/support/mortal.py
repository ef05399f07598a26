"""A tiny encoder that takes its time, and kills its own process as a test wants it to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedder.encoders.spec import VideoVectors
from tests.support.tiny import TinyFinder

POISON_ROWS = 40
"""Height of a cine that kills who encodes it."""


class MortalEncoder(TinyFinder):
    """Leaves the name of its process in a folder with each batch.

    Parameters
    ----------
    folder : Path
        Shared by all processes.
    stillborn : bool
        Every process dies of loading it.
    kill_once : bool
        The first process that comes to its second batch dies of it.
    together : int
        Processes that must have come to a batch before one goes on.
    seconds : float
        Of a batch.
    """

    batch_size = 2

    def __init__(
        self,
        folder: Path,
        *,
        stillborn: bool = False,
        kill_once: bool = False,
        together: int = 0,
        seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._kill_once = kill_once
        self._together = together
        self._seconds = seconds
        self._batches = 0
        if stillborn:
            self._die("stillborn")

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        self._batches += 1
        (self._folder / f"{os.getpid()}").touch()
        until = time.monotonic() + 60
        while len(list(self._folder.iterdir())) < self._together and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(self._seconds)
        if any(clip.shape[1] == POISON_ROWS for clip in clips):
            self._die("poison")
        if self._kill_once and self._batches == 2 and not list(self._folder.glob("once-*")):
            self._die("once")
        return super().encode_videos(clips)

    def _die(self, why: str) -> None:
        (self._folder / f"{why}-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
