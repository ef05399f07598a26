"""`angioatlas dashboard`: the cohort explorer, in a browser."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

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
from core.settings import Settings

_SERVER: Final = "dashboard.serve"
"""Named, not imported: imports go from the explorer to the Atlas and its commands, not back."""
_LOGIN: Final = ("redirect_uri", "cookie_secret", "client_id", "server_metadata_url")
_LEAST_SECRET: Final = 32
_HINT: Final = "docs/explorer.md shows a whole file"


def dashboard(
    store: StoreOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8501,
    login: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Login by an identity provider: Streamlit's secrets with a section [auth].",
        ),
    ] = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
) -> None:
    """Explore a store in a browser: search, cases, map, cohorts, analyses (docs/explorer.md).

    Without a login whoever opens the pages acts as the person at this machine, so they are served
    at a loopback address only.  With --login people log in with the identity provider that the API
    accepts tokens of (settings serve.oidc_*), and may do what their token grants.

    Example: angioatlas dashboard --store angioatlas-demo/store
    """
    if login is None and not is_loopback(host):
        raise UsageError(
            f"without a login the pages are for this machine alone, and {host} may be reached from "
            "elsewhere",
            "leave out --host, or give --login",
        )
    scheme = scheme_of(tls_cert, tls_key)
    atlas = open_atlas(store)
    options = {"server.address": host, "server.port": port, "logger.hideWelcomeMessage": "true"}
    # A page elsewhere whose name leads here is not answered.
    hosts = [*atlas.settings.serve.hosts]
    if login is not None:
        own = _checked(login, atlas.settings)
        hosts.append(own)
        options |= {"secrets.files": login.resolve(), "browser.serverAddress": own}
    if tls_cert is not None and tls_key is not None:
        options |= {"server.sslCertFile": tls_cert, "server.sslKeyFile": tls_key}
    if scheme == "http" and not is_loopback(host):
        say(
            "tokens and pictures travel unencrypted: give --tls-cert, or put a proxy in front that "
            "has a certificate (docs/explorer.md)",
            stderr=True,
        )
    say(f"{scheme}://{host}:{port}  (store version {atlas.store.latest_version})", stderr=True)
    print_notice()
    os.environ["ANGIOATLAS_STORE"] = atlas.store.place.uri
    words = [f"--{name}={value}" for name, value in options.items()]
    words += [f"--server.allowedHosts={name}" for name in dict.fromkeys(hosts)]
    command = [sys.executable, "-m", _SERVER, *words]
    sys.stdout.flush()
    # In place of this process, so that signals reach the one that serves.
    os.execv(sys.executable, command)


def _checked(login: Path, settings: Settings) -> str:
    """Return the name that people find the explorer at, of a login that can work.

    Raises
    ------
    UsageError
        Something is missing, of the file or of the settings.
    """
    if settings.serve.oidc_issuer is None:
        raise UsageError(
            "--login is given, and no identity provider is set whose tokens are accepted",
            "set serve.oidc_issuer and serve.oidc_audience (docs/api-security.md)",
        )
    Access(settings)  # what else is wrong with those settings is said now
    try:
        told: Any = tomllib.loads(login.read_text(encoding="utf-8")).get("auth")
    except (OSError, ValueError) as error:
        raise UsageError(f"{login} cannot be read as TOML: {error}", _HINT) from error
    if not isinstance(told, dict):
        raise UsageError(f"{login} has no section [auth]", _HINT)
    missing = [name for name in _LOGIN if not isinstance(told.get(name), str) or not told[name]]
    if missing:
        raise UsageError(f"[auth] of {login} lacks {', '.join(missing)}", _HINT)
    if "id" not in told.get("expose_tokens", ()):
        raise UsageError(
            f"[auth] of {login} does not hand on the token that says who logs in",
            'put expose_tokens = ["id"] into it',
        )
    if len(told["cookie_secret"]) < _LEAST_SECRET:
        raise UsageError(
            f"the cookie_secret of {login} has {len(told['cookie_secret'])} characters; expected "
            f"{_LEAST_SECRET} or more",
            "draw one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    own = urlsplit(told["redirect_uri"]).hostname
    if own is None:
        raise UsageError(f"the redirect_uri of {login} is no address", _HINT)
    return own
