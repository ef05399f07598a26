"""Where embedded studies wait for their commit: one file a portion, in a place that all share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, final

import obstore
import pyarrow as pa
from obstore.store import LocalStore

from core.errors import StoreError
from embedder.cluster.shard_format import decode, encode
from embedder.work import EmbeddedStudy
from store.incoming import INCOMING
from store.objects import opened

_MARK: Final = "begun"


@final
class Shards:
    """The files of one run.  A file is there as a whole or not at all.

    Parameters
    ----------
    store_url : str
        Of the store: a folder (``file://``) or a prefix of an object store.
    run_id : str
    """

    def __init__(self, store_url: str, run_id: str) -> None:
        is_folder = store_url.startswith("file:")
        # Puts into a folder are written aside and renamed; a folder goes with its last file.
        self._root = (
            LocalStore.from_url(store_url, automatic_cleanup=True)
            if is_folder
            else opened(store_url)
        )
        self._folder = f"{INCOMING}/{run_id}"

    def begin(self) -> None:
        """Leave a mark, by which other machines see that they share the place.

        Raises
        ------
        StoreError
            The place cannot be written to.
        """
        self._put(_MARK, b"")

    def has_begun(self) -> bool:
        """Tell whether the mark is to be seen from here."""
        with suppress(OSError, obstore.exceptions.BaseError):
            self._root.head(self._path(_MARK))
            return True
        return False

    def write(self, portion: str, studies: Sequence[EmbeddedStudy]) -> None:
        """Write the studies of a portion, over what an earlier try may have written.

        Raises
        ------
        StoreError
            The place cannot be written to.
        """
        self._put(f"{portion}.arrow", encode(studies))

    def read(self, portion: str) -> list[EmbeddedStudy]:
        """Read the studies of a portion.

        Raises
        ------
        StoreError
            The file is not there, or not as it was written.
        """
        try:
            return decode(self._root.get(self._path(f"{portion}.arrow")).bytes().to_bytes())
        except (OSError, obstore.exceptions.BaseError) as error:
            raise StoreError(
                f"the shard {portion} of this run, which was written, cannot be read",
                "is the store on a disk that every machine shares? Run the same command again: it "
                "resumes",
            ) from error
        except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise StoreError(
                f"the shard {portion} of this run is damaged: {error}",
                "run the same command again: it resumes from the last commit",
            ) from error

    def delete(self, portion: str) -> None:
        """Remove the file of a portion; the next holder of the lease removes what stays."""
        with suppress(OSError, obstore.exceptions.BaseError):
            self._root.delete(self._path(f"{portion}.arrow"))

    def end(self) -> None:
        """Remove what is left of the run; what a process still writes goes with the next lease."""
        with suppress(OSError, obstore.exceptions.BaseError):
            for found in self._root.list(self._folder):
                self._root.delete([each["path"] for each in found])

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _put(self, name: str, data: bytes) -> None:
        try:
            self._root.put(self._path(name), data)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise StoreError(
                f"a file of this run cannot be written below {INCOMING}/ of the store",
                "is there room, and is the store writable from every machine?",
            ) from error
