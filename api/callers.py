"""Who calls: the Atlas that a route gets acts as the caller, and checks and records by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from angioatlas.access.principal import Principal
from angioatlas.atlas import Atlas
from api.state import state_of

_bearer = HTTPBearer(
    auto_error=False,
    description="An API key (`angioatlas keys create`), or a token of the configured issuer.",
)


def caller(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Return who calls: whom `api.guard.Guard` let in.

    The scheme is here for the API's description.
    """
    who: Principal = request.scope["principal"]
    return who


def acting(request: Request, principal: Annotated[Principal, Depends(caller)]) -> Atlas:
    """Return the Atlas, acting as the caller."""
    return state_of(request).atlas.acting_as(principal)


async def text_place(request: Request) -> AsyncIterator[None]:
    """Hold a place among the texts that are embedded while a route answers."""
    async with state_of(request).texts.one():
        yield


async def analysis_place(request: Request) -> AsyncIterator[None]:
    """Hold a place among the analyses that are made while a route answers."""
    async with state_of(request).analyses.one():
        yield


async def export_place(request: Request) -> AsyncIterator[None]:
    """Hold a place among the exports that are written or sent."""
    async with state_of(request).exports.one():
        yield


Caller = Annotated[Principal, Depends(caller)]
CallersAtlas = Annotated[Atlas, Depends(acting)]
