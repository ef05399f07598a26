"""Tensors against a model: what it needs, and whether a state dict gives it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import EncoderError
from embedder.encoders.deepcoro_spec import TokenPooling
from embedder.encoders.video_encoder import VideoEncoder

Module = TypeVar("Module", bound=nn.Module)
Shapes = Mapping[str, tuple[int, ...]]
_SHOWN = 5
_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


def shapes_of(make: Callable[[], nn.Module]) -> Shapes:
    """Return the name and shape of every tensor of a model, without memory for it."""
    with torch.device("meta"):
        state = make().state_dict()
    return MappingProxyType({key: tuple(tensor.shape) for key, tensor in state.items()})


@functools.cache
def video_encoder_shapes(*, heads: int, depth: int, token_pooling: TokenPooling) -> Shapes:
    """Return what such a video encoder needs; see `shapes_of`."""
    return shapes_of(lambda: VideoEncoder(heads=heads, depth=depth, token_pooling=token_pooling))


def load_model(make: Callable[[], Module], weights: Path, *, what: str, hint: str) -> Module:
    """Make a model and give it the tensors of a safetensors file, strictly; for evaluation.

    Raises
    ------
    EncoderError
        The tensors of the file are not exactly those of the model.
    """
    try:
        found = load_file(weights)
    except SafetensorError as error:
        raise EncoderError(f"{what} is not a safetensors file", hint) from error
    state, unknown = fit(found, shapes_of(make), what=what, hint=hint)
    if unknown:
        raise EncoderError(f"{what} holds tensors of another model: {unknown[0]}", hint)
    model = make()
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def fit(
    state: Mapping[str, Tensor], expected: Shapes, *, what: str, hint: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Take the expected tensors out of a state dict.

    Parameters
    ----------
    state : mapping of str to Tensor
        May hold more than what is expected.
    expected : mapping of str to shape
        From `shapes_of`.
    what, hint : str
        The file and the next step, for errors.

    Returns
    -------
    dict of str to Tensor
        The expected tensors as float32, contiguous, each with its own memory.
    list of str
        The keys that nothing asked for, sorted.

    Raises
    ------
    EncoderError
        A tensor is missing, has another shape, or is not made of finite floating-point numbers.
    """
    missing = sorted(expected.keys() - state.keys())
    if missing:
        found = f"{len(expected) - len(missing)} of the {len(expected)} tensors that are needed"
        raise EncoderError(f"{what} holds {found}; missing: {shorten(missing)}", hint)
    wrong = [
        f"{key} is {tuple(state[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if tuple(state[key].shape) != shape
    ]
    if wrong:
        raise EncoderError(f"{what} holds tensors of other shapes: {shorten(wrong)}", hint)
    unfit = [key for key in expected if not _is_plain(state[key])]
    if unfit:
        raise EncoderError(f"{what} holds tensors that are not finite: {shorten(unfit)}", hint)
    own = {
        key: state[key].to(torch.float32).clone(memory_format=torch.contiguous_format)
        for key in expected
    }
    return own, sorted(state.keys() - expected.keys())


def shorten(items: list[str]) -> str:
    """Join the first few items; say how many more there are."""
    more = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _is_plain(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided or tensor.dtype not in _FLOATS:
        return False
    # As float32, which is what is kept: a float64 may be finite and too large for it.
    return bool(torch.isfinite(tensor.to(torch.float32)).all())
