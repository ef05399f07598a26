"""Encoder folders are written aside and renamed: a reader sees all of one, or nothing."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from core.errors import AtlasError, EncoderError, UsageError
from embedder.encoders.registry import SPEC_FILE, file_sha256, read_spec
from embedder.encoders.self_check import SELF_CHECK_FILE
from embedder.encoders.spec import FileRef
from embedder.encoders.tokenizer import VOCABULARY_FILES
from embedder.encoders.trained_on import TRAINED_ON_FILE

WEIGHTS_FILE = "weights.safetensors"
TEXT_FILE = "text.safetensors"
HEADS_FILE = "heads.safetensors"
HEADS_VIDEO_FILE = "heads_video.safetensors"
_OWN = frozenset(
    {
        SPEC_FILE, SELF_CHECK_FILE, WEIGHTS_FILE, TEXT_FILE, HEADS_FILE, HEADS_VIDEO_FILE,
        *VOCABULARY_FILES, TRAINED_ON_FILE,
    }
)  # fmt: skip
"""What an import writes; nothing else is ever replaced."""
_PARTIAL, _REPLACED = ".partial", ".replaced"


@contextmanager
def new_folder(folder: Path, *, own: Collection[str] = ()) -> Iterator[Path]:
    """Give a folder to fill; it takes the name `folder`, and the place of an older one, at the end.

    One import at a time fills folders beside each other; the next one waits, and clears what a
    killed one left.

    Parameters
    ----------
    folder : Path
    own : collection of str
        Further files that an older folder may hold; they are replaced with it.

    Raises
    ------
    UsageError
        The older folder holds files that are no encoder's.
    EncoderError
        It cannot be written.  Then, and after any other error, nothing of it stays and an older
        folder is as it was.
    """
    # A link stays, and what it points to is replaced; "." gets a name.
    folder = folder.resolve()
    # The leading dot hides it from who lists encoders.
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{_PARTIAL}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            _refuse_foreign(folder, own)
            partial.mkdir()
            yield partial
            _flush([*partial.iterdir(), partial])
            _register(partial, folder)
    except (OSError, SafetensorError) as error:
        raise EncoderError(
            f"the encoder {folder.name} could not be written to {folder.parent}: {error}",
            "check the disk and the permissions, then try again",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_tensors(folder: Path, file: str, tensors: Mapping[str, Tensor]) -> FileRef:
    """Write a safetensors file and return its name and digest."""
    # Not into a file that `link_files` shares with the older folder.
    (folder / file).unlink(missing_ok=True)
    save_file(dict(tensors), folder / file)
    return FileRef(file=file, sha256=file_sha256(folder / file))


def take_file(source: Path, target: Path) -> FileRef:
    """Copy a file and return its name and digest."""
    shutil.copyfile(source, target)
    return FileRef(file=target.name, sha256=file_sha256(target))


def link_files(files: Iterable[FileRef], old: Path, new: Path) -> None:
    """Have files of one folder in another, without a second copy where the disk can do that."""
    for each in files:
        try:
            os.link(old / each.file, new / each.file)
        except OSError:
            shutil.copyfile(old / each.file, new / each.file)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder around this one, after the imports before; clear what killed ones left."""
    around = os.open(folder.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(around, fcntl.LOCK_EX)
        except OSError:  # some network disks lock no folders; then what is left could be in use
            yield
            return
        _clear(folder)
        yield
    finally:
        os.close(around)


def _clear(folder: Path) -> None:
    """Remove what killed imports of this name left, or give it back its name."""
    ours = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{32}}\.[a-z]+")
    for left in [each for each in folder.parent.iterdir() if ours.fullmatch(each.name)]:
        if left.suffix == _REPLACED and not folder.exists():
            left.rename(folder)
        elif left.suffix in (_PARTIAL, _REPLACED):
            shutil.rmtree(left, ignore_errors=True)


def _refuse_foreign(folder: Path, more: Collection[str]) -> None:
    """Refuse to replace a folder that holds what no import wrote: it would be lost."""
    if not folder.exists():
        return
    own = {*_OWN, *more}
    with suppress(AtlasError):  # a damaged encoder is what --overwrite is for
        own |= {each.file for each in read_spec(folder).files}
    foreign = sorted(each.name for each in folder.iterdir() if each.name not in own)
    if foreign:
        raise UsageError(
            f"{folder} holds what is not of an encoder, and it would be lost: "
            f"{', '.join(foreign[:5])}",
            "move it elsewhere, or choose another name for the encoder",
        )


def _register(partial: Path, folder: Path) -> None:
    """Move a finished folder to its name; an older one steps aside first and comes back if not."""
    aside = partial.with_suffix(_REPLACED)
    if folder.exists():
        folder.rename(aside)
    try:
        partial.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    _flush([folder.parent])


def _flush(paths: Iterable[Path]) -> None:
    """Have the disk keep files and folder entries before anything relies on them."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
