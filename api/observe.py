"""Every request gets an id, a line in the log, and is counted; none of them says who is a patient.

A line names the route (`/v1/studies/{study_uid}`), never the path or the query that was asked.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.problems import answer_to, public

_log = logging.getLogger("angioatlas.requests")
_UNKNOWN: Final = "unknown"


class Observed:
    """ASGI middleware, the outermost: it sees what the others answer.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = uuid.uuid4().hex
        scope["request_id"] = given
        began = time.perf_counter()
        status, begun = 500, False

        async def send_with_id(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                headers = [*message.get("headers", []), (b"x-request-id", given.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - the server would log it, with all that it holds
            # What has been begun cannot be answered otherwise: the server closes the connection.
            if not begun:
                await answer_to(Request(scope), error)(scope, receive, send_with_id)
            else:
                public(error, given)
        finally:
            took = time.perf_counter() - began
            route = _route(scope)
            self.metrics.observe(_method(scope), route, status, took)
            _log.info("%s %s %s %d %.1f ms", given, _method(scope), route, status, 1000 * took)


def _route(scope: Scope) -> str:
    """Return the route's template; what no route matched is one name, whatever was asked."""
    route = scope.get("route")
    path: str = getattr(route, "path", _UNKNOWN)
    return path


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    method: str = scope["method"]
    return method if method in known else _UNKNOWN
