"""The picture of the demo: a frame of each of the best hits, marked right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from phantom.files.cohort_runs import draw
from phantom.files.cohort_settings import CohortSettings
from phantom.picture.render import arrival_s, render

SIDE: Final = 200
"""Pixels of a frame in the picture."""
_FILLED_AFTER_S: Final = 1.2
"""When, after contrast reached the ostium, the branches are filled too."""
_BORDER, _GAP, _MARK, _STROKE = 4, 8, 26, 2.2
_RIGHT, _WRONG = (0, 158, 115), (213, 94, 0)
"""Green and vermilion of Okabe and Ito, which the colour-blind can tell apart; and the mark differs
in shape too."""
_TICK = ((0.18, 0.55), (0.42, 0.80), (0.84, 0.24))
_CROSS = ((0.22, 0.22), (0.78, 0.78)), ((0.78, 0.22), (0.22, 0.78))


@dataclass(frozen=True, eq=False)
class Tile:
    """A frame of a hit.

    Attributes
    ----------
    frame : uint8 array of shape (SIDE, SIDE)
    right : bool
        Whether what was asked for is true of the study.
    """

    frame: NDArray[np.uint8]
    right: bool


def frame_of(cohort: CohortSettings, file: Path) -> NDArray[np.uint8]:
    """Return a frame of a run of the cohort, with its arteries filled.

    It is rendered anew, at the size of the picture.

    Parameters
    ----------
    cohort : CohortSettings
    file : Path
        The run's, as the cohort has it: ``.../<patient id>/<study number>/<run number>.dcm``.

    Returns
    -------
    uint8 array of shape (SIDE, SIDE)
    """
    index = int(file.parents[1].name.rpartition("-")[2])
    patient = draw(cohort, index)
    exam = patient.exams[int(file.parent.name) - 1]
    run = exam.acquisitions[int(file.stem) - 1]
    seconds = arrival_s(patient.anatomy, exam.disease, run) + _FILLED_AFTER_S
    number = min(round(seconds * 1000 / run.frame_time_ms), run.n_frames - 1)
    frames = render(patient.anatomy, exam.disease, run, size=SIDE, frames=[number])
    first: NDArray[np.uint8] = frames[0]
    return first


def write_picture(path: Path, rows: Sequence[Sequence[Tile]]) -> None:
    """Write the frames as a PNG, one row a question."""
    part = path.with_suffix(".part")
    part.write_bytes(imagecodecs.png_encode(picture(rows)))
    part.replace(path)


def picture(rows: Sequence[Sequence[Tile]]) -> NDArray[np.uint8]:
    """Return the frames side by side, each in a coloured border with a tick or a cross.

    Returns
    -------
    uint8 array of shape (rows, columns, 3)
    """
    step = SIDE + 2 * _BORDER + _GAP
    most = max((len(tiles) for tiles in rows), default=0)
    canvas = np.full((len(rows) * step + _GAP, most * step + _GAP, 3), 255, np.uint8)
    for i, tiles in enumerate(rows):
        for j, tile in enumerate(tiles):
            y, x = _GAP + i * step, _GAP + j * step
            framed = _framed(tile)
            canvas[y : y + len(framed), x : x + len(framed)] = framed
    return canvas


def _framed(tile: Tile) -> NDArray[np.uint8]:
    colour = np.array(_RIGHT if tile.right else _WRONG, np.uint8)
    side = SIDE + 2 * _BORDER
    framed = np.broadcast_to(colour, (side, side, 3)).copy()
    framed[_BORDER:-_BORDER, _BORDER:-_BORDER] = tile.frame[..., None]
    framed[:_MARK, :_MARK] = colour
    framed[:_MARK, :_MARK][_mark(tile.right)] = 255
    return framed


def _mark(right: bool) -> NDArray[np.bool_]:
    """Return which pixels of the corner a tick or a cross covers."""
    ys, xs = np.mgrid[:_MARK, :_MARK] + 0.5
    lines = [_TICK[:2], _TICK[1:]] if right else [*_CROSS]
    covered = np.zeros((_MARK, _MARK), bool)
    for (x0, y0), (x1, y1) in lines:
        along = ((xs / _MARK - x0) * (x1 - x0) + (ys / _MARK - y0) * (y1 - y0)) / (
            (x1 - x0) ** 2 + (y1 - y0) ** 2
        )
        at = np.clip(along, 0, 1)
        away = np.hypot(xs / _MARK - x0 - at * (x1 - x0), ys / _MARK - y0 - at * (y1 - y0))
        covered |= away * _MARK <= _STROKE
    return covered
