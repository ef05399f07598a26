"""Read attributes of a data set tolerantly: a bad value is an absent value.

pydicom converts and validates an element when it is touched, and raises or warns as each value
representation sees fit.  A header pass over an archive wants total functions over the raw bytes.
"""

from __future__ import annotations

import logging
import math
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element

Element = RawDataElement | DataElement

_BINARY = {
    "US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "US or SS": "H",
    "OV": "Q", "UV": "Q", "SV": "q", "OW": "H", "US or OW": "H",
    "US or SS or OW": "H",
}  # fmt: skip
N = TypeVar("N", int, float)

_PADDING = " \0\t\r\n"


@contextmanager
def quiet(warn: Literal["ignore", "error"] = "ignore") -> Iterator[None]:
    """Silence pydicom, whose warnings and log lines quote values of the file.

    Parameters
    ----------
    warn : str
        ``"error"`` raises its warnings instead of dropping them.
    """
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(warn)
            yield
    finally:
        logger.disabled = before


class Attributes:
    """The elements of a data set, by keyword.

    Parameters
    ----------
    elements : mapping of tag to element
        Raw elements, as pydicom's reader yields them.
    little : bool
        Whether the data set is little endian.
    """

    def __init__(self, elements: Mapping[Any, Element], little: bool = True) -> None:
        self._elements = elements
        self._order = "<" if little else ">"

    def __contains__(self, keyword: str) -> bool:
        return self._find(keyword) is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is no element at all."""
        return not self._elements

    @property
    def little(self) -> bool:
        """Whether the data set is little endian."""
        return self._order == "<"

    def raw(self, keyword: str) -> bytes:
        """Return the bytes of a value; empty when absent or not plain bytes."""
        element = self._find(keyword)
        if element is None or not isinstance(element.value, bytes):
            return b""
        return element.value

    def texts(self, keyword: str) -> list[str]:
        r"""Return the values of a text attribute, split at backslashes, padding stripped."""
        element = self._find(keyword)
        if element is None:
            return []
        if isinstance(element, RawDataElement):
            text = (element.value or b"").decode("latin-1")
            return [part.strip(_PADDING) for part in text.split("\\")]
        value = element.value if isinstance(element.value, list) else [element.value]
        return [str(part).strip(_PADDING) for part in value]

    def text(self, keyword: str) -> str:
        """Return the first value of a text attribute; empty when absent."""
        return next(iter(self.texts(keyword)), "")

    def in_charset(self, keyword: str) -> str:
        """Return a text in the SpecificCharacterSet of the data set; Latin-1 where that fails."""
        raw = self.raw(keyword)
        try:
            # pydicom would warn and put replacement characters, which makes two people one.
            with quiet("error"):
                encodings = convert_encodings(self.texts("SpecificCharacterSet") or [""])
                return decode_bytes(raw, encodings, set()).strip(_PADDING)
        except (UserWarning, LookupError, ValueError, AttributeError, TypeError):
            return raw.decode("latin-1").strip(_PADDING)

    def numbers(self, keyword: str) -> list[float]:
        """Return the finite values of a numeric attribute; empty when any is not a number."""
        try:
            values = self._unpack(keyword, float)
        except ValueError:
            return []
        return values if all(math.isfinite(value) for value in values) else []

    def number(self, keyword: str) -> float | None:
        """Return the first value of a numeric attribute if it is a finite number."""
        return next(iter(self.numbers(keyword)), None)

    def integer(self, keyword: str) -> int | None:
        """Return the first value of an integer attribute; None when absent or empty.

        Raises
        ------
        ValueError
            When it is there and is not an integer.
        """
        values = self._unpack(keyword, int)
        return values[0] if values else None

    def integers(self, keyword: str) -> list[int]:
        """Return the values of an integer attribute; empty when any is not an integer."""
        try:
            return self._unpack(keyword, int)
        except ValueError:
            return []

    def items(self, keyword: str) -> list[Attributes]:
        """Return the items of a sequence; empty when absent or unreadable."""
        element = self._find(keyword)
        if element is None:
            return []
        try:
            if isinstance(element, RawDataElement):
                with quiet():
                    element = convert_raw_data_element(element._replace(VR="SQ"))
            return [Attributes(dict(item.items()), self.little) for item in element.value]
        except Exception:  # noqa: BLE001  pydicom raises anything on broken items
            return []

    def first(self, keyword: str) -> Attributes:
        """Return the first item of a sequence; one without elements when there is none."""
        return next(iter(self.items(keyword)), Attributes({}))

    def _find(self, keyword: str) -> Element | None:
        return self._elements.get(tag_for_keyword(keyword))

    def _unpack(self, keyword: str, number: Callable[[Any], N]) -> list[N]:
        element = self._find(keyword)
        if element is None:
            return []
        if isinstance(element.value, bytes):
            code = _BINARY.get(self._representation(element, keyword))
            if code is not None:
                size = struct.calcsize("<" + code)
                count = len(element.value) // size
                form = f"{self._order}{count}{code}"
                return [number(value) for value in struct.unpack_from(form, element.value)]
        return [number(text) for text in self.texts(keyword) if text]

    @staticmethod
    def _representation(element: Element, keyword: str) -> str:
        known = element.VR
        if known is None or known == "UN":
            return str(dictionary_VR(keyword))
        return str(known)
