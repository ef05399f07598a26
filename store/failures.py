"""What a disk or a library says when it refuses, told with the next step."""

from __future__ import annotations

import errno
import os
import re
from typing import Final

from core.errors import StoreError

_NUMBERED: Final = re.compile(r"os error (\d+)")
_QUERY: Final = re.compile(r"\?\S+")
_RESUMES: Final = "what was committed stays, and the same command resumes"
_HINTS: Final = {
    errno.ENOSPC: f"free some space on its disk; {_RESUMES}",
    errno.EDQUOT: f"free some of the space that this user may take; {_RESUMES}",
    errno.EFBIG: f"its file system takes no larger files; give it another one; {_RESUMES}",
    errno.EROFS: "its file system is mounted read-only: mount it for writing",
    errno.EACCES: "see who owns the store's folder, and who may write to it",
    errno.EIO: f"see to its disk; {_RESUMES}",
}


def failed(doing: str, error: Exception) -> StoreError:
    """Make the error of a store that cannot do something.

    Parameters
    ----------
    doing : str
        What was being done, such as ``"appending 3 rows to videos"``.
    error : Exception
        What the operating system, Arrow or LanceDB raised.
    """
    number = _number(error)
    first_line = (str(error).splitlines() or [""])[0][:300]
    # Without what is after a "?" in a URL: some object stores have the credentials there.
    said = os.strerror(number) if number in _HINTS else _QUERY.sub("?…", first_line)
    return StoreError(f"{doing} failed: {said}", _HINTS.get(number, ""))


def _number(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    # LanceDB wraps what the system says in texts of several lines.
    numbered = _NUMBERED.search(str(error))
    return int(numbered[1]) if numbered else 0
