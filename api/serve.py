"""The app as a server process makes it, of settings and of what `angioatlas serve` was told."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from fastapi import FastAPI

from angioatlas.atlas import Atlas
from angioatlas.cli.serve import ENCODER_SOCKET, INSECURE
from api.app import create_app
from api.orphans import end_with_parent
from core.errors import UsageError
from core.settings import load_settings
from embedder.encoders.served.asked import AskedEncoders


def make_app() -> FastAPI:
    """Make the app of the configured store.

    Raises
    ------
    UsageError
        No store is configured.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = load_settings()
    if settings.store is None:
        raise UsageError("no store is named", "angioatlas serve --store FOLDER")
    end_with_parent()
    encoders = AskedEncoders(Path(os.environ[ENCODER_SOCKET]), settings.encoders_dir)
    _keep_aside(settings.state_dir / "temporary")
    return create_app(
        Atlas.open(settings.store, settings=settings, encoders=encoders),
        settings,
        insecure=os.environ.get(INSECURE) == "1",
    )


def _keep_aside(folder: Path) -> None:
    """Let what is sent be kept where only this installation reads, and where there is room."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tempfile.tempdir = str(folder)
