"""HTTP/1.1 with an end to patience: uvicorn waits for ever for the rest of a head.

Without this, anybody can hold as many connections as the system has, by sending a byte now and
then, before there is a request that could be refused.  Three things must happen in time: a head
must arrive as a whole, the rest of a body that is no longer wanted must end, and what is sent must
be taken.  And what is no HTTP is refused in the same shape as every other request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from http import HTTPStatus
from typing import Any, Final

import h11
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.problems import problem

_log = logging.getLogger(__name__)

HEAD_SECONDS: Final = 10.0
"""From the connection, or a head's first byte, to its last."""
REST_SECONDS: Final = 10.0
"""For the rest of a body that was answered before it was read."""
TAKE_SECONDS: Final = 30.0
"""For a client that takes nothing of an answer that is larger than the buffers between."""


class PatientProtocol(H11Protocol):
    """One connection.

    `limit_concurrency` of the server's configuration is the number of connections that are not
    let in: those before it are served, and it is closed at once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, unless there are too many connections."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            transport.abort()
            return
        # What several workers listen at tells asyncio no protocol, so it would wait for more to
        # send: 40 ms an answer (Nagle's algorithm beside delayed acknowledgements).
        inside = transport.get_extra_info("socket")
        if inside is not None and inside.family in (socket.AF_INET, socket.AF_INET6):
            inside.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was waited for."""
        self._reading = _stopped(self._reading)
        self._taking = _stopped(self._taking)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in some bytes."""
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request of HTTP as every other request is refused."""
        given = uuid.uuid4().hex
        refused = problem(
            Request({"type": "http", "headers": [], "request_id": given}),
            HTTPStatus.BAD_REQUEST,
            "bad_request",
            "this is no request of HTTP/1.1",
            headers={"Connection": "close", "X-Request-ID": given},
        )
        sent = h11.Response(status_code=refused.status_code, headers=refused.raw_headers)
        for event in (sent, h11.Data(data=bytes(refused.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        _log.info("%s no request of HTTP/1.1 %d", given, refused.status_code)
        self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the rest of the body, where there is one."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._watch()

    def pause_writing(self) -> None:
        """Begin to wait until the client takes what was sent."""
        super().pause_writing()
        if self._taking is None:
            self._expect_less()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._taking = _stopped(self._taking)

    def _expect_less(self, than: int | None = None) -> None:
        """Give up a client that took nothing since this was last asked."""
        left = self.transport.get_write_buffer_size()
        if than is not None and left >= than:
            self.transport.abort()
            return
        self._taking = self.loop.call_later(TAKE_SECONDS, self._expect_less, left)

    def _watch(self) -> None:
        """Let a timer run while a head, or an unwanted body, is under way; bytes do not stop it."""
        unwanted = self.conn.their_state is h11.SEND_BODY and self.conn.our_state in (
            h11.DONE,
            h11.MUST_CLOSE,
        )
        if not unwanted and self.conn.their_state is not h11.IDLE:
            self._reading = _stopped(self._reading)
        elif self._reading is None:
            seconds = REST_SECONDS if unwanted else HEAD_SECONDS
            self._reading = self.loop.call_later(seconds, self.transport.abort)


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Stop a timer, and return what stands in its place."""
    if timer is not None:
        timer.cancel()
    return None
