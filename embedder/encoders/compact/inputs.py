"""From a uint8 clip to what the compact model sees: small, flat, and of unit scale."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

SIZE: Final = 128
"""Rows and columns of a frame as the model sees it."""
LIMIT: Final = 4.0
"""Values are cut off at this many standard deviations: collimator blades, burnt-in text."""
_COARSE: Final = 4
_REACH: Final = 4
"""The background is the mean of squares of (2 * 4 + 1) * 4 = 36 pixels: vessels are 2 to 5 wide."""
_CENTRE: Final = 0.3
"""Radius of the disc that the scale is measured in, as a share of the side: as far inside a
collimator, round or square, as its blades make the background darker."""
_LEAST: Final = 0.5
"""Grey levels: an empty picture is not blown up to noise of unit scale."""


def to_input(clip: NDArray[np.uint8]) -> Float[Tensor, "16 128 128"]:
    """Make the model's input of a clip: `shrink`, then `normalise`.

    Parameters
    ----------
    clip : uint8 array of shape (16, rows, columns)
        Grey, of any size.

    Returns
    -------
    Float[Tensor, "16 128 128"]
        Within -4 to 4.
    """
    return normalise(torch.from_numpy(shrink(clip)))


def shrink(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average the frames down to 128 x 128, whatever their aspect; smaller ones are interpolated.

    Parameters
    ----------
    clip : uint8 array of shape (n, rows, columns)

    Returns
    -------
    float32 array of shape (n, 128, 128)
        0 to 255, not rounded.
    """
    rows, columns = clip.shape[1:]
    high, wide = max(1, rows // SIZE), max(1, columns // SIZE)
    if rows == high * SIZE and columns == wide * SIZE:
        return _block_mean(clip, high, wide)
    frames = torch.tensor(clip, dtype=torch.float32)[None]  # copies: clips may be read-only
    if rows < SIZE or columns < SIZE:
        frames = F.interpolate(frames, size=(SIZE, SIZE), mode="bilinear", antialias=True)
    else:
        frames = F.adaptive_avg_pool2d(frames, SIZE)
    small: NDArray[np.float32] = frames[0].numpy()
    return small


def normalise(
    frames: Float[Tensor, "*batch 16 128 128"],
) -> Float[Tensor, "*batch 16 128 128"]:
    """Take the background away and bring the rest to unit scale, video by video.

    Parameters
    ----------
    frames : Float[Tensor, "*batch 16 128 128"]
        Grey values in any unit; the result does not depend on their gain or offset.

    Returns
    -------
    Float[Tensor, "*batch 16 128 128"]
        Within -4 to 4; dark is negative.

    Notes
    -----
    The background is the mean over time and over a square of 36 pixels: lung, spine and the slope
    of a grey curve go, what moves or is thin stays.  Scale and offset are those of the central disc
    over the whole clip, so that a collimator's blades count for nothing.
    """
    flat = frames - _background(frames.mean(dim=-3, keepdim=True))
    inside = flat.flatten(-2)[..., _disc(frames.device)].flatten(-2)  # [*batch, values]
    mean = inside.mean(dim=-1)
    # By the squares, which are small numbers here: torch's own std takes many times as long.
    std = (inside.square().mean(dim=-1) - mean.square()).clamp_min(_LEAST**2).sqrt()
    shape = (*frames.shape[:-3], 1, 1, 1)
    return ((flat - mean.reshape(shape)) / std.reshape(shape)).clamp(-LIMIT, LIMIT)


def _block_mean(clip: NDArray[np.uint8], high: int, wide: int) -> NDArray[np.float32]:
    """Average blocks of pixels; sums of slices are several times as fast as a reshaped mean."""
    bands = np.zeros((len(clip), SIZE, clip.shape[2]), np.uint16)  # for 257 rows of a block
    for i in range(high):
        bands += clip[:, i::high]
    sums = np.zeros((len(clip), SIZE, SIZE), np.float32)
    for i in range(wide):
        sums += bands[:, :, i::wide]
    return np.divide(sums, high * wide, dtype=np.float32)


def _background(still: Float[Tensor, "*batch 1 128 128"]) -> Float[Tensor, "*batch 1 128 128"]:
    """Blur pictures, at a quarter of the size: so broad a blur loses nothing by it."""
    pictures = still.flatten(0, -3)[:, None]  # [n, 1, 128, 128]
    around = F.pad(F.avg_pool2d(pictures, _COARSE), (_REACH,) * 4, mode="replicate")
    means = F.avg_pool2d(around, 2 * _REACH + 1, stride=1)
    return F.interpolate(means, size=(SIZE, SIZE), mode="bilinear").reshape(still.shape)


def _disc(device: torch.device) -> Tensor:
    """Return the flat positions inside the central disc."""
    at = (torch.arange(SIZE, device=device) + 0.5) / SIZE - 0.5
    inside = at[:, None] ** 2 + at[None] ** 2 <= _CENTRE**2
    return inside.flatten().nonzero()[:, 0]
