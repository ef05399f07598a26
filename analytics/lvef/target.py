"""What is to be predicted: the measurement that is nearest to each exam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import pandas as pd

from core.errors import UsageError

LVEF: Final = "lvef_percent"


@dataclass(frozen=True)
class Target:
    """A measured number.

    Attributes
    ----------
    name : str
        Of the measurements.
    method : str or None
        Only measurements by this one, such as ``echo``; None takes all.
    window_days : int
        How far from the exam a measurement may be, before or after it.
    thresholds : tuple of float
        Values below which people are told apart.
    range : tuple of float
        Lowest and highest value that it can have.
    unit : str
    """

    name: str = LVEF
    method: str | None = None
    window_days: int = 30
    thresholds: tuple[float, ...] = (40.0, 50.0)
    range: tuple[float, float] = (0.0, 100.0)
    unit: str = "%"


@final
@dataclass(frozen=True, eq=False)
class Measured:
    """Exams with their measurements.

    Attributes
    ----------
    table : DataFrame
        The rows of the index that have a measurement, in their order, with `measured` (the value),
        `apart_days` (measurement minus exam) and `method`.
    without : int
        Exams without one.
    notes : tuple of str
        What was left out of the measurements.
    """

    table: pd.DataFrame
    without: int
    notes: tuple[str, ...] = ()


def nearest(index: pd.DataFrame, measurements: pd.DataFrame, target: Target) -> Measured:
    """Find the measurement that is nearest to each exam.

    Parameters
    ----------
    index : DataFrame
        study_uid, patient_id, index_date, and more.
    measurements : DataFrame
        id, patient_id, study_uid (or null), date, name, value, method.
    target : Target

    Returns
    -------
    Measured
        Of two that are as near, one that names the exam counts, then the earlier one, then the one
        whose id comes first.  A measurement that names another exam of the patient is not taken.

    Raises
    ------
    UsageError
        There is no measurement of this name, or by this method.
    """
    known = measurements[measurements["name"] == target.name]
    if known.empty:
        names = ", ".join(sorted(map(str, measurements["name"].unique()))) or "none"
        raise UsageError(
            f"there is no measurement {target.name!r}; there are {names}",
            "import measurements first: angioatlas labels import PATH",
        )
    if target.method is not None:
        methods = ", ".join(sorted(map(str, known["method"].dropna().unique()))) or "none"
        known = known[known["method"] == target.method]
        if known.empty:
            raise UsageError(
                f"no {target.name} was measured by {target.method!r}; methods are {methods}",
                "name one of these, or leave --method out",
            )
    low, high = target.range
    possible = known["value"].between(low, high)
    notes: tuple[str, ...] = ()
    if not possible.all():
        notes = (
            f"{(~possible).sum():,} measurements outside {low:g} to {high:g} {target.unit} were "
            "left out",
        )
    found = _choose(index, known[possible], target.window_days)
    has = found["measured"].notna()
    table = pd.concat([index.reset_index(drop=True), found], axis=1)[has].reset_index(drop=True)
    return Measured(table, int((~has).sum()), notes)


def _choose(index: pd.DataFrame, known: pd.DataFrame, window_days: int) -> pd.DataFrame:
    rows = index[["study_uid", "patient_id", "index_date"]].reset_index(drop=True)
    joined = rows.reset_index(names="row").merge(known, on="patient_id", suffixes=("", "_of"))
    named = joined["study_uid_of"].notna()
    joined["other"] = ~(named & (joined["study_uid_of"] == joined["study_uid"]))
    apart = pd.to_datetime(joined["date"]) - pd.to_datetime(joined["index_date"])
    joined["apart_days"] = apart.dt.days
    joined["far"] = joined["apart_days"].abs()
    mine = ~(named & joined["other"]) & (joined["far"] <= window_days)
    order = ["row", "far", "other", "apart_days", "id"]
    best = joined[mine].sort_values(order, kind="stable").drop_duplicates("row")
    chosen = best.set_index("row")[["value", "apart_days", "method"]]
    return chosen.rename(columns={"value": "measured"}).reindex(range(len(rows)))
