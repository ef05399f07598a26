"""What the routes of one app share."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import cast

from fastapi import Request

from angioatlas.access.access import Access
from angioatlas.atlas import Atlas
from api.jobs import Jobs
from api.limits import Places
from api.metrics import Metrics


@dataclass(frozen=True)
class State:
    """What the routes of one app share.

    Attributes
    ----------
    atlas : Atlas
        It acts as nobody; `api.callers.acting` makes one that acts as the caller.
    access : Access
    metrics : Metrics
    jobs : Jobs
    cases : Places
        For comparisons with what is in the store.
    texts : Places
        For texts that are being embedded.
    analyses : Places
        For analyses, which take memory.
    exports : Places
        For exports, until they are sent: each is a file as long.
    insecure : bool
        Who gives no key is taken for the person at this machine.
    ready : Event
        Set once searches are answered at once.
    """

    atlas: Atlas
    access: Access
    metrics: Metrics
    jobs: Jobs
    cases: Places
    texts: Places
    analyses: Places
    exports: Places
    insecure: bool
    ready: Event = field(default_factory=Event)


def state_of(request: Request) -> State:
    """Return what the app that answers a request was made with."""
    return cast(State, request.app.state.angioatlas)
