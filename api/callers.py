"""Who calls: the Atlas that a route gets acts as the caller, and checks and records by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from angioatlas.access.principal import Principal
from angioatlas.atlas import Atlas
from api.limits import Places
from api.state import State, state_of

_bearer = HTTPBearer(
    auto_error=False,
    description="An API key (`angioatlas keys create`), or a token of the configured issuer.",
)


async def caller(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Return who calls: whom `api.guard.Guard` let in.

    The scheme is here for the API's description.
    """
    who: Principal = request.scope["principal"]
    return who


async def acting(request: Request, principal: Annotated[Principal, Depends(caller)]) -> Atlas:
    """Return the Atlas, acting as the caller."""
    return state_of(request).atlas.acting_as(principal)


def _place(among: Callable[[State], Places]) -> Callable[[Request], AsyncIterator[None]]:
    async def held(request: Request) -> AsyncIterator[None]:
        async with among(state_of(request)).one():
            yield

    return held


# Held while a route answers, or until its answer is sent, as the route says.
case_place = _place(lambda state: state.cases)
text_place = _place(lambda state: state.texts)
analysis_place = _place(lambda state: state.analyses)
export_place = _place(lambda state: state.exports)
Caller = Annotated[Principal, Depends(caller)]
CallersAtlas = Annotated[Atlas, Depends(acting)]
