"""Changes to clips that change nothing of what they show.

Never a flip: a mirrored coronary tree is another tree.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

SHIFT: Final = 0.06
"""Largest shift, as a share of the side."""
SCALE: Final = 0.10
"""Standard deviation of the logarithm of the scale."""
ROTATION: Final = 0.07
"""Standard deviation of the rotation, radians."""
FULL: Final = 255.0
SHUTTERED: Final = 0.4
"""Share of the clips that get blades."""


def move(
    maps: Float[Tensor, "n channels rows columns"], theta: Float[Tensor, "n 2 3"], *, edge: str
) -> Float[Tensor, "n channels rows columns"]:
    """Shift, scale and rotate pictures.

    Parameters
    ----------
    maps : Float[Tensor, "n channels rows columns"]
    theta : Float[Tensor, "n 2 3"]
        From `draw_moves`.
    edge : {"border", "zeros"}
        What comes in from outside.
    """
    grid = F.affine_grid(theta, list(maps.shape), align_corners=False)
    moved: Tensor = F.grid_sample(maps, grid, padding_mode=edge, align_corners=False)
    return moved


def draw_moves(n: int, rng: torch.Generator) -> Float[Tensor, "n 2 3"]:
    """Draw affine maps from output to input coordinates, both -1 to 1."""
    scale = torch.exp(SCALE * torch.randn(n, generator=rng))
    angle = ROTATION * torch.randn(n, generator=rng)
    shift = 2 * SHIFT * (2 * torch.rand(n, 2, generator=rng) - 1)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)]
    return torch.stack(rows, dim=1)


def draw_times(n: int, frames: int, rng: torch.Generator) -> Int[Tensor, "n frames"]:
    """Draw which frame stands in each place.

    Some clips start a frame or two early or late, some end early and repeat their last frame, and
    now and then a frame is lost and its neighbour stands in for it.
    """
    at = torch.arange(frames).repeat(n, 1)
    late = torch.randint(-2, 3, (n, 1), generator=rng)
    at = torch.where(torch.rand(n, 1, generator=rng) < 0.4, at + late, at)
    lost = torch.rand(n, frames, generator=rng) < 0.04
    at = torch.where(lost, at - 1, at)
    ends = torch.randint(frames // 2, frames, (n, 1), generator=rng)
    short = torch.rand(n, 1, generator=rng) < 0.15
    return torch.minimum(at, torch.where(short, ends, frames - 1)).clamp_(0, frames - 1)


def end_early(
    clips: Float[Tensor, "n frames rows columns"], rng: torch.Generator
) -> Float[Tensor, "n frames rows columns"]:
    """Return clips as of cines that end half-way through the window, or soon after.

    Their last frame stays.
    """
    n, frames = clips.shape[:2]
    last = frames // 2 + torch.randint(0, 3, (n, 1), generator=rng)
    at = torch.minimum(torch.arange(frames).repeat(n, 1), last).to(clips.device)
    return clips[torch.arange(n, device=clips.device)[:, None], at]


def draw_curves(n: int, rng: torch.Generator) -> Float[Tensor, "n 256"]:
    """Draw grey curves: what each of the 256 values becomes, 0 to 255, not rounded."""
    level = torch.arange(256).clamp_min(0.5) / FULL
    gamma = torch.exp(0.3 * (2 * torch.rand(n, 1, generator=rng) - 1))
    gain = 0.8 + 0.4 * torch.rand(n, 1, generator=rng)
    return FULL * (gain * level**gamma).clamp_(0, 1)


def draw_noise(frames: int, side: int, rng: torch.Generator) -> Float[Tensor, "frames side side"]:
    """Draw a stock of noise of unit scale; fresh noise for every clip would take too long."""
    return torch.randn(frames, side, side, generator=rng)


def add_noise(
    clips: Float[Tensor, "n frames rows columns"],
    stock: Float[Tensor, "stock rows columns"],
    rng: torch.Generator,
) -> Float[Tensor, "n frames rows columns"]:
    """Add noise of up to 2 % of the full scale, in place."""
    for clip in clips:
        at = torch.randint(len(stock), (len(clip),), generator=rng).to(stock.device)
        strength = 0.02 * FULL * torch.rand(1, generator=rng).item()
        clip.add_(stock[at], alpha=strength)
    return clips


def close_shutter(
    clips: Float[Tensor, "n frames rows columns"], rng: torch.Generator
) -> Float[Tensor, "n frames rows columns"]:
    """Cover the edges of some clips with an even grey, in place."""
    rows, columns = clips.shape[2:]
    for clip in clips:
        closed, grey, *blades = torch.rand(6, generator=rng).tolist()
        if closed > SHUTTERED:
            continue
        left, right, top, bottom = (
            int(side * max(0.0, 0.4 * b - 0.28))
            for b, side in zip(blades, (columns, columns, rows, rows), strict=True)
        )
        level = 0.5 * FULL * grey
        clip[:, :, :left] = level
        clip[:, :, columns - right :] = level
        clip[:, :top] = level
        clip[:, rows - bottom :] = level
    return clips
