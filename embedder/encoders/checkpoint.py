"""Turn an original contrastive checkpoint into an encoder folder: `encoder.json` + safetensors."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypedDict, Unpack

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from core.errors import EncoderError, UsageError
from embedder.encoders.checkpoint_reader import HINT, read_video_encoder
from embedder.encoders.registry import SPEC_FILE, explain, file_sha256
from embedder.encoders.spec import (
    MAX_DEPTH,
    PADDED_VIDEOS,
    EncoderSpec,
    FileRef,
    Padding,
    Profile,
    StudyRule,
    TokenPooling,
)
from embedder.encoders.weights import expected_shapes, fit

WEIGHTS_FILE = "weights.safetensors"


class _Choices(TypedDict):
    """The fields of a specification that somebody has to say: no checkpoint holds them."""

    name: str
    mean: float
    std: float
    heads: int
    study_rule: StudyRule
    token_pooling: TokenPooling
    profile: Profile
    padding: Padding
    padded_videos: int | None


def import_checkpoint(
    source: Path,
    *,
    out: Path,
    name: str,
    mean: float,
    std: float,
    heads: int,
    study_rule: StudyRule,
    token_pooling: TokenPooling = "mean",
    profile: Profile = "display",
    padding: Padding = "masked",
    padded_videos: int = PADDED_VIDEOS,
    depth: int | None = None,
    overwrite: bool = False,
) -> tuple[EncoderSpec, list[str]]:
    """Import a checkpoint under a name.

    Parameters
    ----------
    source : Path
        The original file (`torch.save`) or a `.safetensors` file of its video encoder.
    out : Path
        The folder of encoders; the encoder becomes the folder `out/name`.
    name, mean, std, heads, study_rule, token_pooling, profile, padding
        See `EncoderSpec`.
    padded_videos : int
        Used with padding "unmasked" only.
    depth : int, optional
        Blocks of the aggregator; when given, the checkpoint must have exactly as many.
    overwrite : bool
        Replace an encoder of this name.

    Returns
    -------
    EncoderSpec
        As written.
    list of str
        Keys of the checkpoint that this encoder does not use, sorted.

    Raises
    ------
    UsageError
        An option is not valid, or an encoder of this name exists.
    NotFoundError
        There is no such file.
    EncoderError
        The file cannot be used.  Nothing of it stays in `out`.
    """
    choices = _Choices(
        name=name,
        mean=mean,
        std=std,
        heads=heads,
        study_rule=study_rule,
        token_pooling=token_pooling,
        profile=profile,
        padding=padding,
        padded_videos=padded_videos if padding == "unmasked" else None,
    )
    # Options are checked before a long read: the digests of this specification are placeholders.
    nothing = "0" * 64
    _specification(1, weights=nothing, source=("-", nothing), **choices)
    folder = out / name
    if folder.exists() and not overwrite:
        raise UsageError(
            f"an encoder named {name} exists in {out}", "choose another --name, or add --overwrite"
        )
    state = read_video_encoder(source)
    depth = _depth(state, depth, source.name)
    expected = expected_shapes(heads=heads, depth=depth, token_pooling=token_pooling)
    hint = f"is this a contrastive checkpoint with --token-pooling {token_pooling}?"
    tensors, unknown = fit(state, expected, what=source.name, hint=hint)

    came_from = (source.name, file_sha256(source))

    def specify(weights: str) -> EncoderSpec:
        return _specification(depth, weights=weights, source=came_from, **choices)

    return _write(folder, tensors, specify), unknown


def _specification(
    depth: int, *, weights: str, source: tuple[str, str], **choices: Unpack[_Choices]
) -> EncoderSpec:
    try:
        return EncoderSpec(
            depth=depth,
            weights=FileRef(file=WEIGHTS_FILE, sha256=weights),
            source=FileRef(file=source[0], sha256=source[1]),
            **choices,
        )
    except ValidationError as error:
        raise UsageError(
            f"this encoder cannot be: {explain(error)}", "see angioatlas encoders import --help"
        ) from error


def _write(
    folder: Path, tensors: dict[str, Tensor], specify: Callable[[str], EncoderSpec]
) -> EncoderSpec:
    """Write an encoder aside, then give it its name: a reader sees all of it or nothing."""
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        save_file(tensors, partial / WEIGHTS_FILE)
        spec = specify(file_sha256(partial / WEIGHTS_FILE))
        (partial / SPEC_FILE).write_text(spec.to_json(), encoding="utf-8")
        _flush([partial / WEIGHTS_FILE, partial / SPEC_FILE, partial])
        _register(partial, folder)
    except (OSError, SafetensorError) as error:
        raise EncoderError(
            f"the encoder {folder.name} could not be written to {folder.parent}: {error}",
            "check the disk and the permissions, then import it again",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return spec


def _depth(state: dict[str, Tensor], wanted: int | None, name: str) -> int:
    prefix = "aggregator.blocks."
    found = len({key.split(".")[2] for key in state if key.startswith(prefix)})
    if wanted is not None and wanted != found:
        raise EncoderError(
            f"{name} holds {found} aggregator blocks, expected {wanted}", "leave the depth out"
        )
    if found > MAX_DEPTH:
        raise EncoderError(
            f"{name} holds {found} aggregator blocks, expected {MAX_DEPTH} at most", HINT
        )
    # Without any block the missing ones are named with all that is missing.
    return max(1, found)


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
