"""A text encoder with a memory: what was asked before, or is being asked, is not embedded again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder.encoders.spec import Coverage, TextEmbedder


@dataclass(frozen=True)
class TextCounts:
    """How many texts were asked for.

    Attributes
    ----------
    remembered : int
        Whose vector was in memory, or being made for somebody else.
    embedded : int
    """

    remembered: int
    embedded: int


class RememberedTexts:
    """A `TextEmbedder` over another one; threads may share it.

    Texts are kept as digests, so that what they say of anybody is nowhere in memory.

    Parameters
    ----------
    reader : TextEmbedder
    most : int
        Vectors kept, of 2 KiB; the one that was used least recently makes room.
    room : context manager
        Held while texts are embedded, so that it can bound how many are at once.
    """

    def __init__(
        self,
        reader: TextEmbedder,
        most: int,
        room: AbstractContextManager[object] | None = None,
    ) -> None:
        self._reader = reader
        self._most = most
        self._room = room or nullcontext()
        # One that is being made is known, too: who asks for it meanwhile waits for it.
        self._known: OrderedDict[bytes, Future[NDArray[np.float32]]] = OrderedDict()
        self._lock = threading.Lock()
        self._counts = TextCounts(0, 0)

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        return self._reader.encoder_id

    @property
    def text_id(self) -> str | None:
        """The id of the text encoder, which names all that a text's vector depends on."""
        return self._reader.text_id

    @property
    def counts(self) -> TextCounts:
        """How many texts were asked for until now."""
        return self._counts

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into float32 (texts, 512), L2-normalised; each of them once."""
        if not texts:
            return self._reader.encode(texts)
        mine: dict[str, Future[NDArray[np.float32]]] = {}
        with self._lock:
            wanted = [self._find(text, mine) for text in texts]
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            self._counts = TextCounts(
                self._counts.remembered + len(texts) - len(mine),
                self._counts.embedded + len(mine),
            )
        # Before others are waited for: who waits has nothing left that somebody waits for.
        self._embed(mine)
        return np.stack([each.result() for each in wanted])

    def coverage(self, text: str) -> Coverage | None:
        """Tell which words of a text it knows; None when it can read any word."""
        return self._reader.coverage(text)

    def _find(
        self, text: str, mine: dict[str, Future[NDArray[np.float32]]]
    ) -> Future[NDArray[np.float32]]:
        key = _key(text)
        if key not in self._known:
            self._known[key] = mine[text] = Future()
        self._known.move_to_end(key)
        return self._known[key]

    def _embed(self, mine: dict[str, Future[NDArray[np.float32]]]) -> None:
        if not mine:
            return
        try:
            with self._room:
                vectors = self._reader.encode([*mine])
        except BaseException as error:
            with self._lock:
                for text, made in mine.items():
                    if self._known.get(_key(text)) is made:
                        del self._known[_key(text)]
            for made in mine.values():
                made.set_exception(error)
            raise
        for made, vector in zip(mine.values(), vectors, strict=True):
            # Not a view, which would keep all that was embedded beside it.
            made.set_result(vector.copy())


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
