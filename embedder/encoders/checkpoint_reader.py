"""Read the tensors of a video encoder out of a foreign file, running none of its code.

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
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.errors import EncoderError, NotFoundError

HINT = "offer the original contrastive checkpoint: angioatlas encoders import CHECKPOINT --name N"
_WRAPPERS = frozenset({"module", "_orig_mod"})
"""Parts of a name that data parallelism and compilation put in."""
_STATES = ("video_encoder", "model_state_dict", "state_dict")


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


def read_video_encoder(source: Path) -> dict[str, Tensor]:
    """Read a contrastive checkpoint's video encoder.

    Parameters
    ----------
    source : Path
        A file of `torch.save` or a `.safetensors` file: a whole training checkpoint (whose part
        `video_encoder` is taken) or a state dict alone.

    Returns
    -------
    dict of str to Tensor
        By the video encoder's own names: `module.` is taken out wherever it stands, and an outer
        `video_encoder.` is taken off.  Tensors may be views of the file.

    Raises
    ------
    NotFoundError
        There is no such file.
    EncoderError
        The file is damaged, holds code, or holds no video encoder.
    """
    if not source.is_file():
        kind = "is a folder, not a file" if source.is_dir() else "does not exist"
        raise NotFoundError(f"the checkpoint {source} {kind}", HINT)
    is_safetensors = source.suffix == ".safetensors"
    content = _read_safetensors(source) if is_safetensors else _read_torch(source)
    return _own_names(_state_dict(content, source.name), source.name)


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
        "if you trust it, save its video_encoder as .safetensors elsewhere and import that",
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


def _state_dict(content: Mapping[object, object], name: str) -> Mapping[object, object]:
    if "linear_probing" in content:
        raise EncoderError(
            f"{name} is a probing checkpoint: expected a contrastive one. Its encoder was tuned "
            "for its heads, so its vectors are not those of the joint space",
            HINT,
        )
    for part in _STATES:
        inner = content.get(part)
        if isinstance(inner, Mapping):
            return inner
    return content


def _own_names(state: Mapping[object, object], name: str) -> dict[str, Tensor]:
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        found = ", ".join(sorted(str(key) for key in state)[:5]) or "nothing"
        raise EncoderError(
            f"{name} holds no video encoder: expected tensors or a part named video_encoder, "
            f"found {found}",
            HINT,
        )
    own: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        parts = [part for part in str(key).split(".") if part not in _WRAPPERS]
        short = ".".join(parts[1:] if parts[:1] == ["video_encoder"] else parts)
        if short in own:
            raise EncoderError(f"{name} holds {short} twice, under two prefixes", HINT)
        own[short] = tensor
    return own


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
