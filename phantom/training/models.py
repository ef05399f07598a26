"""The parts that are trained, as arguments."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Models:
    """An encoder's parts.

    Attributes
    ----------
    video : Module
        From float [n, 16, 128, 128] to features with `tokens` [n, queries, t], of which the first
        18 belong to the segments, `pooled` [n, d], `attention_logits` [n, 18, 16, 16] and
        `lesion_logits` [n, 6, 16, 16].
    project : Module
        A part of `video`: from flat tokens [n, queries * t] to `pooled`.
    aggregator : Module
        From pooled [s, v, d] and present [s, v] to [s, d].
    heads : Module
        From the segments' tokens [s, v, 18, t] and present [s, v] to raw findings [s, 18, 5].
    text : Module
        From what `featurise` gives to [n, d].
    featurise : callable
        From sentences to a tensor of numbers.
    normalise : callable
        From grey values [n, 16, 128, 128] to the input of `video`.
    """

    video: nn.Module
    project: nn.Module
    aggregator: nn.Module
    heads: nn.Module
    text: nn.Module
    featurise: Callable[[Sequence[str]], Tensor]
    normalise: Callable[[Tensor], Tensor]


class Average:
    """The running average of a module's weights: smoother than any single step's.

    Parameters
    ----------
    module : ModuleDict
    decay : float
        Of the average, per step; less in the first steps.
    """

    def __init__(self, module: nn.ModuleDict, *, decay: float) -> None:
        self.module: nn.ModuleDict = copy.deepcopy(module)
        self.module.eval().requires_grad_(False)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move toward the weights of `module`; statistics of normalisation are averaged too."""
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 10))
        for mine, theirs in zip(_tensors(self.module), _tensors(module), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"module": self.module.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.module.load_state_dict(state["module"])
        self._steps = state["steps"]


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
