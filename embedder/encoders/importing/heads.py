"""What the weights of finding heads tell of their form, and what has to be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from core.errors import EncoderError, UsageError
from core.schema import EMBEDDING_DIM
from core.segments import HEADS
from embedder.encoders.deepcoro_spec import HeadsNorm, HeadsPooling
from embedder.encoders.finding_heads import FindingHeads
from embedder.encoders.weights import fit, shapes_of, shorten

_MAX_HIDDEN = 4096
_HINT = "is this the probing checkpoint of finding heads?"


def heads_facts(
    state: Mapping[str, Tensor],
    *,
    what: str,
    pooling: HeadsPooling | None,
    attention_heads: int,
    norm: HeadsNorm,
) -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """Tell the form of finding heads from their tensors.

    Parameters
    ----------
    state : mapping of str to Tensor
        By the names of `FindingHeads`.
    what : str
        The file, for errors.
    pooling : str or None
        None tells it from the tensors.
    attention_heads, norm : int, str
        The tensors fit any; the release runs with 8 and "post_norm", whatever its configuration
        says.

    Returns
    -------
    dict
        The fields of `HeadsSpec` that describe the form.
    dict of str to Tensor
        The tensors of that form.
    list of str
        Names that it does not use.

    Raises
    ------
    EncoderError
        A head is unknown, has several outputs, or a tensor is missing or misshapen.
    UsageError
        No attention with so many heads can be.
    """
    names = _names(state, what)
    if attention_heads < 1 or EMBEDDING_DIM % attention_heads:
        raise UsageError(
            f"--attention-heads must divide {EMBEDDING_DIM}, found {attention_heads}",
            "the release runs with 8",
        )
    gate = state.get("attention_V.weight")
    hidden = int(gate.shape[0]) if gate is not None and gate.ndim == 2 else 1
    if not 1 <= hidden <= _MAX_HIDDEN:
        raise EncoderError(
            f"{what} holds a gated attention of {hidden} units, expected 1 to {_MAX_HIDDEN}", _HINT
        )
    facts: dict[str, Any] = {
        "pooling": pooling or _pooling(state, names[0]),
        "hidden": hidden,
        "attention_heads": attention_heads,
        "separate": not any(key.startswith("cls_attention.") for key in state),
        "norm": norm,
    }
    expected = shapes_of(lambda: FindingHeads(heads=dict.fromkeys(names, 1), **facts))
    tensors, unused = fit(state, expected, what=what, hint=_HINT)
    return {**facts, "names": names}, tensors, unused


def _names(state: Mapping[str, Tensor], what: str) -> tuple[str, ...]:
    if "view_embedding.weight" in state:
        raise EncoderError(
            f"{what} holds heads that were trained with view labels, which are not supported",
            "offer a checkpoint that was trained without them, as the release",
        )
    names = tuple(
        key.removeprefix("heads.").removesuffix(".weight")
        for key in state
        if key.startswith("heads.") and key.endswith(".weight")
    )
    unknown = sorted(set(names) - set(HEADS))
    if unknown or not names:
        raise EncoderError(
            f"{what} holds heads that are not known: {shorten(unknown)}"
            if names
            else f"{what} holds no finding heads",
            f"known are the {len(HEADS)} heads of the stenosis release, such as {HEADS[0]}",
        )
    shapes = {name: tuple(state[f"heads.{name}.weight"].shape) for name in names}
    odd = [f"{name} is {shape}" for name, shape in shapes.items() if len(shape) != 2]
    if odd:
        raise EncoderError(f"{what} holds heads that are no linear layers: {shorten(odd)}", _HINT)
    outputs = {name: shape[0] for name, shape in shapes.items()}
    several = [f"{name} has {n}" for name, n in outputs.items() if n != 1]
    if several:
        raise EncoderError(f"{what} holds heads of several outputs: {shorten(several)}", _HINT)
    return names


def _pooling(state: Mapping[str, Tensor], name: str) -> HeadsPooling:
    """Tell the pooling; "mean" and "max" have the same tensors, and the first is the common one."""
    has_gate, has_token = "attention_V.weight" in state, "cls_token" in state
    is_double = state[f"heads.{name}.weight"].shape[-1] == 2 * EMBEDDING_DIM
    if is_double:
        return "attention+cls_token" if has_gate else "mean+cls_token"
    if has_token:
        return "cls_token"
    return "attention" if has_gate else "mean"
