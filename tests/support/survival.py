"""Subjects with reference numbers from R, in tests/data/survival."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from analytics.survival.times import Times, follow_up

FOLDER = Path(__file__).parents[1] / "data/survival"
AT = (180, 365, 730, 1500)
COVARIATES = ["age", "female", "marker"]


def subjects() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "subjects.csv")


def reference() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "reference.json").read_text())
    return found


def competing(rows: pd.DataFrame) -> Times:
    return follow_up(rows["time"], rows["state"])


def censored(rows: pd.DataFrame) -> Times:
    """Competing ends as censored ones."""
    return follow_up(rows["time"], rows["state"] == 1)
