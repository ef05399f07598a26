"""The encoders of the encoder process, as if they were here."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from core.errors import (
    AtlasError,
    EncoderAwayError,
    EncoderError,
    NotFoundError,
    TooManyRequestsError,
    UsageError,
)
from embedder.encoders.registry import find_encoder, read_spec
from embedder.encoders.served.packing import in_parts, packed, unpacked
from embedder.encoders.served.wire import Message, WireError, receive, send
from embedder.encoders.spec import (
    FULL,
    Coverage,
    Encoder,
    EncoderSpec,
    Findings,
    Precision,
    TextEmbedder,
    VideoVectors,
)
from embedder.encoders.text_memory import TextCounts
from embedder.sampling import ClipRule

_LOADING_S: Final = 180.0
_TEXTS_S: Final = 20.0
_VIDEOS_S: Final = 600.0
_COUNTS_S: Final = 2.0
_PART_BYTES: Final = 2**27
"""Of clips or vectors in one message; a clip is never cut."""
_PART_TEXTS: Final = 256
_ERRORS: Final[dict[str, Callable[[str, str], AtlasError]]] = {
    UsageError.code: UsageError,
    NotFoundError.code: NotFoundError,
    EncoderError.code: EncoderError,
    TooManyRequestsError.code: partial(TooManyRequestsError, retry_after_s=2),
}


@final
class Line:
    """Asks the encoder process, each time over a connection of its own; threads may share it.

    Parameters
    ----------
    path : Path
        Of its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(
        self, do: str, seconds: float, arrays: Sequence[NDArray[Any]] = (), **fields: Any
    ) -> Message:
        """Ask one thing.

        While the process starts, or starts anew, its socket is there: a question waits.  A process
        that dies takes its questions with it; they are asked once more.

        Parameters
        ----------
        do : str
            See `embedder.encoders.served.service`.
        seconds : float
            How long the answer may take.
        arrays : sequence of arrays
        **fields
            As JSON can say them.

        Raises
        ------
        EncoderAwayError
            There is no answer.
        TooManyRequestsError
            Too many ask.
        AtlasError
            What became of it in the process.
        """
        question = Message({"do": do, **fields}, arrays)
        try:
            try:
                answer = self._answer_to(question, seconds)
            except (ConnectionError, EOFError):
                answer = self._answer_to(question, seconds)
        except (OSError, EOFError, WireError) as error:
            raise EncoderAwayError(
                "the encoder process does not answer: it is being started anew, or has too much "
                "to do",
                "ask again in a few seconds; the server's log says what became of it",
            ) from error
        if "error" in answer.fields:
            kind = _ERRORS.get(answer.fields["error"], EncoderError)
            raise kind(answer.fields["message"], answer.fields["hint"])
        return answer

    def _answer_to(self, question: Message, seconds: float) -> Message:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(str(self._path))
            with suppress(ConnectionError):  # who refuses does not read, and its answer is there
                send(connection, question)
            return receive(connection)


@final
class AskedEncoders:
    """`Encoders` of the encoder process.

    What an encoder's folder says is read here, and what answers must be exactly that.

    Parameters
    ----------
    socket_path : Path
    folder : Path
        Of the imported encoders.
    """

    def __init__(self, socket_path: Path, folder: Path) -> None:
        self._line = Line(socket_path)
        self._folder = folder
        self._readers: dict[str, TextEmbedder] = {}
        self._encoders: dict[str, Encoder] = {}

    def encoder(self, space: str) -> Encoder:
        """Return the encoder of a space, once it is loaded in the process."""
        if space not in self._encoders:
            self._encoders[space] = AskedEncoder(self._spec(space), self._line)
        return self._encoders[space]

    def reader(self, space: str) -> TextEmbedder:
        """Return the text encoder of a space, once it is loaded in the process."""
        if space not in self._readers:
            self._readers[space] = AskedReader(self._spec(space), self._line)
        return self._readers[space]

    def texts(self) -> TextCounts:
        """Return how many texts the process was asked for, by all, since it was started."""
        return TextCounts(**self._line.ask("count", _COUNTS_S).fields)

    def _spec(self, space: str) -> EncoderSpec:
        return read_spec(find_encoder(space, self._folder))


class _Asked:
    """One encoder of the encoder process.

    Parameters
    ----------
    spec : EncoderSpec
    line : Line
    **parts : str or None
        Ids of the parts that are asked; every answer has to be of just these.
    """

    def __init__(self, spec: EncoderSpec, line: Line, **parts: str | None) -> None:
        self._spec = spec
        self._line = line
        self._who = {"encoder_id": spec.encoder_id, **parts}

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        return self._spec.encoder_id

    def _ask(
        self, do: str, seconds: float, arrays: Sequence[NDArray[Any]] = (), **fields: Any
    ) -> Message:
        answer = self._line.ask(do, seconds, arrays, space=self.encoder_id, **fields)
        for name, expected in self._who.items():
            if answer.fields.get(name) != expected:
                raise EncoderError(
                    f"the encoder process answers with another encoder: {name} {expected} was "
                    f"expected, {answer.fields.get(name)} found",
                    "encoders were changed while they were in use: start the server anew",
                )
        return answer


@final
class AskedReader(_Asked):
    """A `TextEmbedder` of the encoder process.

    Parameters
    ----------
    spec : EncoderSpec
    line : Line

    Raises
    ------
    EncoderError
        It reads no text, or is another than the folder says.
    """

    def __init__(self, spec: EncoderSpec, line: Line) -> None:
        super().__init__(spec, line, text_id=spec.text_id)
        self._ask("reader", _LOADING_S)

    @property
    def text_id(self) -> str | None:
        """The id of the text encoder, which names all that a text's vector depends on."""
        return self._spec.text_id

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into float32 (texts, 512), L2-normalised."""
        parts = [texts[at : at + _PART_TEXTS] for at in range(0, max(len(texts), 1), _PART_TEXTS)]
        return np.concatenate(
            [self._ask("texts", _TEXTS_S, texts=[*part]).arrays[0] for part in parts]
        )

    def coverage(self, text: str) -> Coverage | None:
        """Tell which words of a text it knows; None when it can read any word."""
        told = self._ask("coverage", _TEXTS_S, text=text).fields["coverage"]
        return None if told is None else Coverage(tuple(told["known"]), tuple(told["unknown"]))


@final
class AskedEncoder(_Asked):
    """An `Encoder` of the encoder process.

    Parameters
    ----------
    spec : EncoderSpec
    line : Line

    Raises
    ------
    EncoderError
        It cannot be used, or is another than the folder says.
    """

    def __init__(self, spec: EncoderSpec, line: Line) -> None:
        super().__init__(spec, line, heads_id=spec.heads_id)
        self._batch_size = int(self._ask("encoder", _LOADING_S).fields["batch_size"])

    @property
    def heads_id(self) -> str | None:
        """The id of its finding heads; None without heads."""
        return self._spec.heads_id

    @property
    def frames(self) -> int:
        """Frames per clip."""
        return self._spec.frames

    @property
    def clip_rule(self) -> ClipRule:
        """How its clips must have been made of cines."""
        return self._spec.clip_rule

    @property
    def precision(self) -> Precision:
        """The encoder process computes in float32."""
        return FULL

    @property
    def batch_size(self) -> int:
        """Clips per call that suit the device of the process."""
        return self._batch_size

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        """Encode clips, uint8 of shape (frames, rows, columns), whose sizes may differ."""
        sizes = [clip.nbytes for clip in clips]
        parts = [*in_parts(clips, sizes, _PART_BYTES)] or [[]]
        made = [unpacked(self._ask("videos", _VIDEOS_S, part))[0] for part in parts]
        (whole,) = unpacked(Message({"videos": [len(clips)]}, packed(made).arrays))
        return whole

    def encode_study(self, videos: VideoVectors) -> NDArray[np.float32]:
        """Combine one study's videos, in their order, into float32 (512,), L2-normalised."""
        return self._ask_of("study", [videos]).arrays[0]

    def encode_studies(self, studies: Sequence[VideoVectors]) -> NDArray[np.float32]:
        """Combine the videos of each of several studies, into float32 (studies, 512)."""
        sizes = [each.pooled.nbytes + each.embedding.nbytes for each in studies]
        parts = in_parts(studies, sizes, _PART_BYTES)
        made = [self._ask_of("studies", part).arrays[0] for part in parts]
        return np.concatenate([np.empty((0, self._spec.dim), np.float32), *made])

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        """Say what is found in one study's videos, in their order; None without heads."""
        if self.heads_id is None:
            return None
        answer = self._ask_of("findings", [videos])
        raw = answer.fields["raw"]
        return None if raw is None else Findings(raw, answer.arrays[0])

    def _ask_of(self, do: str, studies: Sequence[VideoVectors]) -> Message:
        of = packed(studies)
        return self._ask(do, _VIDEOS_S, of.arrays, **of.fields)
