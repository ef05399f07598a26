"""Batches of runs for the video stage: augmented clips and the truth that goes with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from phantom.heart.disease import OCCLUDED_PERCENT
from phantom.training import augment
from phantom.training.dataset import STATE_COLUMNS, TrainingSet
from phantom.words.concepts import CALCIFIED, SIGNIFICANT_PERCENT, STENOSIS_PERCENT

SEGMENT_FACTS = (
    "stenosis",
    "significant",
    "occlusion",
    "cto",
    "thrombus",
    "calcification",
    "stent",
)
"""What the dense heads are asked of each segment, besides its percentage and whether it is seen."""


class Batch(NamedTuple):
    """Runs and their truth.

    Attributes
    ----------
    clips : Float[Tensor, "n 16 128 128"]
        Grey, 0 to 255.
    segments : Float[Tensor, "n 18 256"]
        Where each segment projects, summing to 1; all 0 when it is not in the picture.
    lesions : Float[Tensor, "n 6 16 16"]
        0 to 1.
    seen : Bool[Tensor, "n 18"]
        Segments that the injected artery fills.
    percent : Float[Tensor, "n 18"]
        Stenosis, 0 to 1.
    facts : Float[Tensor, "n 18 7"]
        `SEGMENT_FACTS`, 0 or 1.
    lvef : Float[Tensor, "n"]
        Percent.
    dominance : Int[Tensor, "n"]
    labels : Int[Tensor, "n concepts"]
        1, 0 or -1.
    """

    clips: Float[Tensor, "n 16 128 128"]
    segments: Float[Tensor, "n 18 256"]
    lesions: Float[Tensor, "n 6 16 16"]
    seen: Bool[Tensor, "n 18"]
    percent: Float[Tensor, "n 18"]
    facts: Float[Tensor, "n 18 7"]
    lvef: Float[Tensor, " n"]
    dominance: Int[Tensor, " n"]
    labels: Int[Tensor, "n concepts"]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(each.to(device, non_blocking=True) for each in self))


def segment_facts(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `SEGMENT_FACTS` of states, float32 (..., 7) of (..., 7)."""
    at = {name: states[..., i] for i, name in enumerate(STATE_COLUMNS)}
    percent = at["stenosis_percent"]
    facts = (
        *(percent >= STENOSIS_PERCENT, percent >= SIGNIFICANT_PERCENT),
        *(percent >= OCCLUDED_PERCENT, at["cto"] > 0, at["thrombus"] > 0),
        *(at["calcification"] >= CALCIFIED, at["stent"] > 0),
    )
    return np.stack(facts, axis=-1).astype(np.float32)


class Batches:
    """Makes batches of a training set.

    Parameters
    ----------
    data : TrainingSet
    """

    def __init__(self, data: TrainingSet) -> None:
        self._data = data

    @cached_property
    def _noise(self) -> Tensor:
        return augment.draw_noise(64, 128, torch.Generator().manual_seed(0))

    def make(self, rows: NDArray[np.int64], rng: torch.Generator | None = None) -> Batch:
        """Return a batch of some runs, augmented by `rng` (on the CPU), or as they are."""
        data, of = self._data, self._data.study[rows]
        clips, segments, lesions = self._pictures(rows, rng)
        mass = segments.sum(dim=2, keepdim=True)
        return Batch(
            clips,
            torch.where(mass > 0, segments / mass.clamp_min(1e-6), 0.0),
            lesions,
            torch.from_numpy(data.seen(rows)),
            torch.from_numpy(data.states[of, :, 0] / 100),
            torch.from_numpy(segment_facts(data.states[of])),
            torch.from_numpy(data.lvef[of]),
            torch.from_numpy(data.dominance[of]),
            torch.from_numpy(data.video_labels[rows].astype(np.int64)),
        )

    def _pictures(
        self, rows: NDArray[np.int64], rng: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        clips = self._data.read_clips(rows)
        segments = torch.from_numpy(self._data.segments[rows]).float()
        lesions = torch.from_numpy(self._data.lesion_maps(rows)).float()
        if rng is None:
            return torch.from_numpy(clips).float(), segments.flatten(2), lesions
        n = len(rows)
        times = augment.draw_times(n, clips.shape[1], rng).numpy()
        curves = augment.draw_curves(n, rng).numpy()
        changed = np.empty(clips.shape, np.float32)
        for i, clip in enumerate(clips):
            # Through a table of 256 values: a power of every pixel would take longer.
            np.take(curves[i], clip[times[i]], out=changed[i])
        theta = augment.draw_moves(n, rng)
        moved = augment.move(torch.from_numpy(changed), theta, edge="border")
        moved = augment.close_shutter(augment.add_noise(moved, self._noise, rng), rng)
        segments = augment.move(segments, theta, edge="zeros").flatten(2)
        return moved, segments, augment.move(lesions, theta, edge="zeros")


def shuffled(n: int, batch: int, *, seed: int) -> Callable[[int], NDArray[np.int64]]:
    """Return what gives the rows of a step: every row once an epoch, in an order of its own.

    Parameters
    ----------
    n : int
        Rows.
    batch : int
        Rows a step; the last ones of an epoch that do not fill a batch are left out.
    seed : int

    Returns
    -------
    callable
        From the step, counted from 0, to the rows; the same whenever it is asked, so that a run
        that is taken up again sees what an uninterrupted one would.
    """
    per_epoch = max(1, n // batch)
    orders: dict[int, NDArray[np.int64]] = {}

    def rows(step: int) -> NDArray[np.int64]:
        epoch, at = divmod(step, per_epoch)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(n)
        return orders[epoch][at * batch : (at + 1) * batch]

    return rows
