"""Encoder folders on disk: find one, list them, load one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from core.errors import EncoderError, NotFoundError, UsageError
from embedder.encoders.compact.spec import ARCHITECTURE, CompactSpec
from embedder.encoders.deepcoro_spec import DeepCoroSpec
from embedder.encoders.spec import (
    LEAST_COSINE,
    Encoder,
    EncoderSpec,
    FileRef,
    PrecisionName,
    TextEmbedder,
)

SPEC_FILE = "encoder.json"
BUNDLED = Path(__file__).parent / "bundled"
"""The encoders that come with the package."""
Device = Literal["auto", "cpu", "cuda"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]

_IMPORT = "angioatlas encoders import CHECKPOINT --name NAME --mean M --std S"


@dataclass(frozen=True)
class FileStanding:
    """A file of an encoder.

    Attributes
    ----------
    file : str
    sha256 : str
        As found; empty when the file is missing.
    standing : {"as imported", "changed", "missing"}
    """

    file: str
    sha256: str
    standing: Literal["as imported", "changed", "missing"]


def load_encoder(
    folder: Path, *, device: Device = "auto", precision: PrecisionChoice = "fp32"
) -> Encoder:
    """Load the encoder of a folder.

    Parameters
    ----------
    folder : Path
        Holds `encoder.json` and the weights that it names.
    device : {"auto", "cpu", "cuda"}
        "auto" is a GPU where there is one.
    precision : {"auto", "fp32", "bf16"}
        Of the video encoder.  "auto" is bf16 on a GPU, if its vectors stay where they are, and fp32
        on a CPU.

    Raises
    ------
    NotFoundError
        There is no encoder in the folder.
    EncoderError
        The specification is not valid, the weights are not those that it names, or bf16 was asked
        for and moves its vectors.
    UsageError
        The device is not there, or does not compute in bf16.
    """
    spec = read_spec(folder)
    check_files(spec, folder, spec.video_files)
    place = _device(device)
    encoder = _open(spec, folder, place, _precision(precision, place))
    # Not a number is not enough either.
    if encoder.precision.cosine >= LEAST_COSINE:
        return encoder
    if precision == "auto":
        return _open(spec, folder, place, "fp32")
    raise EncoderError(
        f"in bf16 the encoder {spec.name} gives vectors of cosine {encoder.precision.cosine:.5f} "
        f"to those in fp32: expected {LEAST_COSINE} or more",
        "use --precision fp32",
    )


def _open(
    spec: DeepCoroSpec | CompactSpec, folder: Path, device: str, precision: PrecisionName
) -> Encoder:
    # Torch takes seconds to import: listing encoders does without it.
    if isinstance(spec, CompactSpec):
        from embedder.encoders.compact.folder import open_compact

        return open_compact(spec, folder, device=device, precision=precision)
    from embedder.encoders.deepcoro import open_deepcoro

    return open_deepcoro(spec, folder, device=device, precision=precision)


def load_text_encoder(folder: Path, *, device: Device = "auto") -> TextEmbedder:
    """Load the text encoder of a folder; parameters and errors as for `load_encoder`.

    Raises
    ------
    EncoderError
        Also when there is no text encoder, or it lacks its vocabulary.
    """
    spec = read_spec(folder)
    if spec.can_read_text:
        check_files(spec, folder, spec.text_files)
    if isinstance(spec, CompactSpec):
        from embedder.encoders.compact.folder import open_compact_reader

        return open_compact_reader(spec, folder, device=_device(device))
    from embedder.encoders.text_model import open_text_model

    return open_text_model(spec, folder, device=_device(device))


def check_files(spec: EncoderSpec, folder: Path, files: Iterable[FileRef]) -> None:
    """Compare files of an encoder with their digests.

    Raises
    ------
    EncoderError
        One is missing or has changed.
    """
    again = f"import it again: {_IMPORT} --overwrite"
    for file in dict.fromkeys(files):
        found = standing_of(file, folder)
        if found.standing == "missing":
            raise EncoderError(f"the encoder {spec.name} has no file {file.file}", again)
        if found.standing == "changed":
            raise EncoderError(
                f"{file.file} of the encoder {spec.name} has changed: expected SHA-256 "
                f"{file.sha256[:12]}..., found {found.sha256[:12]}...",
                again,
            )


def standing_of(file: FileRef, folder: Path) -> FileStanding:
    """Compare a file of an encoder with its digest."""
    if not (folder / file.file).is_file():
        return FileStanding(file.file, "", "missing")
    digest = file_sha256(folder / file.file)
    return FileStanding(file.file, digest, "as imported" if digest == file.sha256 else "changed")


def read_spec(folder: Path) -> DeepCoroSpec | CompactSpec:
    """Read the specification of an encoder folder.

    Raises
    ------
    NotFoundError
        There is no `encoder.json`.
    EncoderError
        It is not valid.
    """
    try:
        text = (folder / SPEC_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"no encoder in {folder}: it has no {SPEC_FILE}", _IMPORT) from error
    except (OSError, UnicodeDecodeError) as error:
        raise EncoderError(f"{folder / SPEC_FILE} cannot be read", _IMPORT) from error
    try:
        return _kind(text).model_validate_json(text)
    except ValidationError as error:
        raise EncoderError(
            f"{folder / SPEC_FILE} is not a valid specification: {explain(error)}",
            f"import the encoder again: {_IMPORT} --overwrite",
        ) from error


def find_encoder(name_or_path: str, encoders_dir: Path) -> Path:
    """Find an encoder's folder by its name, its whole `encoder_id`, or a path.

    Those of the user come before those of the package.

    Raises
    ------
    NotFoundError
        There is none; the hint lists those that there are.
    """
    if os.sep not in name_or_path:
        for folder in _all_folders(encoders_dir):
            if folder.name == name_or_path:
                return folder
        for folder in _all_folders(encoders_dir):
            # One that is damaged does not hide the others.
            with suppress(EncoderError):
                if read_spec(folder).encoder_id == name_or_path:
                    return folder
    # The home of nobody (~name) and a name that no disk takes are not there either.
    with suppress(OSError, RuntimeError):
        path = Path(name_or_path).expanduser()
        if (path / SPEC_FILE).is_file():
            return path
    if is_bundled(name_or_path):
        raise NotFoundError(
            f"the weights of {name_or_path} are not in this installation",
            f"name an encoder of your own with --encoder ({_IMPORT}), or make them in a checkout: "
            "make phantom-encoder",
        )
    known = ", ".join(folder.name for folder in _all_folders(encoders_dir))
    raise NotFoundError(
        f"no encoder {name_or_path!r}",
        f"known: {known}" if known else f"there is none yet: {_IMPORT}",
    )


def list_encoders(encoders_dir: Path) -> list[EncoderSpec]:
    """Return the specifications of all encoders: those of a folder by name, then the package's."""
    return [read_spec(folder) for folder in _all_folders(encoders_dir)]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def explain(error: ValidationError) -> str:
    """Say in one line what a specification got wrong."""
    parts = []
    for problem in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}" if place else text)
    return "; ".join(parts)


def gpus() -> int:
    """Count the GPUs of this machine that an encoder can run on."""
    import torch

    return torch.cuda.device_count()


def is_bundled(name: str) -> bool:
    """Tell whether a name is that of an encoder of the package."""
    return name in {path.name for path in BUNDLED.iterdir()}


def _kind(text: str) -> type[DeepCoroSpec] | type[CompactSpec]:
    """Return the specification that a text says it is, by its architecture."""
    with suppress(ValueError, AttributeError, RecursionError):
        if json.loads(text).get("architecture") == ARCHITECTURE:
            return CompactSpec
    return DeepCoroSpec


def _all_folders(encoders_dir: Path) -> list[Path]:
    return [*_folders(encoders_dir), *_folders(BUNDLED)]


def _folders(encoders_dir: Path) -> list[Path]:
    # A leading dot marks a folder that an import is still writing.
    if not encoders_dir.is_dir():
        return []
    found = (path for path in encoders_dir.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if (path / SPEC_FILE).is_file())


def _device(device: Device) -> Literal["cpu", "cuda"]:
    import torch

    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise UsageError("no CUDA device here", "use --device cpu, or see angioatlas doctor")
    if device == "auto":
        return "cuda" if has_gpu else "cpu"
    return device


def _precision(precision: PrecisionChoice, device: Literal["cpu", "cuda"]) -> PrecisionName:
    from embedder.encoders.precision import has_bf16

    if precision == "auto":
        return "bf16" if device == "cuda" else "fp32"
    if precision == "bf16" and device == "cpu" and not has_bf16():
        raise UsageError("this CPU does not compute in bf16 itself", "use --precision fp32")
    return precision
