"""What the API says of itself: the OpenAPI document, with every answer that a caller can get."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.examples import EXAMPLES
from api.problems import MEDIA_TYPE, Problem

Responses = dict[int | str, dict[str, Any]]


def failure(told: str) -> dict[str, Any]:
    """Describe a failing answer: a problem document, and when it comes."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": told, "content": {MEDIA_TYPE: {"schema": schema}}}


UNKNOWN_HOST: Final[Responses] = {421: failure("The server does not answer under that name.")}
_OF_BODIES: Final[Responses] = {
    400: failure("The body cannot be read."),
    408: failure("The body did not arrive in time."),
    413: failure("The body is too large."),
}
FAILURES: Final[Responses] = {
    **_OF_BODIES,
    401: failure("Nobody that the server knows."),
    403: failure("Not what this key is for."),
    404: failure("Not in the store."),
    **UNKNOWN_HOST,
    422: failure("The request itself is wrong."),
    429: failure("Too many requests; `Retry-After` says when to come back."),
    431: failure("The headers are too large."),
    500: failure("The server failed."),
    503: failure("The server cannot answer this now."),
}
"""What a request for which a key is needed may get instead of its answer."""


def described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an app, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        schemas = made["components"]["schemas"]
        told = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(told.pop("$defs", {}))
        schemas["Problem"] = told
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for name, example in EXAMPLES.items():
            schemas[name]["examples"] = [example]
        for path in made["paths"].values():
            for operation in path.values():
                _without_failures_of_bodies(operation)
        app.openapi_schema = made
    return app.openapi_schema


def _without_failures_of_bodies(operation: dict[str, Any]) -> None:
    if "requestBody" not in operation:
        for status in _OF_BODIES:
            operation["responses"].pop(str(status), None)
