"""Tokens of all runs, computed once, and their batches by study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from core.segments import FINDINGS
from phantom.training import augment
from phantom.training.batches import Batches
from phantom.training.dataset import STATE_COLUMNS, TrainingSet
from phantom.training.loop import Log
from phantom.training.models import Models
from phantom.words.concepts import CALCIFIED
from phantom.words.concepts import SIGNIFICANT_PERCENT as SEVERE

Variant = Literal["plain", "augmented", "short"]
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
"""Clips as they are, with what `phantom.training.augment` changes, or ending early."""
SHORT_STUDIES: Final = 0.25
"""Share of the studies of a batch whose cines all end early."""
_BATCH = 64


def compute_tokens(
    models: Models,
    data: TrainingSet,
    *,
    device: torch.device,
    log: Log,
    variant: Variant = "plain",
) -> NDArray[np.float16]:
    """Encode all runs.

    Parameters
    ----------
    models : Models
    data : TrainingSet
    device : torch.device
    log : callable
    variant : {"plain", "augmented", "short"}
        What is done to the clips.

    Returns
    -------
    float16 array of shape (runs, queries, token size)
    """
    batches = Batches(data)
    rng = torch.Generator().manual_seed(1)
    video = models.video.to(device).eval()
    found = []
    for first in range(0, len(data), _BATCH):
        rows = np.arange(first, min(first + _BATCH, len(data)))
        clips = batches.make(rows, rng if variant == "augmented" else None).clips.to(device)
        if variant == "short":
            clips = augment.end_early(clips, rng)
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16):
            tokens = video(models.normalise(clips)).tokens
        found.append(tokens.float().cpu().numpy().astype(np.float16))
        if first // _BATCH % 50 == 0:
            log(f"{variant} tokens {first}/{len(data)}")
    return np.concatenate(found)


class StudyBatch(NamedTuple):
    """Studies, their videos padded to the same number.

    Attributes
    ----------
    tokens : Float[Tensor, "s v q t"]
    present : Bool[Tensor, "s v"]
    study_labels : Int[Tensor, "s concepts"]
    video_labels : Int[Tensor, "s v concepts"]
        1, 0 or -1; -1 throughout where a position is padding.
    findings : Float[Tensor, "s 18 5"]
        `core.segments.FINDINGS`: percent, then 0 or 1.
    lvef : Float[Tensor, "s"]
    """

    tokens: Float[Tensor, "s v q t"]
    present: Bool[Tensor, "s v"]
    study_labels: Tensor
    video_labels: Tensor
    findings: Float[Tensor, "s 18 5"]
    lvef: Float[Tensor, " s"]

    def to(self, device: torch.device) -> StudyBatch:
        """Return the batch on a device."""
        return StudyBatch(*(each.to(device) for each in self))


class Studies:
    """Batches of whole studies from cached tokens.

    Parameters
    ----------
    data : TrainingSet
    tokens : mapping of variant to float16 array of shape (runs, queries, token size)
        The same runs in each.  Of a study's runs each is plain or augmented, by itself; in
        `SHORT_STUDIES` of the studies they all end early.
    """

    def __init__(self, data: TrainingSet, tokens: Mapping[Variant, NDArray[np.float16]]) -> None:
        self._data = data
        self._tokens = tokens
        self._first = np.searchsorted(data.study, np.arange(len(data.lvef) + 1))
        self._findings = findings_of(data.states)

    def __len__(self) -> int:
        return len(self._data.lvef)

    def make(
        self, studies: NDArray[np.int64], rng: np.random.Generator | Variant = "plain"
    ) -> StudyBatch:
        """Return a batch, of variants that a generator draws, or of one variant."""
        data = self._data
        firsts, counts = self._first[studies], np.diff(self._first)[studies]
        at = firsts[:, None] + np.arange(counts.max())
        present = at < (firsts + counts)[:, None]
        at = np.where(present, at, firsts[:, None])
        variants = np.full(at.shape, rng) if isinstance(rng, str) else self._draw(at.shape, rng)
        size = next(iter(self._tokens.values())).shape[1:]
        tokens = np.empty((*at.shape, *size), np.float32)
        for variant, stock in self._tokens.items():
            tokens[variants == variant] = stock[at[variants == variant]]
        video_labels = np.where(present[..., None], data.video_labels[at], -1)
        return StudyBatch(
            torch.from_numpy(tokens),
            torch.from_numpy(present),
            torch.from_numpy(data.study_labels[studies].astype(np.int64)),
            torch.from_numpy(video_labels.astype(np.int64)),
            torch.from_numpy(self._findings[studies]),
            torch.from_numpy(data.lvef[studies]),
        )

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.str_]:
        usual = [variant for variant in self._tokens if variant != "short"]
        drawn = rng.choice(usual, size=shape)
        if "short" in self._tokens:
            drawn[rng.random(shape[0]) < SHORT_STUDIES] = "short"
        return drawn


def findings_of(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the finding heads should say, (studies, 18, 5) of (studies, 18, 7)."""
    at = {name: states[..., i] for i, name in enumerate(STATE_COLUMNS)}
    said = {
        "stenosis_percent": at["stenosis_percent"],
        "stenosis": at["stenosis_percent"] > SEVERE,
        "calcification": at["calcification"] >= CALCIFIED,
        "cto": at["cto"] > 0,
        "thrombus": at["thrombus"] > 0,
    }
    return np.stack([said[finding.column] for finding in FINDINGS], axis=-1).astype(np.float32)
