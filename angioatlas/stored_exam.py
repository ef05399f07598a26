"""An exam that somebody sent and that is to stay: files in an archive, vectors in the store.

A store holds no pictures: who looks at a cine later, or embeds it with another encoder, needs its
file.  So the files go into the archive first, into a folder of their own, and are embedded from
there like any others.  All of that comes to be, or nothing: the run makes its one commit when some
of the files turned out to be of use, and a folder that the store does not know is removed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from angioatlas.new_exam import ExamLimits, check_exam, none_usable
from angioatlas.plan import Plan
from angioatlas.report import EmbedReport
from core.errors import NotFoundError, StoreError, UsageError
from core.settings import ServeSettings
from core.uris import path_of, uri_of
from store.batch import CommitBatch
from store.inputs import InputRow
from store.store import Store

_PIECE: Final = 2**20
_FOLDER: Final = re.compile(r"[0-9a-f]{32}")
"""Name of the folder of one exam."""

Embed = Callable[..., EmbedReport]
"""Embeds a folder: ``embed([folder], on_plan=…, on_commit=…, on_step=…)``."""


class _AlreadyStoredError(Exception):
    """Every file of the exam is in the store, byte for byte."""


def archive_of(settings: ServeSettings) -> Path:
    """Return the folder that files of stored exams are kept in.

    Raises
    ------
    UsageError
        None is configured.
    """
    if settings.archive_dir is None:
        raise UsageError(
            "no exam can be stored here: there is no folder to keep its files in",
            "the setting serve.archive_dir names one; without `store` the exam is compared only",
        )
    return settings.archive_dir


def keep_exam(
    files: Sequence[Path],
    *,
    archive: Path,
    store: Store,
    embed: Embed,
    limits: ExamLimits | None = None,
) -> tuple[str, int]:
    """Put the files of one exam into the archive, and embed them from there.

    Parameters
    ----------
    files : sequence of Path
    archive : Path
        Made when it is not there.
    store : Store
        What `embed` writes to.
    embed : callable
    limits : ExamLimits, optional

    Returns
    -------
    study_uid : str
        The store's own.
    version : int
        A store version that has the study.

    Raises
    ------
    UsageError
        The files are of several studies, or the archive lies inside the store.
    TooLargeError
        They claim more than the limits.
    NotFoundError
        None of them could be used.
    LeaseHeldError
        Somebody else is writing to the store.
    StoreError
        The archive or the store cannot be written.
    """
    inside = store.place.folder
    if inside is not None and archive.resolve().is_relative_to(inside.resolve()):
        raise UsageError("the archive lies inside the store", "correct serve.archive_dir")
    studies: list[str] = []

    def on_plan(plan: Plan) -> None:
        studies.extend(check_exam(plan, limits))
        if not any(work.cines for work in plan.work):
            if studies:
                raise _AlreadyStoredError
            raise NotFoundError(*none_usable(_codes(plan.settled), len(plan.settled)))

    with suppress(_AlreadyStoredError), _kept(files, archive, store) as (folder, steps):
        embed([folder], on_plan=on_plan, on_commit=_check, on_step=steps.append)
    return studies[0], store.latest_version


def forget_files(archive: Path, uris: Iterable[str]) -> None:
    """Remove the exams of an archive that these inputs are of, and nothing else that lies there.

    Raises
    ------
    StoreError
        When one cannot be removed.
    """
    below = f"{uri_of(archive)}/"
    folders = {path_of(uri).parent for uri in uris if uri.startswith(below)}
    # Somebody may have named a folder that has an archive of its own.
    ours = [each for each in folders if uri_of(each.parent) == uri_of(archive)]
    for folder in ours:
        if _FOLDER.fullmatch(folder.name) and folder.is_dir():
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise StoreError(
                    f"the stored exam {folder} could not be removed: {error.strerror}",
                    "remove it by hand: nothing else knows any more whose it is",
                ) from error


def _check(batch: CommitBatch) -> None:
    # The exam's only commit: it has one study.
    if batch.video_vectors is None:
        raise NotFoundError(*none_usable(_codes(batch.inputs), len(batch.inputs)))


def _codes(rows: Iterable[InputRow]) -> Counter[str]:
    return Counter(row.code.value for row in rows if row.code is not None)


@contextmanager
def _kept(files: Sequence[Path], archive: Path, store: Store) -> Iterator[tuple[Path, list[str]]]:
    """Copy files into a new folder, which goes when the block fails before the store knows it.

    Yields
    ------
    folder : Path
    steps : list of str
        For the writes to the store; without one there is no need to look what the store knows.
    """
    folder, steps = archive / uuid.uuid4().hex, list[str]()
    try:
        with _written(archive):
            archive.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            for file in files:
                _copy(file, folder)
            for changed in (folder, archive):
                _sync(changed)
        yield folder, steps
    except BaseException:
        if not steps or not _is_known(folder, store):
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _written(archive: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the archive {archive} cannot be written: {error.strerror}",
            "make room in it, or correct the setting serve.archive_dir",
        ) from error


def _copy(file: Path, folder: Path) -> None:
    """Copy a file under the SHA-256 of its bytes: what it was called may name somebody."""
    digest, part = hashlib.sha256(), folder / "part"
    with (
        file.open("rb") as source,
        os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
    ):
        while piece := source.read(_PIECE):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    part.replace(folder / f"{digest.hexdigest()}.dcm")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_known(folder: Path, store: Store) -> bool:
    with store.snapshot() as snapshot:
        ledger = snapshot.ledger()
    return any(uri_of(path) in ledger for path in folder.iterdir())
