"""What the Atlas shows of a video: the run as a movie, and its middle frame.

Pictures are drawn from the file that was embedded, byte for byte, or from a known copy of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.by_position import ByPosition
from angioatlas.cohort_studies import CohortStudies
from angioatlas.picture_cache import PictureCache, picture_name
from angioatlas.workshop import Workshop
from core.errors import NotFoundError, SourceError, UsageError
from core.outcomes import Code, InputRefused, Status
from core.settings import Settings
from core.uris import path_of
from embedder.inputs import CineFile
from embedder.pictures import Drawing, Kind, check_encoder
from store.snapshot import Snapshot
from store.sorted_rows import row_of
from store.store import Store

LEAST_HEIGHT: Final = 16
THUMBNAIL_HEIGHT: Final = 256
_OF_VIDEO: Final = [
    "sop_uid",
    "commit_id",
    "patient_id",
    "source_uri",
    "n_frames",
    "frame_time_ms",
    "rows",
]
_OF_INPUT: Final = ["sop_uid", "uri", "status", "sha256"]
_GIB: Final = 2**30
_MOVED: Final = "if the archive was moved or changed: angioatlas embed FOLDER --store STORE"


class Pictures(CohortStudies):
    """Cines and thumbnails; a part of `Atlas`, made like it."""

    def __init__(self, store: Store, settings: Settings, version: int | None = None) -> None:
        super().__init__(store, settings, version)
        self._pictures = PictureCache(
            settings.state_dir / "cines" / store.uuid,
            most_bytes=int(settings.pictures.cache_gib * _GIB),
        )
        self._workshop = Workshop(settings.limits)
        self._drawing = threading.Lock()
        # A page shows many pictures of one position of the store.
        self._tables: ByPosition[pa.Table] = ByPosition()

    @audited(Action.READ, "height")
    def cine(self, sop_uid: str, *, height: int | None = None) -> Path:
        """Return a video as a movie that browsers play.

        Parameters
        ----------
        sop_uid : str
            SOPInstanceUID, the original or the store's surrogate.
        height : int, optional
            Rows of the movie, `LEAST_HEIGHT` or more; those of the video when absent, or when it
            has no more.

        Returns
        -------
        Path
            An MP4 (H.264) of all frames at their own times.  Open it at once: it is a file of the
            cache, which may remove it.

        Raises
        ------
        NotFoundError
            There is no such video to see.
        SourceError
            Its file is gone, holds other bytes than were embedded, or cannot be decoded.
        MissingDependencyError
            The extra `movies` is not installed.
        UsageError
            The height is too small.
        """
        return self._picture("mp4", sop_uid, height)

    @audited(Action.READ, "height")
    def thumbnail(self, sop_uid: str, *, height: int | None = THUMBNAIL_HEIGHT) -> Path:
        """Return the middle frame of a video.

        Parameters
        ----------
        sop_uid, height
            As in `cine`.

        Returns
        -------
        Path
            A grey JPEG; a file of the cache, as in `cine`.

        Raises
        ------
        NotFoundError, SourceError, UsageError
            As in `cine`.
        """
        return self._picture("jpg", sop_uid, height)

    def prepare_pictures(self) -> None:
        """Start what draws pictures, so that the first one is as quick as the next."""
        with self._drawing:
            self._workshop.ready()

    def _picture(self, kind: Kind, sop_uid: str, height: int | None) -> Path:
        if height is not None and height < LEAST_HEIGHT:
            raise UsageError(f"a height of {height}, expected {LEAST_HEIGHT} or more")
        with self.snapshot() as snapshot:
            video = self._video(snapshot, sop_uid)
            rows = min(height or video["rows"], video["rows"])
            note(uid=video["sop_uid"])
            name = picture_name(kind, video["sop_uid"], video["commit_id"], rows)
            found = self._pictures.find(name)
            if found is not None:
                return found
            sources = list(_sources(self._kept("inputs", snapshot), video))
        # The snapshot is let go: drawing may take a while, and a purge waits for no reader.
        if kind == "mp4":
            check_encoder()
        draw = partial(self._draw, kind, video, sources, rows)
        with self._drawing:
            # Another thread may have drawn it while this one waited.
            path = self._pictures.find(name) or self._pictures.make(name, draw)
        if self.store.is_deleted(video["patient_id"]):
            # Deleted meanwhile: the purge may have cleared the cache before this came into it.
            path.unlink(missing_ok=True)
            raise _no_video(sop_uid, snapshot.version)
        return path

    def _video(self, snapshot: Snapshot, sop_uid: str) -> dict[str, Any]:
        videos = self._kept("videos", snapshot)
        for uid in self._may_be(sop_uid):
            row = row_of(videos["sop_uid"], uid)
            if row is not None:
                found: dict[str, Any] = videos.slice(row, 1).to_pylist()[0]
                return found
        raise _no_video(sop_uid, snapshot.version)

    def _kept(self, name: Literal["videos", "inputs"], snapshot: Snapshot) -> pa.Table:
        table = self._tables.get(name, snapshot)
        if table is None:
            read = snapshot.videos if name == "videos" else snapshot.inputs
            table = read().select(_OF_VIDEO if name == "videos" else _OF_INPUT)
            self._tables.put(name, snapshot, table)
        return table

    def _draw(
        self,
        kind: Kind,
        video: dict[str, Any],
        sources: Sequence[tuple[str, str]],
        height: int,
        out: Path,
    ) -> None:
        refusals = []
        for uri, sha256 in sources:
            try:
                source = CineFile(_local(uri), video["n_frames"], video["frame_time_ms"])
                return self._workshop.draw(Drawing(kind, source, sha256, height, out))
            except InputRefused as refusal:
                refusals.append(refusal)
        raise _cannot_be_shown(video["sop_uid"], refusals)


def _local(uri: str) -> Path:
    try:
        return path_of(uri)
    except ValueError as error:
        raise InputRefused(Code.UNREADABLE, "it is no file of this machine") from error


def _sources(inputs: pa.Table, video: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield uri and sha256 of the file that was embedded, then of its known copies."""
    rows = inputs.filter(pc.equal(inputs["sop_uid"], video["sop_uid"])).to_pylist()
    known = [row for row in rows if row["sha256"] is not None]
    own = [row for row in known if row["status"] == Status.EMBEDDED]
    copies = [row for row in known if row["status"] == Status.DUPLICATE]
    # A copy from before the file was changed and embedded again shows another picture.
    same = {row["sha256"] for row in own or copies}
    for row in sorted(own, key=lambda row: row["uri"] != video["source_uri"]) + copies:
        if row["sha256"] in same:
            yield row["uri"], row["sha256"]


def _no_video(sop_uid: str, version: int) -> NotFoundError:
    return NotFoundError(
        f"no video {sop_uid} in store version {version}",
        "angioatlas store inputs shows what became of its files",
    )


def _cannot_be_shown(sop_uid: str, refusals: list[InputRefused]) -> SourceError:
    """Say why, by the file that was embedded; its path is left out, for it may name the patient."""
    if not refusals:
        return SourceError(f"the file of video {sop_uid} was not readable when last seen", _MOVED)
    first = refusals[0]
    elsewhere = first.reason in (Code.UNREADABLE, Code.CHANGED_WHILE_READ)
    error = SourceError(
        f"the file of video {sop_uid} cannot be shown: {first.message}",
        _MOVED if elsewhere else first.hint.removesuffix(" and --retry"),
    )
    error.__cause__ = first
    return error
