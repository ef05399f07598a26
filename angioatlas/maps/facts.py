"""What is known of studies besides their pictures, as true or false, to tell islands apart."""

from __future__ import annotations

from typing import Final

import pandas as pd

from angioatlas.stenoses import measured_stenoses
from angioatlas.study_view import study_view
from core.labels import LabelKind
from core.segments import SEGMENTS, SIGNIFICANT_PERCENT
from store.snapshot import Snapshot

_OLD_YEARS: Final = 75
_WEAK_PERCENT: Final = 40


def known_findings(snapshot: Snapshot, *, encoder_id: str) -> pd.DataFrame:
    """Return what is known of every study of a snapshot.

    Returns
    -------
    DataFrame
        By study_uid; True, False or null: sex, age, LVEF below 40 % (the measurement of the study
        view), significant stenosis by segment (measured on the study, where any segment of it was),
        what one set of finding heads says, and an intervention before the exam.
    """
    rows = study_view(snapshot, encoder_id=encoder_id).to_pandas().set_index("study_uid")
    found = pd.DataFrame(index=rows.index)
    found["female"] = (rows["patient_sex"] == "F").where(rows["patient_sex"].notna())
    age, lvef = rows["patient_age_years"], rows["lvef_percent"]
    found[f"age {_OLD_YEARS} or more"] = (age >= _OLD_YEARS).where(age.notna())
    found[f"LVEF below {_WEAK_PERCENT} %"] = (lvef < _WEAK_PERCENT).where(lvef.notna())
    found["intervention before"] = treated_before(snapshot, rows)
    measured = measured_stenoses(snapshot).reindex(rows.index)
    for segment in SEGMENTS:
        told = f"{segment} > {SIGNIFICANT_PERCENT} %"
        has = measured[segment] > SIGNIFICANT_PERCENT
        found[told] = has.where(measured[segment].notna())
        for finding in ("cto", "thrombus", "calcification"):
            column = f"{segment}_{finding}"
            if column in rows:
                found[f"{segment} {finding} (heads)"] = (rows[column] >= 0.5).where(
                    rows[column].notna()
                )
    return found.astype(object)


def treated_before(snapshot: Snapshot, studies: pd.DataFrame) -> pd.Series:
    """Return whether the patient of each study had a procedure before it; null without its date.

    Parameters
    ----------
    snapshot : Snapshot
    studies : DataFrame
        patient_id and study_date.
    """
    procedures = snapshot.labels(LabelKind.PROCEDURES).to_pandas()
    first = pd.to_datetime(procedures.groupby("patient_id")["date"].min())
    when = studies["patient_id"].map(first)
    known = pd.to_datetime(studies["study_date"])
    return (when < known).where(known.notna())
