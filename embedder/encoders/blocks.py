"""Clips computed in blocks of one shape, so that no row depends on what shared its block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import EncoderError

Clips = Sequence[NDArray[np.uint8]]
Rows = Mapping[str, NDArray[np.float32]]


@final
class Blocks:
    """Calls a model with as many clips every time; the last block is filled up with copies.

    The kernels of a device are chosen by the shape of a batch, and two kernels round otherwise: the
    same clip in batches of 3 and of 16 gives rows that differ by 1e-6.  With one shape they are
    equal bit by bit, wherever in its block a clip comes and whatever comes with it.

    Parameters
    ----------
    size : int
        Clips of a block, 1 or more.

    Attributes
    ----------
    size : int
        Is halved whenever the device has not the memory for a block; rows may differ by rounding
        from then on.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def rows(self, clips: Clips, encode: Callable[[Clips], Rows]) -> dict[str, NDArray[np.float32]]:
        """Compute the rows of clips, one or more.

        Parameters
        ----------
        clips : sequence of uint8 arrays
        encode : callable
            From a block of clips to named arrays of one row a clip.

        Raises
        ------
        EncoderError
            The device has not the memory for a single clip.
        """
        done: list[Rows] = []
        at = 0
        while at < len(clips):
            block = clips[at : at + self.size]
            filled = [*block, *[block[-1]] * (self.size - len(block))]
            try:
                found = encode(filled)
            except torch.OutOfMemoryError as error:
                self._give_way(error)
                continue
            done.append({name: rows[: len(block)] for name, rows in found.items()})
            at += len(block)
        return {name: np.concatenate([rows[name] for rows in done]) for name in done[0]}

    def _give_way(self, error: torch.OutOfMemoryError) -> None:
        if self.size == 1:
            raise EncoderError(
                "the device has not the memory to encode a single clip",
                "see what else uses it (nvidia-smi), or use --device cpu",
            ) from error
        self.size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
