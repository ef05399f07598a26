"""The golden models: weights that follow from their names, and what the original makes of them.

`write_golden_checkpoint` gives any test a checkpoint in the original's format, without training.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from embedder.encoders.deepcoro_spec import DeepCoroSpec, TokenPooling
from embedder.encoders.finding_heads import FindingHeads
from embedder.encoders.spec import FileRef
from embedder.encoders.text_encoder import TextEncoder
from embedder.encoders.video_encoder import VideoEncoder
from tests.data.golden.fill import clip_input, fill_array

DATA = Path(__file__).parents[1] / "data" / "golden"
HEADS = 16
Shape = tuple[int, ...]


@functools.cache
def golden_arrays() -> dict[str, np.ndarray]:
    with np.load(DATA / "golden_seed0.npz") as arrays:
        return dict(arrays)


def _listed(*groups: str) -> dict[str, Shape]:
    """Name and shape of every tensor that upstream lists in these groups, in its order."""
    rows = [line.split("\t") for line in (DATA / "state_dict_keys.tsv").read_text().splitlines()]
    return {
        key: tuple(int(size) for size in re.findall(r"\d+", sizes))
        for group, key, sizes in rows
        if group in groups
    }


@functools.cache
def golden_shapes(token_pooling: TokenPooling = "mean", depth: int = 1) -> dict[str, Shape]:
    """Name and shape of every tensor of the original's video encoder, as listed upstream."""
    shapes = _listed(
        "video_encoder",
        f"video_encoder(token_pooling_mode={token_pooling})",
        f"video_encoder(use_cls_token or token_pooling_mode={token_pooling})",
    )
    first = {key: shape for key, shape in shapes.items() if ".blocks.0." in key}
    for block in range(1, depth):
        for key, shape in first.items():
            if key.startswith("aggregator."):
                shapes[key.replace(".blocks.0.", f".blocks.{block}.")] = shape
    return shapes


@functools.cache
def golden_text_shapes() -> dict[str, Shape]:
    """The same of the text encoder: 440 MB of float32."""
    return _listed("text_encoder")


@functools.cache
def golden_heads_shapes(separate: bool | None = None) -> dict[str, Shape]:
    """The same of finding heads: the 90 of the release, whose attention is separate.

    With `separate`, of one head `a` with 12 view classes and hidden 128.
    """
    option = "" if separate is None else f"(separate_video_attention={separate})"
    return _listed(f"mil_model{option}")


def filled(shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
    """The golden weights of these names.  Tensors share memory: do not change them."""
    return {key: torch.from_numpy(_filled(key, shape)) for key, shape in shapes.items()}


def hollow(shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
    """The right names and shapes in a few kilobytes: each tensor is one number, repeated."""
    return {key: torch.tensor(0.5).expand(shape) for key, shape in shapes.items()}


@functools.cache
def _filled(key: str, shape: Shape):
    return fill_array(key, shape, 0)


def golden_state(token_pooling: TokenPooling = "mean", depth: int = 1) -> dict[str, torch.Tensor]:
    return filled(golden_shapes(token_pooling, depth))


def hollow_state(token_pooling: TokenPooling = "mean", depth: int = 1) -> dict[str, torch.Tensor]:
    return hollow(golden_shapes(token_pooling, depth))


def golden_text_state() -> dict[str, torch.Tensor]:
    return filled(golden_text_shapes())


def golden_heads_state() -> dict[str, torch.Tensor]:
    return filled(golden_heads_shapes())


def write_golden_checkpoint(path: Path) -> Path:
    """Write a contrastive training checkpoint as the original does; about 140 MB."""
    torch.save({"video_encoder": golden_state(), "epoch": 1, "best_val_loss": 0.5}, path)
    return path


@functools.cache
def golden_model() -> VideoEncoder:
    """The golden video encoder: 16 heads, depth 1, mean pooling.  Shared: do not change it."""
    model = VideoEncoder(heads=HEADS, depth=1)
    model.load_state_dict(golden_state(), strict=True)
    return model.eval().requires_grad_(False)


@functools.cache
def golden_text_model() -> TextEncoder:
    """The golden text encoder, in the memory of its filled weights.  Shared: do not change it."""
    with torch.device("meta"):
        model = TextEncoder()
    model.load_state_dict(golden_text_state(), strict=True, assign=True)
    return model.eval().requires_grad_(False)


@functools.cache
def golden_heads() -> FindingHeads:
    """The release's 90 heads with golden weights.  Shared: do not change it."""
    shapes = golden_heads_shapes()
    names = [key.split(".")[1] for key in shapes if re.fullmatch(r"heads\..*\.weight", key)]
    model = FindingHeads(
        heads=dict.fromkeys(names, 1),
        pooling="attention+cls_token",
        hidden=256,
        attention_heads=8,
        separate=True,
        norm="post_norm",
    )
    model.load_state_dict(golden_heads_state(), strict=True)
    return model.eval().requires_grad_(False)


@functools.cache
def golden_clips() -> torch.Tensor:
    """The three normalised clips of the golden study, [3, 3, 16, 224, 224]."""
    study = torch.from_numpy(clip_input(101, (1, 3, 16, 224, 224, 3)))[0]
    return study.permute(0, 4, 1, 2, 3).contiguous()


def golden_spec(**changes) -> DeepCoroSpec:
    nothing = FileRef(file="none", sha256="0" * 64)
    facts = {
        "name": "golden",
        "mean": 110.4954833984375,
        "std": 37.805782318115234,
        "heads": HEADS,
        "depth": 1,
        "study_rule": "aggregator",
        "weights": nothing,
        "source": nothing,
    }
    return DeepCoroSpec(**{**facts, **changes})


def relative_l2(found, expected) -> float:
    """Distance over length, in float64."""
    a, b = (np.asarray(value, dtype=np.float64) for value in (found, expected))
    assert a.shape == b.shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def random_clips(*shapes: tuple[int, int], seed: int = 11) -> list[np.ndarray]:
    """Clips of 16 frames, uint8, of these rows and columns."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (16, *shape), dtype=np.uint8) for shape in shapes]


def unit(vector: np.ndarray):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
