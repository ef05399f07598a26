"""Everything dated of one patient, in order."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

COLUMNS: Final = ("date", "kind", "what", "value", "study_uid")
_ORDER: Final = ("event", "exam", "change", "measurement", "procedure")
_CHANGE: Final = "change since the exam before"


def timeline(
    exams: pd.DataFrame,
    pairs: pd.DataFrame,
    measurements: pd.DataFrame,
    procedures: pd.DataFrame,
    events: pd.DataFrame,
) -> pd.DataFrame:
    """Return what is known of a patient by date.

    Parameters
    ----------
    exams : DataFrame
        study_uid, date.
    pairs : DataFrame
        study_uid and score of each exam that follows another one, see
        `analytics.progression.study`.
    measurements : DataFrame
        study_uid, date, name, value, unit.
    procedures : DataFrame
        date, kind, segments.
    events : DataFrame
        date, kind.

    Returns
    -------
    DataFrame
        date, kind (exam, change, measurement, procedure, event), what, value (a number or null) and
        study_uid (or null).  On one day what led to an exam stands before it, what was found in it
        after it, and what was done last.
    """
    scores = exams.merge(pairs[["study_uid", "score"]], on="study_uid")
    rows = [
        *((row["date"], "event", row["kind"], None, None) for row in _records(events)),
        *((row["date"], "exam", "exam", None, row["study_uid"]) for row in _records(exams)),
        *((r["date"], "change", _CHANGE, r["score"], r["study_uid"]) for r in _records(scores)),
        *(
            (row["date"], "measurement", row["name"], row["value"], row["study_uid"])
            for row in _records(measurements)
        ),
        *((row["date"], "procedure", _told(row), None, None) for row in _records(procedures)),
    ]
    # An exam without a date has no place in the order.
    dated = [row for row in rows if not pd.isna(row[0])]
    ordered = sorted(dated, key=lambda row: (row[0], _ORDER.index(row[1]), row[2]))
    return pd.DataFrame(ordered, columns=list(COLUMNS)).astype({"value": float})


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.assign(date=pd.to_datetime(table["date"]).dt.date).to_dict("records")


def _told(procedure: dict[Any, Any]) -> str:
    segments = procedure["segments"]
    return " ".join([procedure["kind"], *(segments if segments is not None else ())])
