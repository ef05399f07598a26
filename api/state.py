"""What the routes of one app share."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from threading import Event
from typing import cast

from angioatlas.access.keys import KeyBook
from angioatlas.access.principal import Principal
from fastapi import Request

from angioatlas.atlas import Atlas
from api.metrics import Metrics


@dataclass(frozen=True)
class State:
    """What the routes of one app share.

    Attributes
    ----------
    atlas : Atlas
        It acts as nobody; `api.callers.acting` makes one that acts as the caller.
    keys : KeyBook
    metrics : Metrics
    insecure : bool
        Who gives no key is taken for the person at this machine.
    ready : Event
        Set once searches are answered at once.
    """

    atlas: Atlas
    keys: KeyBook
    metrics: Metrics
    insecure: bool
    ready: Event = field(default_factory=Event)

    def verify(self, token: str, now: dt.datetime) -> Principal:
        """Return whose token this is.

        Raises
        ------
        UnauthenticatedError
            Nobody's, or not any more.
        """
        return self.keys.verify(token, now)


def state_of(request: Request) -> State:
    """Return what the app that answers a request was made with."""
    return cast(State, request.app.state.angioatlas)
