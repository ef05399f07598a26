"""The encoder process: loads encoders, and embeds for whoever connects to its socket.

A connection brings one question and takes one answer.  The process ends when who started it hangs
up, however that came about: signals to a whole group are for those that serve, and they still ask.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, final

from core.errors import AtlasError, NotFoundError, TooManyRequestsError, UsageError
from embedder.encoders.registry import Device
from embedder.encoders.served.packing import packed, unpacked
from embedder.encoders.served.wire import Message, WireError, receive, send
from embedder.encoders.sources import Encoders, LocalEncoders

MOST_QUESTIONS: Final = 256
"""At once, those that wait included: each holds a thread."""
_PATIENCE_S: Final = 60.0
"""How long a question may take to arrive, and an answer to be taken."""
_NICENESS: Final = 10
"""Searches go first where there are too few processors: beside them they are as fast as alone."""
_SPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""An encoder's id; never a path."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceOptions:
    """What the process is told on its command line.

    Attributes
    ----------
    encoders_dir : str
    device : {"auto", "cpu", "cuda"}
    texts_at_once : int
        Questions whose texts are embedded at a time.
    texts_kept : int
        Texts of each encoder whose vectors are kept.
    """

    encoders_dir: str
    device: Device
    texts_at_once: int
    texts_kept: int


@final
class Service:
    """Answers questions, each connection in a thread of its own.

    Parameters
    ----------
    encoders : Encoders
    most : int
        Questions at once; more are told to come back.
    """

    def __init__(self, encoders: Encoders, *, most: int = MOST_QUESTIONS) -> None:
        self._encoders = encoders
        # Texts, which somebody waits for, are not held up by the videos of an exam.
        self._videos = threading.Lock()
        self._places = threading.BoundedSemaphore(most)

    def run(self, listening: socket.socket, lifeline: int) -> None:
        """Answer until the lifeline, a file descriptor, can be read: nothing is ever written."""
        while True:
            ready, _, _ = select.select([listening.fileno(), lifeline], [], [])
            if lifeline in ready:
                return
            connection, _ = listening.accept()
            connection.settimeout(_PATIENCE_S)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # Who asked may be gone before the answer is there, or have sent what is no question.
        with connection, suppress(OSError, EOFError, WireError):
            if not self._places.acquire(blocking=False):
                send(connection, _told(TooManyRequestsError("too many ask for embeddings")))
                return
            try:
                answer = self._answer_to(receive(connection))
            finally:
                self._places.release()
            send(connection, answer)

    def _answer_to(self, question: Message) -> Message:
        try:
            return self._done(question)
        except AtlasError as error:
            return _told(error)
        except Exception as error:  # noqa: BLE001 - the process outlives whatever it is asked
            # Not the message: it may hold anything that a text held.
            _log.error("%r failed: %s", question.fields.get("do"), type(error).__name__)
            return _told(AtlasError("the encoder process failed", "its log says more"))

    def _done(self, question: Message) -> Message:
        fields = question.fields
        match fields["do"]:
            case "count":
                return Message(asdict(self._encoders.texts()))
            case "reader" | "texts" | "coverage" as what:
                return self._read(what, fields)
            case "encoder" | "videos" | "study" | "studies" | "findings" as what:
                return self._encoded(what, question)
            case _:
                raise UsageError("the encoder process was asked what it does not know")

    def _read(self, what: str, fields: Mapping[str, Any]) -> Message:
        reader = self._encoders.reader(_space(fields))
        who = {"encoder_id": reader.encoder_id, "text_id": reader.text_id}
        match what:
            case "texts":
                return Message(who, [reader.encode(fields["texts"])])
            case "coverage":
                covered = reader.coverage(fields["text"])
                return Message({**who, "coverage": None if covered is None else asdict(covered)})
            case _:
                return Message(who)

    def _encoded(self, what: str, question: Message) -> Message:
        encoder = self._encoders.encoder(_space(question.fields))
        who = {"encoder_id": encoder.encoder_id, "heads_id": encoder.heads_id}
        if what == "encoder":
            return Message({**who, "batch_size": encoder.batch_size})
        with self._videos:
            if what == "videos":
                made = packed([encoder.encode_videos(question.arrays)])
                return Message({**who, **made.fields}, made.arrays)
            studies = unpacked(question)
            match what:
                case "studies":
                    return Message(who, [encoder.encode_studies(studies)])
                case "study":
                    return Message(who, [encoder.encode_study(studies[0])])
                case _:
                    found = encoder.encode_findings(studies[0])
                    if found is None:
                        return Message({**who, "raw": None})
                    return Message({**who, "raw": dict(found.raw)}, [found.pooled])


def _space(fields: Mapping[str, Any]) -> str:
    space = str(fields["space"])
    if not _SPACE.fullmatch(space):
        raise NotFoundError("this is no encoder's id")
    return space


def _told(error: AtlasError) -> Message:
    return Message({"error": error.code, "message": error.message, "hint": error.hint})


def main() -> None:
    """Serve the socket that was inherited, as `EncoderProcess` starts it; never returns."""
    told, descriptor, folder = sys.argv[1:]
    options = ServiceOptions(**json.loads(told))
    import_module("torch")  # takes seconds: not when the first one asks, and not at leisure
    os.nice(_NICENESS)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    encoders = LocalEncoders(
        Path(options.encoders_dir),
        device=options.device,
        texts_kept=options.texts_kept,
        room=threading.Semaphore(options.texts_at_once),
    )
    with socket.socket(fileno=int(descriptor)) as listening:
        Service(encoders).run(listening, sys.stdin.fileno())
    # Who started it may have been killed, and cannot.
    shutil.rmtree(folder, ignore_errors=True)
    # What is still being embedded is for nobody.
    os._exit(0)
