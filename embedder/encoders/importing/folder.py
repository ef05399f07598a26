"""Encoder folders are written aside and renamed: a reader sees all of one, or nothing."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from core.errors import EncoderError
from embedder.encoders.registry import file_sha256
from embedder.encoders.spec import FileRef


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill; it takes the name `folder`, and the place of an older one, at the end.

    Raises
    ------
    EncoderError
        It cannot be written.  Then, and after any other error, nothing of it stays and an older
        folder is as it was.
    """
    # The leading dot hides it from who lists encoders.
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
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
    save_file(dict(tensors), folder / file)
    return FileRef(file=file, sha256=file_sha256(folder / file))


def take_file(source: Path, folder: Path) -> FileRef:
    """Copy a file into a folder, under its own name."""
    shutil.copyfile(source, folder / source.name)
    return FileRef(file=source.name, sha256=file_sha256(folder / source.name))


def link_files(files: Iterable[FileRef], old: Path, new: Path) -> None:
    """Have files of one folder in another, without a second copy where the disk can do that."""
    for each in files:
        try:
            os.link(old / each.file, new / each.file)
        except OSError:
            shutil.copyfile(old / each.file, new / each.file)


def _register(partial: Path, folder: Path) -> None:
    """Move a finished folder to its name; an older one steps aside first and comes back if not."""
    aside = partial.with_suffix(".replaced")
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
