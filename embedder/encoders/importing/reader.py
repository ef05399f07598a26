"""Read the tensors of a checkpoint out of a foreign file, running none of its code.

Files of `torch.save` are pickles, and a pickle can run code when it is read; so only tensors
and plain containers are let through; numpy objects, which metrics hold, are passed over.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.errors import EncoderError, NotFoundError

HINT = "offer an original checkpoint: angioatlas encoders import CHECKPOINT --name NAME"
_WRAPPERS = frozenset({"module", "_orig_mod"})
"""Parts of a name that data parallelism and compilation put in."""
_PARTS = {"video_encoder": "video", "text_encoder": "text", "mil_model": "heads"}
"""What the original calls the parts of its models."""
_WHOLES = ("linear_probing", "model_state_dict", "state_dict")
"""Where a training checkpoint keeps a whole model."""
_PRETRAINING = ("decoder", "mvm", "mask_token", "head")
"""Parts of an encoder-only file that masked pretraining left, by how their names begin."""
_LONGEST_NAME = 200

Kind = Literal["contrastive", "probing", "encoder"]


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one file, part by part, by the parts' own names.

    Attributes
    ----------
    path : Path
    kind : {"contrastive", "probing", "encoder"}
        Video and text encoder of the joint space; video encoder and finding heads; video encoder
        alone.
    video, text, heads : dict of str to Tensor
        Empty where the file has no such part.  Tensors may be views of the file.
    ignored : tuple of str
        Names that belong to no part, sorted.
    """

    path: Path
    kind: Kind
    video: dict[str, Tensor]
    text: dict[str, Tensor]
    heads: dict[str, Tensor]
    ignored: tuple[str, ...] = ()


class _Unused:
    """Stands for a numpy object of a metric or an optimizer, of which nothing is needed.

    numpy's own makers are not let through: rebuilding a dtype from damaged bytes was seen to end
    the process with a segmentation fault.
    """

    def __init__(self, *_args: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


_NUMPY: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Unused, name)
    for name in (
        "numpy.dtype",
        "numpy.ndarray",
        "_codecs.encode",
        *(
            f"numpy.{core}.multiarray.{f}"
            for core in ("_core", "core")
            for f in ("scalar", "_reconstruct")
        ),
    )
]
# What reading a damaged or hostile file was seen to raise, beside pickle.UnpicklingError.
_DAMAGE = (
    RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError, OSError,
    ArithmeticError, AssertionError, ImportError, MemoryError, SystemError, struct.error,
    zipfile.BadZipFile,
)  # fmt: skip


def read_checkpoint(source: Path) -> Checkpoint:
    """Read an original checkpoint.

    Parameters
    ----------
    source : Path
        A file of `torch.save` or a `.safetensors` file: a contrastive or probing training
        checkpoint, or the state dict of a video encoder, with or without prefixes.

    Returns
    -------
    Checkpoint
        `module.` is taken out of names wherever it stands.

    Raises
    ------
    NotFoundError
        There is no such file.
    EncoderError
        The file is damaged, holds code, or holds no video encoder.
    """
    if not source.is_file():
        problem = "is a folder, not a file" if source.is_dir() else "does not exist"
        raise NotFoundError(f"the checkpoint {source} {problem}", HINT)
    try:
        with source.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise EncoderError(
            f"{source.name} cannot be read ({error.strerror})", "check its permissions and its disk"
        ) from error
    is_safetensors = source.suffix == ".safetensors"
    content = _read_safetensors(source) if is_safetensors else _read_torch(source)
    parts, ignored = _parts(_models(content), source.name)
    video = _as_video_encoder(parts["video"], source.name)
    left = (name for name in parts["video"] if name.startswith(_PRETRAINING))
    is_probing = bool(parts["heads"]) or "linear_probing" in content
    if is_probing and not parts["heads"]:
        raise EncoderError(
            f"{source.name} is a probing checkpoint without heads: expected names that begin with "
            "mil_model.",
            HINT,
        )
    kind: Kind = "probing" if is_probing else "contrastive" if parts["text"] else "encoder"
    return Checkpoint(
        source, kind, video, parts["text"], parts["heads"], tuple(sorted([*ignored, *left]))
    )


def _read_safetensors(source: Path) -> Mapping[Any, Any]:
    try:
        return load_file(source, device="cpu")
    except (SafetensorError, *_DAMAGE) as error:
        raise EncoderError(
            f"{source.name} is not a whole safetensors file ({_first_line(error)})",
            "copy it again from where it came from",
        ) from error


def _read_torch(source: Path) -> Mapping[object, object]:
    zipped = _is_zip(source)
    try:
        with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's doubts about a damaged file, before it fails
            # Only the zipped format can be mapped, which spares reading optimizer states.
            content = torch.load(source, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _unpickling_error(source.name, error) from error
    except _DAMAGE as error:
        raise EncoderError(
            f"{source.name} is not a whole checkpoint: expected a file of torch.save "
            f"or .safetensors, found {_found(source)} ({_first_line(error)})",
            "copy it again from where it came from, and check its size",
        ) from error
    if not isinstance(content, Mapping):
        raise EncoderError(
            f"{source.name} is not a checkpoint: expected a dict, found {type(content).__name__}",
            HINT,
        )
    return content


def _unpickling_error(name: str, error: pickle.UnpicklingError) -> EncoderError:
    code = re.search(r"GLOBAL ([\w.]+)", str(error))
    if code is None:
        return EncoderError(
            f"{name} is not a checkpoint: expected a file of torch.save or .safetensors", HINT
        )
    return EncoderError(
        f"{name} holds more than tensors and numbers ({code[1]}), which could run code; "
        "it was not loaded",
        "if you trust it, save its tensors as .safetensors elsewhere and import that",
    )


def _is_zip(source: Path) -> bool:
    try:
        return zipfile.is_zipfile(source)
    except zipfile.BadZipFile:  # it looks for the list of contents, and may trip over it
        return False


def _found(source: Path) -> str:
    with source.open("rb") as file:
        start = file.read(4)
    if not start:
        return "an empty file"
    # A zip whose list of contents, at the end, is gone.
    cut = start == b"PK\x03\x04" and not _is_zip(source)
    return f"a truncated file of {source.stat().st_size} bytes" if cut else "something else"


def _models(content: Mapping[object, object]) -> Mapping[object, object]:
    """Return the state dicts of a checkpoint by part, or the one state dict that it is."""
    for whole in _WHOLES:
        inner = content.get(whole)
        if isinstance(inner, Mapping):
            return inner
    named: dict[object, object] = {
        part: content[part] for part in _PARTS if isinstance(content.get(part), Mapping)
    }
    return named or content


def _parts(
    models: Mapping[object, object], name: str
) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Sort tensors into parts by the first part of their names; bare names are the video's."""
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS.values()}
    flat: list[tuple[str, object]] = []
    for key, value in models.items():
        if isinstance(value, Mapping):
            flat += [(f"{key}.{inner}", tensor) for inner, tensor in value.items()]
        else:
            flat.append((str(key), value))
    tensors = [(key, value) for key, value in flat if isinstance(value, Tensor)]
    if not tensors:
        found = ", ".join(sorted(ascii(str(key))[1:-1][:40] for key in models)[:5]) or "nothing"
        raise EncoderError(
            f"{name} holds no model: expected tensors or a part named video_encoder, found {found}",
            HINT,
        )
    for key, tensor in tensors:
        # Names are shown to people, and shapes are asked for; these have none that can be.
        if len(key) > _LONGEST_NAME or not key.isprintable():
            raise EncoderError(f"{name} holds a tensor with a name like no model's", HINT)
        if tensor.is_nested or tensor.is_meta:
            raise EncoderError(f"{name} holds {key}, which is no plain tensor", HINT)
    has_parts = any(_own_name(key)[0] in _PARTS for key, _ in tensors)
    ignored = []
    for key, tensor in tensors:
        first, *rest = _own_name(key)
        # A name may carry the part's name twice: once by its dict, once by its prefix.
        rest = rest[1:] if rest[:1] == [first] and first in _PARTS else rest
        if first not in _PARTS and has_parts:
            ignored.append(key)
            continue
        part = parts[_PARTS.get(first, "video")]
        own = ".".join(rest if first in _PARTS else [first, *rest])
        if own in part:
            raise EncoderError(f"{name} holds {own} twice, under two prefixes", HINT)
        part[own] = tensor
    return parts, ignored


def _own_name(key: str) -> list[str]:
    return [part for part in key.split(".") if part not in _WRAPPERS] or [key]


def _as_video_encoder(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Give an encoder-only file the names of a video encoder; any other has them already."""
    kept = {key: value for key, value in state.items() if not key.startswith(_PRETRAINING)}
    if "conv_proj.weight" in kept and "model.conv_proj.weight" not in kept:
        own = ("proj.", "aggregator.", "attention_pool.", "cls_token")
        kept = {
            key if key.startswith(own) else f"model.{key}": value for key, value in kept.items()
        }
    if "model.conv_proj.weight" in kept and "proj.1.weight" not in kept:
        raise EncoderError(
            f"{name} holds a backbone alone: without its projection (proj.1.weight) it gives no "
            "vectors of the encoder",
            "offer the contrastive or the probing checkpoint that was trained from it",
        )
    return kept


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
