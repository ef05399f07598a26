"""Tokens of all runs, computed once, and their batches by study."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from core.segments import FINDINGS
from phantom.training.batches import Batches
from phantom.training.dataset import STATE_COLUMNS, TrainingSet
from phantom.training.loop import Log
from phantom.training.models import Models
from phantom.words.concepts import CALCIFIED
from phantom.words.concepts import SIGNIFICANT_PERCENT as SEVERE

_BATCH = 64


def compute_tokens(
    models: Models,
    data: TrainingSet,
    *,
    device: torch.device,
    log: Log,
    changed: bool = False,
    seed: int = 0,
) -> NDArray[np.float16]:
    """Encode all runs.

    Parameters
    ----------
    models : Models
    data : TrainingSet
    device : torch.device
    log : callable
    changed : bool
        Whether the clips are augmented.
    seed : int
        Of the augmentation.

    Returns
    -------
    float16 array of shape (runs, queries, token size)
    """
    batches = Batches(data)
    rng = torch.Generator().manual_seed(seed) if changed else None
    video = models.video.to(device).eval()
    found = []
    for first in range(0, len(data), _BATCH):
        rows = np.arange(first, min(first + _BATCH, len(data)))
        clips = batches.make(rows, rng).clips.to(device)
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16):
            tokens = video(models.normalise(clips)).tokens
        found.append(tokens.float().cpu().numpy().astype(np.float16))
        if first // _BATCH % 50 == 0:
            log(f"tokens {first}/{len(data)}")
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
    tokens : sequence of float16 arrays of shape (runs, queries, token size)
        The same runs, as they are and as augmentation left them; each run comes from one of them.
    """

    def __init__(self, data: TrainingSet, tokens: list[NDArray[np.float16]]) -> None:
        self._data = data
        self._tokens = tokens
        self._first = np.searchsorted(data.study, np.arange(len(data.lvef) + 1))
        self._findings = findings_of(data.states)

    def __len__(self) -> int:
        return len(self._data.lvef)

    def make(self, studies: NDArray[np.int64], rng: np.random.Generator | None) -> StudyBatch:
        """Return a batch; `rng` chooses among the variants of each run, None takes the first."""
        data = self._data
        firsts, counts = self._first[studies], np.diff(self._first)[studies]
        at = firsts[:, None] + np.arange(counts.max())
        present = at < (firsts + counts)[:, None]
        at = np.where(present, at, firsts[:, None])
        variant = (
            np.zeros(at.shape, int)
            if rng is None
            else rng.integers(len(self._tokens), size=at.shape)
        )
        tokens = np.empty((*at.shape, *self._tokens[0].shape[1:]), np.float32)
        for i, stock in enumerate(self._tokens):
            tokens[variant == i] = stock[at[variant == i]]
        video_labels = np.where(present[..., None], data.video_labels[at], -1)
        return StudyBatch(
            torch.from_numpy(tokens),
            torch.from_numpy(present),
            torch.from_numpy(data.study_labels[studies].astype(np.int64)),
            torch.from_numpy(video_labels.astype(np.int64)),
            torch.from_numpy(self._findings[studies]),
            torch.from_numpy(data.lvef[studies]),
        )


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
