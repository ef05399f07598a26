"""What a request that fails gets: a problem document (RFC 9457), and nothing that is not its own.

A message goes out only where it speaks of the request.  Failures of the installation (a store that
cannot be read, an encoder that is not here) name files and reasons that are none of the caller's
business: those go to the log, and the caller gets the request's id to ask about.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from core.errors import AtlasError, EncoderAwayError, TooManyRequestsError, UsageError

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_OF_THE_REQUEST: Final = {
    "usage": HTTPStatus.UNPROCESSABLE_ENTITY,
    "name_taken": HTTPStatus.CONFLICT,
    "not_found": HTTPStatus.NOT_FOUND,
    "source": HTTPStatus.NOT_FOUND,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_many_requests": HTTPStatus.TOO_MANY_REQUESTS,
    "far_from_all": HTTPStatus.UNPROCESSABLE_ENTITY,
    "leakage": HTTPStatus.UNPROCESSABLE_ENTITY,
    "model": HTTPStatus.CONFLICT,
    "encoder_away": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Status by the code of an error whose message the caller may read."""
_PATH: Final = re.compile(r"(?:^|[\s'\"(=])(?:/|~/|[A-Za-z]:\\)[^\s/]")
"""A file of this machine, which is nobody's business elsewhere."""
_ASK: Final = "ask who runs the server, with this request_id"
_OF_THE_INSTALLATION: Final = {
    "lease_held": (
        HTTPStatus.CONFLICT,
        "the store is being written to by another run",
        "send it again when that has ended",
    )
}
"""Status and words of other codes; `_NOT_NOW` where one stands not here."""
_NOT_NOW: Final = (HTTPStatus.SERVICE_UNAVAILABLE, "the server cannot answer this now", _ASK)


class Wrong(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Path of the value, such as `body.k`.", examples=["body.k"])
    what: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """Why a request failed (RFC 9457), and what to do next."""

    type: str = Field("about:blank", description="Always `about:blank`: `code` tells the kind.")
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(description="Stable, for programs.", examples=["not_found"])
    detail: str = Field(examples=["no study 1.2.3 with vectors of phantom-mini in version 7"])
    hint: str = Field("", description="The next step, where there is one.")
    request_id: str = Field(description="Names the request in the server's log.")
    errors: list[Wrong] = Field([], description="What is wrong, value by value.")


def problem(
    request: Request,
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    hint: str = "",
    errors: list[Wrong] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return a problem document as the answer to a request."""
    told = Problem(
        title=status.phrase,
        status=status,
        code=code,
        detail=detail,
        hint=hint,
        request_id=request_id(request),
        errors=errors or [],
    )
    return JSONResponse(told.model_dump(), status, headers, media_type=MEDIA_TYPE)


def request_id(request: Request) -> str:
    """Return the id that `api.observe.Observed` gave a request."""
    given: str = request.scope.get("request_id", "")
    return given


def add_handlers(app: FastAPI) -> None:
    """Turn every failure of an app into a problem document."""
    app.add_exception_handler(AtlasError, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)


@dataclass(frozen=True)
class Failure:
    """What a caller may know of an error."""

    status: int
    code: str
    detail: str
    hint: str


def public(error: Exception, request_id: str) -> Failure:
    """Return what a caller may know of an error; the rest goes to the log."""
    if not isinstance(error, AtlasError):
        # Not the message: it may hold anything that a file or a request held.
        _log.error("%s internal: %s at %s", request_id, type(error).__name__, _place(error))
        return Failure(500, "internal", "the server failed", _ASK)
    status = _OF_THE_REQUEST.get(error.code)
    if status is not None and not _PATH.search(f"{error.message} {error.hint}"):
        return Failure(status, error.code, error.message, error.hint)
    # Who asks wrongly is quoted to themselves, and nowhere else: it may be a predicate or a name.
    said = "of the request" if isinstance(error, UsageError) else error.message
    # Quoted, so that no line break which a caller sent begins a line of the log.
    _log.error("%s %s: %r", request_id, error.code, said)
    if status is not None:
        return Failure(status, error.code, status.description or status.phrase, _ASK)
    status, detail, hint = _OF_THE_INSTALLATION.get(error.code, _NOT_NOW)
    return Failure(status, error.code, detail, hint)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return answer_to(request, error)


def answer_to(request: Request, error: Exception) -> JSONResponse:
    """Return what a request is answered that ended with an error."""
    told = public(error, request_id(request))
    headers = {}
    if told.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequestsError | EncoderAwayError):
        headers["Retry-After"] = str(error.retry_after_s)
    return problem(
        request,
        HTTPStatus(told.status),
        told.code,
        told.detail,
        hint=told.hint,
        headers=headers,
    )


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # What was sent is not sent back: it may be anything.
    wrong = [
        Wrong(where=".".join(map(str, each["loc"])), what=str(each["msg"]))
        for each in error.errors()
    ]
    return problem(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{len(wrong)} of the values of this request cannot be used",
        hint="the API's description is at /openapi.json",
        errors=wrong,
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.NOT_MODIFIED:
        return Response(status_code=status, headers=error.headers)
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        # Each route knows its own method alone.
        path = getattr(request.scope.get("route"), "path", "")
        verbs = request.app.openapi()["paths"].get(path)
        headers |= {"Allow": ", ".join(sorted(map(str.upper, verbs)))} if verbs else {}
    return problem(
        request, status, status.name.lower(), status.description or status.phrase, headers=headers
    )


def _place(error: Exception) -> str:
    at: Any = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "?" if at is None else f"{at.tb_frame.f_globals.get('__name__')}:{at.tb_lineno}"
