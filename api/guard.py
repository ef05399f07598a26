"""Who gets in: asked before a byte of the body is read, so that nobody unknown can send any.

FastAPI reads a body before it asks what a route depends on; an upload would be on the disk before
its sender is known.  So this stands in front of it.
"""

from __future__ import annotations

import ipaddress
import time
from contextlib import AsyncExitStack
from typing import Final

from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from angioatlas.access import principal
from angioatlas.access.principal import Principal
from angioatlas.stored_exam import archive_of
from api.gate import UPLOAD_PATH
from api.limits import Buckets, Places
from api.problems import answer_to
from api.state import State
from core.errors import AtlasError, UnauthenticatedError
from core.settings import ServeSettings

OPEN: Final = frozenset({"/healthz", "/readyz"})
"""Paths that answer anybody: who watches over the server has no key."""
REFUSALS_PER_SECOND: Final = 0.5
REFUSALS_BURST: Final = 20
"""Wrong keys from one address."""
_TRUTH: Final = TypeAdapter(bool)
_PREFIX: Final = 64
"""Bits of an IPv6 address that tell networks apart; whoever has one has all addresses in it."""


class Guard:
    """ASGI middleware: finds out who calls, and leaves it in the scope as ``principal``.

    Parameters
    ----------
    app : ASGI application
    state : State
    settings : ServeSettings
    """

    def __init__(self, app: ASGIApp, *, state: State, settings: ServeSettings) -> None:
        self.app = app
        self.state = state
        self.settings = settings
        self.calls = Buckets(settings.requests_per_second, settings.requests_burst)
        self.refusals = Buckets(REFUSALS_PER_SECOND, REFUSALS_BURST)
        self.uploads = Places(settings.uploads_at_once, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or turn away, one request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        async with AsyncExitStack() as held:
            try:
                who = await self._caller(scope)
                self.calls.take(who.id, time.monotonic())
                if scope["path"] == UPLOAD_PATH and scope["method"] == "POST":
                    check_upload(who, self.settings, store=_stores(scope))
                    await held.enter_async_context(self.uploads.one())
                    receive = _until_whole(receive, held)
            except AtlasError as error:
                await answer_to(Request(scope), error)(scope, receive, send)
                return
            scope["principal"] = who
            await self.app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Principal:
        token = _token(Headers(scope=scope))
        if token is None:
            if self.state.insecure:
                return Principal.local()
            self.calls.take(_network(scope), time.monotonic())
            raise UnauthenticatedError(
                "no key was given", "send `Authorization: Bearer KEY`; an administrator makes keys"
            )
        try:
            return await run_in_threadpool(self.state.access.authenticate, token)
        except UnauthenticatedError:
            # Counted, not looked up beforehand: a good key is accepted however many wrong ones come
            # from its address, which may be that of a proxy, with everybody behind it.
            self.refusals.take(_network(scope), time.monotonic())
            raise


def check_upload(who: Principal, settings: ServeSettings, *, store: bool) -> None:
    """Refuse an exam from somebody who may not send it, or have it stored.

    Raises
    ------
    ForbiddenError
    UsageError
        It is to be stored, and there is no place for its files.
    """
    who.require(principal.Scope.SEARCH)
    if store:
        who.require(principal.Scope.WRITE)
        archive_of(settings)


def _stores(scope: Scope) -> bool:
    """Tell whether a route will find that an exam is to be stored."""
    given = QueryParams(scope["query_string"]).get("store", "false")
    try:
        return _TRUTH.validate_python(given)
    except ValidationError:  # the route says so
        return False


def _token(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _network(scope: Scope) -> str:
    client = scope.get("client")
    if client is None:
        return ""
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return ""
    prefix = _PREFIX if address.version == 6 else address.max_prefixlen
    return str(ipaddress.ip_network((address, prefix), strict=False))


def _until_whole(receive: Receive, held: AsyncExitStack) -> Receive:
    """Give up what is held as soon as the body is here: its work has limits of its own."""

    async def read() -> Message:
        message = await receive()
        if not message.get("more_body", False):
            await held.aclose()
        return message

    return read
