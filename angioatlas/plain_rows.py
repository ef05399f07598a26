"""Tables as plain rows, for what prints or sends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def records(frame: Any) -> list[dict[str, Any]]:
    """Turn a DataFrame into plain rows, with None for what is missing."""
    return plain(frame.to_dict("records"))


def plain(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with None for what is missing."""
    return [
        {name: None if _missing(value) else value for name, value in row.items()} for row in rows
    ]


def _missing(value: Any) -> bool:
    # NaN and NaT are the values that differ from themselves.
    return value is None or (not isinstance(value, list | np.ndarray) and value != value)
