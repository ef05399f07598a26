"""A trained `phantom-mini` to its folder, and back."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from core.errors import EncoderError
from embedder.encoders.compact.encoder import CompactEncoder, CompactSpace
from embedder.encoders.compact.lexicon import Lexicon
from embedder.encoders.compact.reader import CompactReader
from embedder.encoders.compact.spec import ARCHITECTURE, CompactSpec
from embedder.encoders.compact.study import CompactAggregator, CompactHeads
from embedder.encoders.compact.text import CompactText
from embedder.encoders.compact.video import CompactVideo, fold_norms
from embedder.encoders.importing.folder import new_folder, write_tensors
from embedder.encoders.registry import SPEC_FILE, check_files, file_sha256, read_spec
from embedder.encoders.self_check import SELF_CHECK_FILE, self_check
from embedder.encoders.spec import FileRef, PrecisionName
from embedder.encoders.trained_on import TRAINED_ON_FILE
from embedder.encoders.weights import load_model

WEIGHTS_FILE = "weights.safetensors"
HEADS_FILE = "heads.safetensors"
TEXT_FILE = "text.safetensors"
LEXICON_FILE = "lexicon.txt"
CARD_FILE = "README.md"
_OWN = frozenset({HEADS_FILE, TEXT_FILE, LEXICON_FILE, CARD_FILE})


@dataclass(frozen=True)
class CompactModels:
    """The four trained models, as training leaves them."""

    video: CompactVideo
    aggregator: CompactAggregator
    heads: CompactHeads
    text: CompactText


def write_compact(
    folder: Path,
    models: CompactModels,
    *,
    lexicon: Iterable[str],
    training: Mapping[str, str | int | float],
    trained_on: Iterable[str] = (),
    card: str | None = None,
    name: str = ARCHITECTURE,
) -> CompactSpec:
    """Write an encoder folder, whole or not at all; it takes the place of an older one.

    Parameters
    ----------
    folder : Path
    models : CompactModels
        Stay as they are.  What is written is float16, with each normalisation folded into its
        convolution.
    lexicon : iterable of str
        The words of the text tower's training.
    training : mapping of str to str or number
        How the weights were made, for `encoder.json`.
    trained_on : iterable of str
        The patients of the training, for `trained_on.txt`.
    card : str, optional
        Text of the model card; by default the older folder's is kept.
    name : str

    Returns
    -------
    CompactSpec
        As written.

    Raises
    ------
    EncoderError
        A weight is not finite as float16, or the folder cannot be written.
    UsageError
        The older folder holds files that are no encoder's.
    """
    space = CompactSpace()
    space.video, space.aggregator = models.video, models.aggregator
    older = folder / CARD_FILE
    if card is None and older.is_file():
        card = older.read_text(encoding="utf-8")
    with new_folder(folder, own=_OWN) as partial:
        words = sorted(Lexicon(lexicon).words)
        (partial / LEXICON_FILE).write_text("".join(f"{w}\n" for w in words), encoding="utf-8")
        spec = CompactSpec(
            name=name,
            weights=_write(partial, WEIGHTS_FILE, fold_norms(space)),
            heads=_write(partial, HEADS_FILE, models.heads),
            text=_write(partial, TEXT_FILE, models.text),
            lexicon=FileRef(file=LEXICON_FILE, sha256=file_sha256(partial / LEXICON_FILE)),
            training=dict(training),
        )
        (partial / SPEC_FILE).write_text(spec.to_json(), encoding="utf-8")
        listed = "".join(f"{patient}\n" for patient in trained_on)
        (partial / TRAINED_ON_FILE).write_text(listed, encoding="utf-8")
        if card is not None:
            (partial / CARD_FILE).write_text(card, encoding="utf-8")
        loaded = open_compact(spec, partial, device="cpu")
        check = self_check(loaded, open_compact_reader(spec, partial, device="cpu"))
        (partial / SELF_CHECK_FILE).write_text(check.to_json(), encoding="utf-8")
    return spec


def open_compact(
    spec: CompactSpec, folder: Path, *, device: str, precision: PrecisionName = "fp32"
) -> CompactEncoder:
    """Build the models of a specification and load them strictly, as float32.

    Raises
    ------
    EncoderError
        The tensors of a file are not exactly those of its model.
    """
    space = _open_space(spec, folder)
    heads = load_model(
        CompactHeads, folder / spec.heads.file, what=_what(spec, spec.heads), hint=_HINT
    )
    return CompactEncoder(spec, space, heads, device=device, precision=precision)


def open_compact_reader(spec: CompactSpec, folder: Path, *, device: str) -> CompactReader:
    """Build the text tower of a specification and load it strictly, with its words.

    Raises
    ------
    EncoderError
        The tensors of the file are not exactly those of the model, or the words cannot be read.
    """
    model = load_model(
        CompactText, folder / spec.text.file, what=_what(spec, spec.text), hint=_HINT
    )
    try:
        lines = (folder / spec.lexicon.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EncoderError(f"{_what(spec, spec.lexicon)} cannot be read", _HINT) from error
    return CompactReader(spec, model, Lexicon(lines), device=device)


def as_written(video: CompactVideo) -> CompactVideo:
    """Return a copy of a trained video encoder as its file will give it back.

    Each normalisation is folded into its convolution, and the weights are rounded to float16.
    """
    folded = fold_norms(video)
    return folded.half().float()


def open_compact_video(folder: Path) -> CompactVideo:
    """Load the video encoder of an encoder folder, to train what stands on it.

    Raises
    ------
    EncoderError
        The folder holds no such encoder, or the tensors are not exactly those of the model.
    """
    spec = read_spec(folder)
    if not isinstance(spec, CompactSpec):
        raise EncoderError(
            f"{folder} holds an encoder of the architecture {spec.architecture}, "
            f"expected {ARCHITECTURE}",
            "name a folder that `make phantom-encoder` wrote",
        )
    check_files(spec, folder, spec.video_files)
    return _open_space(spec, folder).video


_HINT = "the folder is damaged: install angioatlas again, or make the encoder again"


def _open_space(spec: CompactSpec, folder: Path) -> CompactSpace:
    return load_model(
        lambda: fold_norms(CompactSpace()),
        folder / spec.weights.file,
        what=_what(spec, spec.weights),
        hint=_HINT,
    )


def _what(spec: CompactSpec, file: FileRef) -> str:
    return f"{file.file} of the encoder {spec.name}"


def _write(folder: Path, file: str, model: nn.Module) -> FileRef:
    state = copy.deepcopy(model).cpu().state_dict()
    half = {key: tensor.to(torch.float16).contiguous() for key, tensor in state.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in half.values()):
        raise EncoderError(
            f"{file} would hold weights that are not finite as float16",
            "the training diverged: train again",
        )
    return write_tensors(folder, file, half)
