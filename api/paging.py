"""Cursors: opaque to callers, and checked like everything that a caller sends."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Final

from fastapi import Query

from core.errors import UsageError

MOST_ROWS: Final = 1000
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")

Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows of a page.")]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9_-]+$",
        max_length=128,
        description="`next` of the page before; absent for the first page.",
    ),
]


def cursor_of(uid: str | None) -> str | None:
    """Return the cursor that goes on after a UID."""
    return None if uid is None else base64.urlsafe_b64encode(uid.encode()).decode().rstrip("=")


def uid_of(cursor: str | None) -> str:
    """Return the UID to go on after; empty for the first page.

    Raises
    ------
    UsageError
        It is none that `cursor_of` made.
    """
    if cursor is None:
        return ""
    try:
        uid = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        uid = ""
    if not _UID.fullmatch(uid, endpos=64):
        raise UsageError("this cursor was not made by the server", "give `next` of a page as it is")
    return uid
