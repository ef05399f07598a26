"""What both stages share: settings, the learning rate, checkpoints, and lines for a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

Log = Callable[[str], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes
    ----------
    steps : int
    batch : int
        Videos or studies a step.
    peak : float
        Highest learning rate.
    warm_up : int
        Steps from 0 to it; afterwards it falls as a cosine to one hundredth.
    weight_decay : float
    seed : int
    log_every, check_every : int
        Steps between two lines of the log, and between two checkpoints.
    """

    steps: int
    batch: int
    peak: float
    warm_up: int = 100
    weight_decay: float = 0.02
    seed: int = 0
    log_every: int = 50
    check_every: int = 500

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warm_up:
            return self.peak * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def optimiser(modules: Iterable[nn.Module], schedule: Schedule) -> AdamW:
    """Return AdamW; vectors and scalars (biases, norms) are not decayed."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=schedule.peak, betas=(0.9, 0.98), fused=True)


def take_step(losses: Mapping[str, Tensor], weights: object, optimizer: AdamW, rate: float) -> None:
    """Take one step down the weighted sum of losses, the gradient cut at a length of 5.

    Parameters
    ----------
    losses : mapping of str to scalar Tensor
    weights
        Has an attribute of each loss's name: how much it counts.
    optimizer : AdamW
    rate : float
        Learning rate of the step.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    total = torch.stack([getattr(weights, name) * loss for name, loss in losses.items()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 5.0)
    optimizer.step()


@dataclass
class Journal:
    """Means of losses since the last line, and how long the rest takes."""

    log: Log
    stage: str
    schedule: Schedule
    _began: float = field(default_factory=time.perf_counter)
    _first: int | None = None
    _sums: dict[str, float] = field(default_factory=dict)
    _count: int = 0

    def note(self, step: int, losses: Mapping[str, float]) -> None:
        """Take the losses of a step, and write a line when one is due."""
        self._first = step if self._first is None else self._first
        self._count += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if (step + 1) % self.schedule.log_every and step + 1 != self.schedule.steps:
            return
        seconds = (time.perf_counter() - self._began) / (step + 1 - self._first)
        told = "  ".join(f"{name} {value / self._count:.3f}" for name, value in self._sums.items())
        left = seconds * (self.schedule.steps - step - 1)
        self.log(
            f"{self.stage} {step + 1}/{self.schedule.steps}  {told}  "
            f"{self.schedule.batch / seconds:.0f}/s  {left / 60:.1f} min left"
        )
        self._sums.clear()
        self._count = 0


def save_checkpoint(file: Path, parts: Mapping[str, Any], *, step: int) -> None:
    """Write the states of the parts, and the steps done, beside the file's place; then rename."""
    aside = file.with_suffix(".part")
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step}, aside)
    aside.replace(file)


def resume(file: Path | None, parts: Mapping[str, Any], *, device: torch.device) -> int:
    """Take the parts up from a checkpoint, and return the steps done; 0 when there is none."""
    if file is None or not file.exists():
        return 0
    state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])
