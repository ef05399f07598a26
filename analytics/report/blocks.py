"""What the sections of several reports are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def with_limits(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Tell an estimate with its interval."""
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def facts(told: Mapping[str, Any]) -> pd.DataFrame:
    """Return names and values as a table."""
    return pd.DataFrame(
        [(key.replace("_", " "), str(value)) for key, value in told.items()],
        columns=["what", "value"],
    )
