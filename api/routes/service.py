"""What a machine asks of the server itself: whether it lives and can answer, what it counted."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from angioatlas.access.principal import Scope
from api.callers import Caller
from api.schemas import Health
from api.state import state_of

health = APIRouter(tags=["service"])
router = APIRouter(tags=["service"])


@health.get("/healthz")
def healthz() -> Health:
    """Answer as long as the process lives; needs no key."""
    return Health(status="ok")


@health.get(
    "/readyz",
    responses={503: {"model": Health, "description": "It warms up, or is being stopped."}},
)
def readyz(request: Request, response: Response) -> Health:
    """Tell whether the server can answer searches at once; needs no key."""
    if state_of(request).ready.is_set():
        return Health(status="ok")
    response.status_code = 503
    return Health(status="not ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, who: Caller) -> Response:
    """Tell what was counted, in Prometheus' text format."""
    who.require(Scope.READ)
    return Response(state_of(request).metrics.text(), media_type="text/plain; version=0.0.4")
