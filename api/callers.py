"""Who calls: the Atlas that a route gets acts as the caller, and checks and records by itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from angioatlas.access.principal import Principal
from angioatlas.atlas import Atlas
from api.state import State, state_of
from core.errors import UnauthenticatedError

_bearer = HTTPBearer(
    auto_error=False,
    description="An API key (`angioatlas keys create`), or a token of the configured issuer.",
)


def caller(
    request: Request,
    token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Return who calls.

    Raises
    ------
    UnauthenticatedError
        Nobody that the server knows.
    """
    state: State = state_of(request)
    if token is None:
        if state.insecure:
            return Principal.local()
        raise UnauthenticatedError(
            "no key was given", "send `Authorization: Bearer KEY`; an administrator makes keys"
        )
    return state.access.authenticate(token.credentials)


def acting(request: Request, principal: Annotated[Principal, Depends(caller)]) -> Atlas:
    """Return the Atlas, acting as the caller."""
    return state_of(request).atlas.acting_as(principal)


Caller = Annotated[Principal, Depends(caller)]
CallersAtlas = Annotated[Atlas, Depends(acting)]
