"""`angioatlas serve`: the API over HTTP."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Final

import typer

from angioatlas.access.access import Access
from angioatlas.cli.options import (
    StoreOption,
    TlsCertOption,
    TlsKeyOption,
    open_atlas,
    scheme_of,
)
from angioatlas.cli.output import print_notice, say
from core.addresses import is_loopback
from core.errors import UsageError

INSECURE: Final = "ANGIOATLAS_SERVING_INSECURE_LOCAL"
"""Set by `--insecure-local` for the processes that serve; no setting, so that no configuration can
leave a server open."""
ENCODER_SOCKET: Final = "ANGIOATLAS_SERVING_ENCODER_SOCKET"
"""Where the processes that serve find the encoder process."""
_APP: Final = "api.serve:make_app"
"""Named, not imported: imports go from the API to the Atlas and its commands, not back."""
_PROTOCOL: Final = "api.protocol:PatientProtocol"
_GRACE_S: Final = 30
_HUNG_S: Final = 30
"""How long a worker may say nothing, while it starts above all, before it is killed."""
_HEAD_BYTES: Final = 16_384


def serve(
    store: StoreOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer; one more embeds.")
    ] = 1,
    insecure_local: Annotated[
        bool,
        typer.Option("--insecure-local", help="Answer without keys; only at a loopback address."),
    ] = False,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
) -> None:
    """Serve the API (docs/api.md).

    Callers need a key: angioatlas keys create NAME --scope search.  For trying it out at this
    machine, --insecure-local asks for none.

    A first Ctrl-C (or SIGTERM) lets running requests end, for half a minute at the most.

    Example: angioatlas serve --store atlas --insecure-local
    """
    local = is_loopback(host)
    if insecure_local and not local:
        raise UsageError(
            f"--insecure-local answers anybody, and {host} may be reached from elsewhere",
            "leave out --host, or --insecure-local",
        )
    scheme = scheme_of(tls_cert, tls_key)
    atlas = open_atlas(store)
    Access(atlas.settings)  # what is wrong with an identity provider's settings is said now
    # The processes of several workers are told by their environment.
    os.environ["ANGIOATLAS_STORE"] = atlas.store.place.uri
    os.environ[INSECURE] = "1" if insecure_local else "0"
    if scheme == "http" and not local:
        say(
            "keys and pictures travel unencrypted: give --tls-cert, or put a proxy in front that "
            "has a certificate (docs/api-security.md)",
            stderr=True,
        )
    say(f"{scheme}://{host}:{port}/v1  (store version {atlas.store.latest_version})", stderr=True)
    print_notice()
    import uvicorn

    from embedder.encoders.served.process import EncoderProcess
    from embedder.encoders.served.service import ServiceOptions

    settings = atlas.settings
    options = ServiceOptions(
        encoders_dir=str(settings.encoders_dir),
        device=settings.embed.device,
        texts_at_once=settings.serve.texts_at_once,
        texts_kept=settings.serve.texts_kept,
    )
    # By default the signal ends a process on the spot, before it could end the other.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with EncoderProcess(settings.state_dir, options) as encoder:
        os.environ[ENCODER_SOCKET] = str(encoder.path)
        uvicorn.run(
            _APP,
            factory=True,
            host=host,
            port=port,
            workers=workers,
            http=_PROTOCOL,
            ws="none",
            h11_max_incomplete_event_size=_HEAD_BYTES,
            limit_concurrency=atlas.settings.serve.connections,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
            access_log=False,  # it has paths; the app's own log has routes
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_worker_healthcheck=_HUNG_S,
            timeout_keep_alive=15,
            log_level="warning",
        )
