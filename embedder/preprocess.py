"""From 8-bit grey (or RGB) frames to the normalised clip that the model sees, on any device."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor


def preprocess(
    clip: UInt8[Tensor, "frames height width"] | UInt8[Tensor, "frames height width 3"],
    *,
    size: int,
    mean: float,
    std: float,
) -> Float[Tensor, "3 frames size size"]:
    """Resize each frame to a square, whatever its aspect, and normalise.

    Parameters
    ----------
    clip : uint8 tensor of shape (frames, height, width) or (frames, height, width, 3)
        The chosen frames, 0 to 255.  Frames are chosen before resizing.
    size : int
        Rows and columns of the result.
    mean, std : float
        One scalar each, in units of the pixels, for all channels.

    Returns
    -------
    Float[Tensor, "3 frames size size"]
        ``(x - mean) / std``, grey repeated in three channels (one memory: do not write to it).

    Notes
    -----
    Bilinear with half-pixel centres; when shrinking, the triangle widens with the scale
    (antialiasing).  The arithmetic is on floats of 0 to 255 and nothing is rounded.
    """
    frames = clip[:, None] if clip.ndim == 3 else clip.permute(0, 3, 1, 2)
    resized = F.interpolate(
        frames.float(), size=(size, size), mode="bilinear", align_corners=False, antialias=True
    )
    normalised = (resized - mean) / std  # [frames, 1 or 3, size, size]
    return normalised.transpose(0, 1).expand(3, -1, -1, -1)
