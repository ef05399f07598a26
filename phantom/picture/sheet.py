"""Contact sheets: pictures side by side in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

GAP_PX: Final = 4


def contact_sheet(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Lay pictures out in rows.

    Parameters
    ----------
    rows : sequence of sequences of uint8 arrays of shape (height, width)
        Pictures of one row have one height; widths and the number of pictures may differ.

    Returns
    -------
    uint8 array of shape (height, width)
        The rows from top to bottom, their pictures from left to right, black between and where a
        row is shorter than the longest.

    Raises
    ------
    ValueError
        There is no picture, or those of one row differ in height.
    """
    if not rows or not all(rows):
        raise ValueError("a contact sheet needs a picture in every row")
    strips = [_strip(row) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    below = [np.pad(strip, ((0, GAP_PX), (0, width - strip.shape[1]))) for strip in strips]
    return np.concatenate(below)[:-GAP_PX]


def _strip(row: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    heights = {picture.shape[0] for picture in row}
    if len(heights) > 1:
        raise ValueError(f"pictures of one row have heights {sorted(heights)}")
    spaced = [np.pad(picture, ((0, 0), (0, GAP_PX))) for picture in row]
    return np.concatenate(spaced, axis=1)[:, :-GAP_PX]
