"""Where encoders come from: loaded in this process, or asked of one that many share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol, TypeVar, runtime_checkable

from embedder.encoders.registry import Device, find_encoder, load_encoder, load_text_encoder
from embedder.encoders.spec import Encoder, TextEmbedder
from embedder.encoders.text_memory import RememberedTexts, TextCounts

TEXTS_KEPT: Final = 4096
"""Texts whose vectors a process keeps for itself: 8 MiB."""
_Loaded = TypeVar("_Loaded")


@runtime_checkable
class Encoders(Protocol):
    """Gives the encoders of vector spaces, each made ready once; threads may share it."""

    def encoder(self, space: str) -> Encoder:
        """Return the encoder of a space.

        Raises
        ------
        NotFoundError
            It is not here.
        EncoderError
            It cannot be used.
        """
        ...

    def reader(self, space: str) -> TextEmbedder:
        """Return the text encoder of a space; errors as for `encoder`.

        Raises
        ------
        EncoderError
            Also when there is no text encoder, or it lacks its vocabulary.
        """
        ...

    def texts(self) -> TextCounts:
        """Return how many texts were asked for until now."""
        ...


class LocalEncoders:
    """`Encoders` that are loaded in this process.

    Parameters
    ----------
    folder : Path
        Of the imported encoders; those of the package are found, too.
    device : {"auto", "cpu", "cuda"}
    texts_kept : int
        Texts of each encoder whose vectors are kept.
    room : context manager, optional
        Held while texts are embedded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: Device,
        texts_kept: int = TEXTS_KEPT,
        room: AbstractContextManager[object] | None = None,
    ) -> None:
        self._folder = folder
        self._device = device
        self._texts_kept = texts_kept
        self._room = room
        self._encoders: dict[str, Encoder] = {}
        self._readers: dict[str, RememberedTexts] = {}
        self._lock = threading.Lock()

    def encoder(self, space: str) -> Encoder:
        """Return the encoder of a space, loaded once."""
        return self._once(
            self._encoders, space, lambda folder, device: load_encoder(folder, device=device)
        )

    def reader(self, space: str) -> TextEmbedder:
        """Return the text encoder of a space, loaded once, with a memory."""
        return self._once(self._readers, space, self._remembered)

    def texts(self) -> TextCounts:
        """Return how many texts all text encoders together were asked for."""
        counts = [reader.counts for reader in [*self._readers.values()]]
        return TextCounts(
            sum(each.remembered for each in counts), sum(each.embedded for each in counts)
        )

    def _remembered(self, folder: Path, device: Device) -> RememberedTexts:
        reader = load_text_encoder(folder, device=device)
        return RememberedTexts(reader, self._texts_kept, self._room)

    def _once(
        self, loaded: dict[str, _Loaded], space: str, load: Callable[[Path, Device], _Loaded]
    ) -> _Loaded:
        # What is there waits for nothing that is being loaded.
        if space not in loaded:
            with self._lock:
                if space not in loaded:
                    loaded[space] = load(find_encoder(space, self._folder), self._device)
        return loaded[space]
