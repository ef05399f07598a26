"""The app as a server process makes it, of settings and of what `angioatlas serve` was told."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from pathlib import Path

from fastapi import FastAPI

from angioatlas.atlas import Atlas
from angioatlas.cli.serve import ENCODER_SOCKET, INSECURE
from api.app import create_app
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
    _end_with_the_parent()
    encoders = AskedEncoders(Path(os.environ[ENCODER_SOCKET]), settings.encoders_dir)
    return create_app(
        Atlas.open(settings.store, settings=settings, encoders=encoders),
        settings,
        insecure=os.environ.get(INSECURE) == "1",
    )


def _end_with_the_parent() -> None:
    """Let this process, where it is one of several workers, end when who started it was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
