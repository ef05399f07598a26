"""Answers as the client reads them, and the one error that stands for all that are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from api.problems import Problem
from core.errors import AtlasError

T = TypeVar("T")
_UNREACHABLE: Final = "see whether the server runs, and whether its address is right"
_NO_ANSWER_OF_OURS: Final = "see whether the address is that of AngioAtlas, or of a proxy's page"


class ApiError(AtlasError):
    """What was asked was not answered.

    Attributes
    ----------
    code, message, hint : str
        As the server says.  The client's own codes are `unreachable`, `no_answer` and `waited`.
    status : int or None
        None where there is none.
    request_id : str
        Names the request (of an exam that failed: its job) in the server's log.
    problem : Problem or None
        All that the server said.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        code: str,
        status: int | None = None,
        request_id: str = "",
        problem: Problem | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.problem = problem


@contextmanager
def reached() -> Iterator[None]:
    """Translate failures to reach the server."""
    try:
        yield
    except httpx2.TransportError as error:
        raise ApiError(
            f"the server was not reached: {type(error).__name__}", _UNREACHABLE, code="unreachable"
        ) from error


def require_success(answer: httpx2.Response) -> None:
    """Raise what a failed request was answered with."""
    if answer.is_success:
        return
    answer.read()
    problem = read(answer, Problem)
    raise ApiError(
        problem.detail,
        problem.hint,
        code=problem.code,
        status=problem.status,
        request_id=problem.request_id,
        problem=problem,
    )


def read(answer: httpx2.Response, kind: type[T]) -> T:
    """Return an answer as the model that it is documented to be."""
    try:
        return TypeAdapter(kind).validate_json(answer.content)
    except ValidationError as error:
        raise ApiError(
            f"the answer (status {answer.status_code}) is none of AngioAtlas",
            _NO_ANSWER_OF_OURS,
            code="no_answer",
            status=answer.status_code,
            request_id=answer.headers.get("x-request-id", ""),
        ) from error
