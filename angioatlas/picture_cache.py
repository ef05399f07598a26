"""Pictures that were made once, as files in the state folder: found again, bounded, forgotten.

Their names are hashes of what they show, so a name says nothing, and a video that was embedded
again has another name.  Processes share the folder: a picture is written aside and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from core.errors import StoreError

_FORMAT: Final = 1
"""Part of every name: pictures that another version of this software made differently are not
found."""
_ASIDE: Final = ".part"
_ABANDONED_SECONDS: Final = 3600.0
_SLACK: Final = 64
"""The share of the room that is kept free is one of so many."""


class PictureCache:
    """The pictures of one store.

    Parameters
    ----------
    folder : Path
        The store's own folder below the state folder; made readable by its owner only.
    most_bytes : int
        What all pictures may have together; those that were not asked for the longest go first.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._unseen = most_bytes

    def find(self, name: str) -> Path | None:
        """Return a picture that is there, and note that it was asked for."""
        path = self.folder / name
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def make(self, name: str, draw: Callable[[Path], None]) -> Path:
        """Have a picture drawn into a file, and keep it.

        Parameters
        ----------
        name : str
            See `picture_name`.
        draw : callable
            Writes the file that it is given, or raises; then nothing is kept.

        Raises
        ------
        StoreError
            When the folder cannot be written, or was cleared meanwhile.
        """
        path = self.folder / name
        aside = path.with_name(f"{name}.{uuid.uuid4().hex[:12]}{_ASIDE}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Here already: what the picture is drawn by may not know why it cannot write.
            aside.touch(mode=0o600)
            draw(aside)
            aside.replace(path)
        except FileNotFoundError as error:
            raise StoreError(
                "the cache was cleared while a picture was drawn", "ask for it again"
            ) from error
        except OSError as error:
            raise StoreError(
                f"a picture cannot be kept in {self.folder}: {error.strerror}",
                "see to it that state_dir (`angioatlas config show`) can be written",
            ) from error
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
        self._make_room(path)
        return path

    def clear(self) -> None:
        """Remove every picture, also those that are just being drawn."""
        for path, _ in self._files():
            with suppress(FileNotFoundError):
                path.unlink()

    def _make_room(self, newest: Path) -> None:
        # To look at every file for each new one would take longer than to draw it: a share of the
        # room is kept free, and the rest looked at when so much has come.
        slack = self.most_bytes // _SLACK
        with suppress(FileNotFoundError):
            self._unseen += newest.stat().st_size
        if self._unseen < slack:
            return
        self._unseen = 0
        files = sorted(self._files(), key=lambda each: each[1].st_mtime_ns)
        excess = sum(status.st_size for _, status in files) - (self.most_bytes - slack)
        for path, status in files:
            if excess <= 0:
                return
            # However small the room is, what was just asked for is given.
            if path != newest and not _is_being_drawn(path, status):
                with suppress(FileNotFoundError):
                    path.unlink()
                excess -= status.st_size

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                # Another process may remove it meanwhile.
                with suppress(FileNotFoundError):
                    found.append((path, path.stat()))
        return found


def _is_being_drawn(path: Path, status: os.stat_result) -> bool:
    """Whether another process may be writing it; what a killed one left is old."""
    return path.suffix == _ASIDE and time.time() - status.st_mtime < _ABANDONED_SECONDS


def picture_name(kind: str, sop_uid: str, commit_id: str, height: int) -> str:
    """Return the file name of a picture.

    Parameters
    ----------
    kind : str
        The ending, such as ``"mp4"``.
    sop_uid, commit_id : str
        The video, and the commit that wrote it.
    height : int
        Rows of the picture.
    """
    shown = json.dumps([_FORMAT, kind, sop_uid, commit_id, height])
    return f"{hashlib.sha256(shown.encode()).hexdigest()}.{kind}"
