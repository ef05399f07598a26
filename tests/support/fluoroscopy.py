"""A drawn chest under X-rays: ribs, diaphragm, heart, catheter, and vessels if wanted.

It breathes and beats, so that a picture without contrast medium is not a still one.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Points = list[tuple[float, float]]


def fluoroscopy(
    *, vessels: float = 0.0, n_frames: int = 16, side: int = 128, noise: float = 1.0, seed: int = 0
) -> Grey:
    """Draw a run.

    Parameters
    ----------
    vessels : float
        Grey levels that full vessels are darker than what is behind them; they fill from a
        quarter of the run on.
    n_frames, side : int
    noise : float
        Standard deviation of a pixel, in grey levels.
    seed : int

    Returns
    -------
    uint8 array of shape (n_frames, side, side)
    """
    rng = np.random.default_rng(seed)
    tree = _tree(rng)
    beat_from, breath_from = rng.uniform(0, 2 * np.pi, size=2)
    frames = np.empty((n_frames, side, side))
    for i in range(n_frames):
        beat = np.sin(1.7 * i + beat_from) / 100
        picture = _chest(side, beat, np.sin(0.45 * i + breath_from) / 100)
        _darken(picture, [(0, 0.23), (0.16, 0.26), (0.27, 0.31 + beat)], 0.006, 45)
        filled = min(max((i - n_frames / 4) / (n_frames / 4), 0.0), 1.0)
        if vessels:
            for points, width in tree:
                moved = [(y + beat, x + 0.7 * beat) for y, x in points]
                _darken(picture, moved, width, vessels * filled)
        frames[i] = picture + rng.normal(0, noise, picture.shape)
    return np.clip(frames, 0, 255).astype(np.uint8)


def _chest(side: int, beat: float, breath: float) -> NDArray[np.float64]:
    y, x = np.mgrid[0:side, 0:side] / side
    picture: NDArray[np.float64] = 150 + 30 * np.sin(3 * x + 1) * np.cos(2 * y)
    picture -= 35 / (1 + np.exp((np.hypot(y - 0.55, x - 0.55) - 0.28 - beat) / 0.01))
    picture -= 40 / (1 + np.exp((0.82 + breath + 0.15 * (x - 0.5) ** 2 - y) / 0.01))
    for rib in range(6):
        at = 0.1 + 0.16 * rib + 0.3 * (x - 0.3) ** 2 + breath / 2
        picture -= 10 * np.exp(-(((y - at) / 0.018) ** 2))
    return picture


def _tree(rng: np.random.Generator) -> list[tuple[Points, float]]:
    """Grow a trunk with branches: points as shares of the side, and widths."""
    tree: list[tuple[Points, float]] = []

    def grow(y: float, x: float, angle: float, length: float, depth: int) -> None:
        points = [(y, x)]
        for _ in range(10):
            angle += rng.normal(0, 0.25)
            y, x = y + np.sin(angle) * length / 10, x + np.cos(angle) * length / 10
            points.append((y, x))
        tree.append((points, 0.004 + 0.003 * depth))
        if depth:
            grow(*points[4], angle + 0.8, 0.7 * length, depth - 1)
            grow(*points[8], angle - 0.7, 0.6 * length, depth - 1)

    grow(0.27, 0.31, 0.9, 0.35, 2)
    return tree


def _darken(picture: NDArray[np.float64], points: Points, width: float, depth: float) -> None:
    """Draw a line of segments that is soft at its sides."""
    y, x = np.mgrid[0 : len(picture), 0 : len(picture)] / len(picture)
    nearest = np.full(picture.shape, np.inf)
    for (y0, x0), (y1, x1) in itertools.pairwise(points):
        along = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / ((y1 - y0) ** 2 + (x1 - x0) ** 2)
        along = np.clip(along, 0, 1)
        distance = (y - y0 - along * (y1 - y0)) ** 2 + (x - x0 - along * (x1 - x0)) ** 2
        nearest = np.minimum(nearest, distance)
    picture -= depth * np.exp(-nearest / (2 * width**2))
