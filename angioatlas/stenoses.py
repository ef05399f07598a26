"""Stenoses that were measured on exams."""

from __future__ import annotations

from typing import Final

import pandas as pd

from core.labels import LabelKind
from core.segments import SEGMENTS
from store.snapshot import Snapshot

MEASUREMENT: Final = "stenosis_percent@"
"""Measurements whose names begin so are percent diameter stenoses of the segment after it."""


def measured_stenoses(snapshot: Snapshot, *, method: str | None = None) -> pd.DataFrame:
    """Return the largest stenosis that was measured in each segment of each study.

    Parameters
    ----------
    snapshot : Snapshot
    method : str, optional
        Of `stenosis_methods`; measurements by any method by default.

    Returns
    -------
    DataFrame
        By study_uid, of the measurements that name their study; a column for each of
        `core.segments.SEGMENTS`.  What was not measured on a study that has measured stenoses is 0:
        nobody measures what is not narrow.
    """
    rows = _rows(snapshot)
    if method is not None:
        rows = rows[_methods(rows) == method]
    named = rows.assign(segment=rows["name"].str.removeprefix(MEASUREMENT))
    found: pd.DataFrame = named.pivot_table(
        index="study_uid", columns="segment", values="value", aggfunc="max"
    )
    return found.reindex(columns=list(SEGMENTS)).fillna(0.0)


def stenosis_methods(snapshot: Snapshot) -> list[str]:
    """Return how stenoses of studies were measured, in lower case, such as ``qca``; sorted."""
    return sorted({*_methods(_rows(snapshot))} - {""})


def _rows(snapshot: Snapshot) -> pd.DataFrame:
    rows: pd.DataFrame = snapshot.labels(LabelKind.MEASUREMENTS).to_pandas()
    return rows[rows["study_uid"].notna() & rows["name"].str.startswith(MEASUREMENT)]


def _methods(rows: pd.DataFrame) -> pd.Series:
    return rows["method"].fillna("").str.strip().str.lower()
