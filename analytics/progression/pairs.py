"""Pairs of exams that follow each other, and what was done or happened between them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

DAYS_PER_YEAR: Final = 365.25
TREATMENTS: Final = ("pci", "cabg")
UNCHANGED_DAYS: Final = 90
"""Exams that are as near as this, with nothing done and nothing happened between them, count as
exams of unchanged arteries."""


def serial_pairs(exams: pd.DataFrame) -> pd.DataFrame:
    """Return each exam beside the one before it.

    Parameters
    ----------
    exams : DataFrame
        study_uid, patient_id, date; without a date an exam has no place in the order and is left
        out.

    Returns
    -------
    DataFrame
        By patient and date: patient_id, number (of the exam, from 2), prior_uid, study_uid,
        prior_date, date, days.
    """
    known = exams.dropna(subset=["date"])
    known = known.assign(date=pd.to_datetime(known["date"]))
    ordered = known.sort_values(["patient_id", "date", "study_uid"], kind="stable")
    grouped = ordered.groupby("patient_id", sort=False)
    pairs = pd.DataFrame(
        {
            "patient_id": ordered["patient_id"],
            "number": grouped.cumcount() + 1,
            "prior_uid": grouped["study_uid"].shift(),
            "study_uid": ordered["study_uid"],
            "prior_date": grouped["date"].shift(),
            "date": ordered["date"],
        }
    ).dropna(subset=["prior_uid"])
    pairs["days"] = (pairs["date"] - pairs["prior_date"]).dt.days
    return pairs.reset_index(drop=True)


def mark_between(
    pairs: pd.DataFrame, procedures: pd.DataFrame, events: pd.DataFrame
) -> pd.DataFrame:
    """Add what was done and what happened between the exams of each pair.

    Parameters
    ----------
    pairs : DataFrame
        See `serial_pairs`.
    procedures : DataFrame
        patient_id, date, kind (of `TREATMENTS`), segments (lists of names, may be empty).
    events : DataFrame
        patient_id, date.

    Returns
    -------
    DataFrame
        The pairs with `treatment` (such as ``pci``; empty: none), `treated_segments` (tuples of
        names) and `events` (their number).

    Notes
    -----
    What is done on the day of an exam is done after its pictures: it lies between that exam and the
    next one.  Of two exams on one day, it lies between them.  An event on the day of the later exam
    is what led to it, and lies before.
    """
    rows = pairs.reset_index(names="pair")
    done = rows.merge(procedures, on="patient_id", suffixes=("", "_done"))
    when = pd.to_datetime(done["date_done"])
    same_day = (done["prior_date"] == done["date"]) & (when == done["date"])
    done = done[(when >= done["prior_date"]) & ((when < done["date"]) | same_day)]
    kinds = done.groupby("pair")["kind"].agg(lambda each: "+".join(sorted(set(each))))
    segments = {
        pair: tuple(sorted({name for names in each if names is not None for name in names}))
        for pair, each in done.groupby("pair")["segments"]
    }
    happened = rows.merge(events[["patient_id", "date"]], on="patient_id", suffixes=("", "_event"))
    at = pd.to_datetime(happened["date_event"])
    happened = happened[(at > happened["prior_date"]) & (at <= happened["date"])]
    found = pairs.copy()
    found["treatment"] = kinds.reindex(pairs.index).fillna("").to_numpy(str)
    found["treated_segments"] = [segments.get(i, ()) for i in pairs.index]
    found["events"] = happened.groupby("pair").size().reindex(pairs.index).fillna(0).astype(int)
    return found


def are_unchanged(pairs: pd.DataFrame, *, days: int = UNCHANGED_DAYS) -> np.ndarray:
    """Tell which pairs are of unchanged arteries, as far as labels and dates tell; bool (pairs,).

    Parameters
    ----------
    pairs : DataFrame
        See `mark_between`.
    days : int
        See `UNCHANGED_DAYS`.
    """
    quiet = (pairs["treatment"] == "") & (pairs["events"] == 0)
    return (quiet & pairs["days"].between(1, days)).to_numpy(bool)
