"""Where an input is: the `file://` URI that the ledger knows it by."""

from __future__ import annotations

import os
import urllib.parse
from pathlib import Path


def uri_of(path: Path) -> str:
    """Give the ``file://`` URI of a path.

    Parameters
    ----------
    path : Path
        Made absolute, without "." and "..", so that a file has one URI however the path to it is
        written; symbolic links stay.

    Returns
    -------
    str
        Bytes outside the unreserved set are percent-encoded, so any file name survives, also one
        that is not valid UTF-8.
    """
    absolute = os.path.abspath(path)  # noqa: PTH100  pathlib keeps ".."
    return "file://" + urllib.parse.quote(os.fsencode(absolute))


def path_of(uri: str) -> Path:
    """Give the path that `uri_of` was given.

    Raises
    ------
    ValueError
        When it is not a ``file://`` URI without a host.
    """
    if not uri.startswith("file:///"):
        raise ValueError(f"not a URI of a local file: {uri!r}")
    return Path(os.fsdecode(urllib.parse.unquote_to_bytes(uri.removeprefix("file://"))))
