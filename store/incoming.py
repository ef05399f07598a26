"""What several machines hand in for a commit: files below `incoming/` of the store, a folder a run.

Nothing there is part of the store.  Whoever takes the lease is alone with the store, so all that it
finds there was left by runs that died.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import obstore

from core.errors import StoreError
from core.uris import path_of, uri_of
from store.objects import opened

INCOMING: Final = "incoming"


def store_url(store: Path | str) -> str:
    """Return the URL by which `obstore` opens a store's place, from a folder or such a URL."""
    return store.rstrip("/") if isinstance(store, str) and "://" in store else uri_of(Path(store))


def clear_incoming(store: Path | str) -> None:
    """Remove what dead runs left; call it while the lease is held.

    Raises
    ------
    StoreError
        Something cannot be removed.
    """
    url = store_url(store)
    try:
        if url.startswith("file:"):
            # A write that was cut short leaves a file that `obstore` does not list.
            folder = path_of(url) / INCOMING
            if folder.exists():
                shutil.rmtree(folder)
        else:
            root = opened(url)
            for found in obstore.list(root, INCOMING):
                obstore.delete(root, [each["path"] for each in found])
    except (OSError, obstore.exceptions.BaseError) as error:
        raise StoreError(
            f"what a dead run left below {INCOMING}/ of the store cannot be removed",
            "is the store writable?",
        ) from error
