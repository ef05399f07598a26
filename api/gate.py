"""What no route ever sees: unknown hosts, bodies too large or of two lengths, clients too slow."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem

MOST_JSON_BYTES: Final = 65_536
"""Of a body that is not an upload: a predicate or a text has 2,000 characters at the most."""
UPLOAD_PATH: Final = "/v1/exams:similar"
MOST_HEADERS: Final = 64
MOST_HEADER_BYTES: Final = 16_384
BODY_SECONDS: Final = 10.0
"""A body that is not an upload must be here by then."""


class Gate:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGI application
    hosts : sequence of str
        Names that the `Host` header may have, without a port; ``*`` lets all in.
    upload : (int, float)
        Bytes, and seconds, of the body of an uploaded exam.
    """

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...], upload: tuple[int, float]) -> None:
        self.app = app
        self.hosts = hosts
        self.upload = upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or turn away, one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        upload = scope["path"] == UPLOAD_PATH
        most, seconds = self.upload if upload else (MOST_JSON_BYTES, BODY_SECONDS)
        receive = _bounded(receive, headers.get("content-length"), most, seconds)
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        refused = partial(problem, Request(scope))
        if _too_large(scope["headers"]):
            return refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
                "the headers are too many, or too large",
            )
        if not self._is_served(headers.get("host", "")):
            return refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                "unknown_host",
                "this server does not answer under that name",
                hint="its names are the setting serve.hosts",
            )
        if "content-length" in headers and "transfer-encoding" in headers:
            # Two ends of one body (RFC 9112, 6.1): the proxy in front may have seen the other.
            return refused(
                HTTPStatus.BAD_REQUEST,
                "bad_request",
                "Content-Length and Transfer-Encoding do not go together",
                headers={"Connection": "close"},
            )
        return None

    def _is_served(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        return "*" in self.hosts or name.lower() in self.hosts


def _too_large(headers: list[tuple[bytes, bytes]]) -> bool:
    size = sum(len(name) + len(value) for name, value in headers)
    return len(headers) > MOST_HEADERS or size > MOST_HEADER_BYTES


def _bounded(receive: Receive, length: str | None, most: int, seconds: float) -> Receive:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    received = 0
    whole = False

    async def read() -> Message:
        nonlocal received, whole
        if whole:  # what follows is the news that the client has gone, which may take its time
            return await receive()
        if length is not None and length.isdecimal() and int(length) > most:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            message = await asyncio.wait_for(receive(), until - loop.time())
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from None
        received += len(message.get("body", b""))
        if received > most:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        whole = not message.get("more_body", False)
        return message

    return read
