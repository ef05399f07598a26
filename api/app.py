"""The app: `create_app(atlas, settings)` makes it, `angioatlas serve` runs it.

    from angioatlas.atlas import Atlas
    from api.app import create_app

    app = create_app(Atlas.open("atlas"), settings)

Research use only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from angioatlas.access.access import Access
from angioatlas.atlas import Atlas
from api.callers import caller
from api.description import FAILURES, UNKNOWN_HOST, described
from api.gate import Gate
from api.guard import Guard
from api.jobs import Jobs
from api.limits import (
    ANALYSES_AT_ONCE,
    CASES_AT_ONCE,
    EXPORTS_AT_ONCE,
    MOST_ANALYSES_WAITING,
    MOST_CASES_WAITING,
    MOST_EXPORTS_WAITING,
    MOST_TEXTS_WAITING,
    Places,
)
from api.metrics import Metrics
from api.observe import Observed
from api.problems import add_handlers
from api.routes import analyses, cohorts, exams, pictures, search, service, store, studies
from api.state import State
from core.errors import AtlasError
from core.provenance import RESEARCH_USE, software_version
from core.settings import Settings

_log = logging.getLogger(__name__)


def create_app(atlas: Atlas, settings: Settings, *, insecure: bool = False) -> FastAPI:
    """Make the app that serves one store.

    Parameters
    ----------
    atlas : Atlas
    settings : Settings
    insecure : bool
        Answer who gives no key, as the person at this machine.  For loopback addresses alone; that
        the address is one is the business of who serves the app.
    """
    state = State(
        atlas,
        Access(settings),
        Metrics(atlas.encoders.texts),
        Jobs(settings.state_dir / "jobs.sqlite"),
        Places(CASES_AT_ONCE, MOST_CASES_WAITING),
        Places(settings.serve.texts_at_once, MOST_TEXTS_WAITING),
        Places(ANALYSES_AT_ONCE, MOST_ANALYSES_WAITING),
        Places(EXPORTS_AT_ONCE, MOST_EXPORTS_WAITING),
        insecure=insecure,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(asyncio.to_thread(_warm, state))
        yield
        state.ready.clear()
        await asyncio.gather(warming, return_exceptions=True)
        await asyncio.to_thread(state.jobs.close)
        state.atlas.close()

    app = FastAPI(
        title="AngioAtlas",
        version=software_version(),
        description=f"Similar cases, texts and findings in coronary angiography. {RESEARCH_USE}",
        # Pages that show a description load scripts from elsewhere, and need no key.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.angioatlas = state
    add_handlers(app)
    app.include_router(service.health, responses=UNKNOWN_HOST)
    guarded = APIRouter(dependencies=[Depends(caller)], responses=FAILURES)
    for part in (search, exams, studies, pictures, cohorts, analyses, store):
        guarded.include_router(part.router)
    guarded.include_router(service.router)
    guarded.add_api_route(
        "/openapi.json", lambda: app.openapi(), tags=["service"], include_in_schema=False
    )
    app.include_router(guarded)
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    app.add_middleware(Guard, state=state, settings=settings.serve)
    app.add_middleware(
        Gate,
        hosts=settings.serve.hosts,
        upload=(settings.serve.upload_mib * 2**20, settings.serve.upload_seconds),
    )
    if settings.serve.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.serve.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match"],
            expose_headers=["ETag", "X-Request-ID"],
        )
    app.add_middleware(Observed, metrics=state.metrics)
    return app


def _warm(state: State) -> None:
    try:
        state.atlas.follow()
    except AtlasError as error:  # it stays not ready, and the log says why
        _log.error("the store cannot be made ready: %s", error.message)
    else:
        state.ready.set()
