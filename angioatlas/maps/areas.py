"""Areas that somebody drew on a map, as one word that an address can hold, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from analytics.maps.inside import Area
from core.errors import UsageError

DIGITS: Final = 3
"""Behind the point: less than the width of a dot.  What is drawn is rounded before it is asked
about, so that the word gives the same studies."""
_BETWEEN: Final = "_"
_NEXT: Final = "~"


def drawn_areas(shapes: Iterable[Mapping[str, Sequence[float]]]) -> tuple[Area, ...]:
    """Return the areas of shapes that were drawn.

    Parameters
    ----------
    shapes : iterable of mapping
        Boxes and lassos, each with ``x`` and ``y`` of its corners or vertices.

    Raises
    ------
    UsageError
        One is no area.
    """
    return tuple(Area(*(_rounded(shape[axis]) for axis in ("x", "y"))) for shape in shapes)


def _rounded(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(each), DIGITS) for each in numbers)


def areas_as_word(areas: Iterable[Area]) -> str:
    """Return areas as a word; empty of none.

    x and y of one vertex after the other, nothing of which must be escaped in an address.
    """
    return _NEXT.join(
        _BETWEEN.join(_in_digits(each) for at in zip(area.x, area.y, strict=True) for each in at)
        for area in areas
    )


def _in_digits(number: float) -> str:
    return f"{number:.{DIGITS}f}".rstrip("0").rstrip(".")


def areas_of_word(word: str) -> tuple[Area, ...]:
    """Return the areas of a word.

    Raises
    ------
    UsageError
        It is none.
    """
    found = []
    for part in word.split(_NEXT) if word else []:
        try:
            numbers = [float(each) for each in part.split(_BETWEEN)]
        except ValueError as error:
            raise UsageError(
                "the area in the address is no row of numbers", "draw around the dots again"
            ) from error
        found.append(Area(tuple(numbers[::2]), tuple(numbers[1::2])))
    return tuple(found)
