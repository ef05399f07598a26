"""What a map is drawn from: the dots to draw, what they are coloured by, how dense all of them lie.

A page cannot draw every dot of a large map.  It draws a sample in which rare levels are seen, so
how full a place looks is told by the density of all dots behind it, not by those that are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import UsageError
from core.provenance import RESEARCH_USE

MOST_DOTS: Final = 50_000
"""Dots that are drawn of a map; of more a sample is."""
ISLAND: Final = "island"
"""The colour that every map has."""
NOT_KNOWN: Final = "not known"
_SEED: Final = 0
_BINS: Final = 160
_STEPS: Final = 10
_ENDS: Final = (0.01, 0.99)


@final
@dataclass(frozen=True)
class Colour:
    """What dots may be coloured by.

    Attributes
    ----------
    name : str
        In requests.
    title : str
        For people.
    unit : str
        Of a number; empty where it has none.
    levels : tuple of str
        Of a category, in the order in which they are told; none: it is a number.
    otherwise : str
        What dots without a value are called.
    is_number : bool
    scale : (float, float) or None
        Where the scale of a number begins and ends, if it is the same for all maps.
    """

    name: str
    title: str
    unit: str = ""
    levels: tuple[str, ...] = ()
    otherwise: str = NOT_KNOWN
    is_number: bool = False
    scale: tuple[float, float] | None = None


@final
@dataclass(frozen=True, eq=False)
class Density:
    """How many dots of a map lie where, in square cells.

    Attributes
    ----------
    counts : int64 array of shape (rows, columns)
        From below to above, from left to right.
    x, y : float64 arrays of shape (columns + 1,) and (rows + 1,)
        The edges of the cells.
    """

    counts: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@final
@dataclass(frozen=True)
class MapFacts:
    """Which map is drawn, as the store is now.

    Attributes
    ----------
    name : str
    level : str
        ``study`` or ``video``: what a dot is.
    encoder_id : str
    store_version : int
    """

    name: str
    level: str
    encoder_id: str
    store_version: int


@final
@dataclass(frozen=True, eq=False)
class MapPicture:
    """A map, coloured; nobody's patient id is in it.

    Attributes
    ----------
    about : MapFacts
    colour : Colour
    dots : DataFrame
        Those to draw: uid, study_uid, study_date, x, y and value (float64 of a number, categorical
        of a category; null where it is not known).
    total : int
        How many dots the map has.
    counts : mapping of str to int
        Of all dots: by level, or ``known``; and how many have no value, by `Colour.otherwise`.
    scale : (float, float) or None
        Where the scale of a number begins and ends: that of the colour, otherwise the 1st and 99th
        percentile of all dots.  What lies beyond is drawn as its end.
    density : Density or None
        Of all dots, when not all of them are drawn.
    notice : str
    """

    about: MapFacts
    colour: Colour
    dots: pd.DataFrame
    total: int
    counts: Mapping[str, int]
    scale: tuple[float, float] | None
    density: Density | None
    notice: str = RESEARCH_USE

    def __len__(self) -> int:
        return len(self.dots)


def make_picture(
    about: MapFacts,
    dots: pd.DataFrame,
    colour: Colour,
    values: pd.Series,
    *,
    most: int = MOST_DOTS,
) -> MapPicture:
    """Choose what is drawn of a map.

    Parameters
    ----------
    about : MapFacts
    dots : DataFrame
        All of them: uid, study_uid, study_date, x, y.
    colour : Colour
    values : Series
        Of all dots, in their order: float64, or categorical with the levels of the colour.
    most : int
        Dots that are drawn.

    Raises
    ------
    UsageError
        None are to be drawn.
    """
    if most < 1:
        raise UsageError(f"{most} dots of a map to draw; expected 1 or more", "draw more")
    known = values.notna().to_numpy()
    if colour.is_number:
        counts = {"known": int(known.sum())}
    else:
        of_level = np.bincount(values.cat.codes[known], minlength=len(colour.levels))
        counts = dict(zip(colour.levels, of_level.tolist(), strict=True))
    if not known.all():
        counts[colour.otherwise] = int((~known).sum())
    scale = colour.scale
    if scale is None and colour.is_number and known.any():
        low, high = values[known].quantile([*_ENDS])
        scale = (float(low), float(high))
    rows = sampled(_strata(colour, values), most)
    columns = ["uid", "study_uid", "study_date", "x", "y"]
    return MapPicture(
        about,
        colour,
        dots[columns]
        .assign(value=values.to_numpy() if colour.is_number else values.array)
        .iloc[rows]
        .reset_index(drop=True),
        total=len(dots),
        counts=counts,
        scale=scale,
        density=None if len(rows) == len(dots) else density(dots[["x", "y"]].to_numpy()),
    )


def sampled(strata: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the numbers of at most so many rows, ascending; the same ones every time.

    Rows stand in line, in an order that is always the same: half of the places go to the strata in
    turn, so that a rare one is seen, the others to who is first of those that are left.  So another
    colour of the same map shows mostly the same dots.

    Parameters
    ----------
    strata : int64 array of shape (rows,)
    most : int
    """
    if len(strata) <= most:
        return np.arange(len(strata))
    order = np.random.default_rng(_SEED).permutation(len(strata))
    turn = pd.Series(strata[order]).groupby(strata[order]).cumcount().to_numpy()
    by_turn = np.argsort(turn, kind="stable")
    is_even = np.zeros(len(strata), bool)
    is_even[by_turn[: most // 2]] = True
    rest = np.flatnonzero(~is_even)[: most - most // 2]
    return np.sort(np.concatenate([order[is_even], order[rest]]))


def density(at: NDArray[np.floating]) -> Density:
    """Count dots in square cells, some hundred along the longer side.

    Parameters
    ----------
    at : array of shape (rows, 2)
    """
    dots = np.asarray(at, np.float64)
    low, span = dots.min(axis=0), np.ptp(dots, axis=0)
    step = float(span.max()) / _BINS or 1.0
    x, y = (
        begin + step * np.arange(int(length / step) + 2)
        for begin, length in zip(low, span, strict=True)
    )
    counts, _, _ = np.histogram2d(dots[:, 1], dots[:, 0], bins=(y, x))
    return Density(counts.astype(np.int64), x, y)


def _strata(colour: Colour, values: pd.Series) -> NDArray[np.int64]:
    """Tell levels apart, or steps of a number; those without a value are one of their own."""
    if not colour.is_number:
        return np.asarray(values.cat.codes, np.int64)
    numbers = values.to_numpy(np.float64)
    known = np.isfinite(numbers)
    strata = np.full(len(numbers), -1, np.int64)
    if known.any():
        low, high = numbers[known].min(), numbers[known].max()
        edges = np.linspace(low, high, _STEPS + 1)[1:-1]
        strata[known] = np.searchsorted(edges, numbers[known], side="right")
    return strata
