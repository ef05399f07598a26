"""`angioatlas serve`: the API over HTTP."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from angioatlas.cli.options import StoreOption, open_atlas
from angioatlas.cli.output import print_notice, say
from core.errors import UsageError

_APP: Final = "api.serve:make_app"
"""Named, not imported: imports go from the API to the Atlas and its commands, not back."""
_GRACE_S: Final = 30


def serve(
    store: StoreOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    insecure_local: Annotated[
        bool,
        typer.Option("--insecure-local", help="Answer without keys; only at a loopback address."),
    ] = False,
) -> None:
    """Serve the API (docs/api.md).

    Callers need a key: angioatlas keys create NAME --scope search.  For trying it out at this
    machine, --insecure-local asks for none.

    A first Ctrl-C (or SIGTERM) lets running requests end, for half a minute at the most.

    Example: angioatlas serve --store atlas --insecure-local
    """
    if insecure_local and not _is_loopback(host):
        raise UsageError(
            f"--insecure-local answers anybody, and {host} may be reached from elsewhere",
            "leave out --host, or --insecure-local",
        )
    atlas = open_atlas(store)
    # The processes of several workers are told by their environment.
    os.environ["ANGIOATLAS_STORE"] = str(Path(atlas.store.path).resolve())
    os.environ["ANGIOATLAS_SERVING_INSECURE_LOCAL"] = "1" if insecure_local else "0"
    say(f"http://{host}:{port}/v1  (store version {atlas.store.latest_version})", stderr=True)
    print_notice()
    import uvicorn

    uvicorn.run(
        _APP,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        access_log=False,  # it has paths; the app's own log has routes
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=15,
        log_level="warning",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
