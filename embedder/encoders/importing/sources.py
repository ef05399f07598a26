"""What an import is offered (files, folders, hub ids) to the files that it will read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import EncoderError, NotFoundError, UsageError
from embedder.encoders.tokenizer import VOCABULARY_FILES, find_vocabulary

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".safetensors")
_SHOWN = 1000
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Sources:
    """The files of an import.

    Attributes
    ----------
    checkpoints : tuple of Path
    vocabulary : Path or None
        Of the text encoder.
    """

    checkpoints: tuple[Path, ...]
    vocabulary: Path | None


def find_sources(sources: Sequence[str | Path], *, vocabulary: Path | None = None) -> Sources:
    """Find checkpoints and a vocabulary.

    Parameters
    ----------
    sources : sequence of str or Path
        Checkpoint files, folders (searched deep), or ids of the Hugging Face hub, `owner/name`.
    vocabulary : Path, optional
        A tokenizer folder, or its file; counts more than one that lies among the sources.

    Raises
    ------
    NotFoundError
        A source is not there.
    UsageError
        A folder holds several of what there can be one of.
    EncoderError
        The hub does not give it: offline, unknown, or not permitted.
    """
    checkpoints: list[Path] = []
    vocabularies: list[Path] = []
    for source in sources:
        path = _local(source)
        if path.is_dir():
            files = sorted(each for each in path.rglob("*") if each.is_file())
            checkpoints += [each for each in files if each.suffix in CHECKPOINT_SUFFIXES]
            vocabularies += _vocabularies(files)
        elif path.name in VOCABULARY_FILES:
            vocabularies.append(path)
        else:
            checkpoints.append(path)
    if vocabulary is not None:
        vocabularies = [vocabulary if vocabulary.is_file() else find_vocabulary(vocabulary)]
    if len(vocabularies) > 1:
        raise UsageError(
            f"{len(vocabularies)} vocabularies were found: {_list(vocabularies)}",
            "name one with --tokenizer FOLDER",
        )
    return Sources(tuple(checkpoints), vocabularies[0] if vocabularies else None)


def _vocabularies(files: Sequence[Path]) -> list[Path]:
    """Return one vocabulary a folder: a tokenizer folder often has it in two forms."""
    found: dict[Path, Path] = {}
    for name in VOCABULARY_FILES:
        for file in files:
            if file.name == name:
                found.setdefault(file.parent, file)
    return list(found.values())


def _local(source: str | Path) -> Path:
    # The home of nobody (~name) and a name that no disk takes are not there either.
    with suppress(OSError, RuntimeError):
        path = Path(source).expanduser()
        if path.exists():
            return path
    if isinstance(source, str) and _HUB_ID.fullmatch(source):
        return fetch(source)
    raise _not_there(source)


def _not_there(source: str | Path) -> NotFoundError:
    return NotFoundError(
        f"the checkpoint {str(source)[:_SHOWN]} does not exist",
        "name a file or a folder that you may read, or a hub id (owner/name)",
    )


def fetch(hub_id: str) -> Path:
    """Download the checkpoints and the vocabulary of a hub repository, or find them in its cache.

    A token is taken from the environment (`HF_TOKEN`), a mirror from `HF_ENDPOINT`.

    Raises
    ------
    NotFoundError
        No repository can have this name.
    EncoderError
        Offline, unknown, or not permitted.
    """
    # Takes half a second to import, and few imports come from the hub.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    patterns = [*(f"*{suffix}" for suffix in CHECKPOINT_SUFFIXES), *VOCABULARY_FILES]
    by_hand = "or download its files on another machine and name their folder"
    try:
        folder = snapshot_download(
            hub_id, allow_patterns=patterns, endpoint=os.environ.get("HF_ENDPOINT")
        )
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise EncoderError(
            f"the hub does not show {hub_id}: it does not exist, or it is not open to you",
            f"check the id, ask its owner for access and set HF_TOKEN, {by_hand}",
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise EncoderError(
            f"{hub_id} is neither a file here, nor in the hub's cache, and the hub cannot be "
            "reached from here",
            f"check the path and the network, {by_hand}",
        ) from error
    except HFValidationError as error:  # a mistyped path can look like an id
        raise _not_there(hub_id) from error
    except (HfHubHTTPError, OSError) as error:
        raise EncoderError(
            f"{hub_id} could not be downloaded ({type(error).__name__})", f"try again, {by_hand}"
        ) from error
    return Path(folder)


def _list(paths: Sequence[Path]) -> str:
    shown = ", ".join(str(path) for path in paths[:5])
    return shown + (f", and {len(paths) - 5} more" if len(paths) > 5 else "")
