"""Endpoints: from dated events to how long each patient was followed, and how it ended.

Time runs in days from the index date, which is the date of an exam.  Deaths that are no event of
the endpoint compete with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd

from analytics.survival.times import CENSORED, COMPETING, EVENT, Times, follow_up
from core.errors import NotFoundError, UsageError
from core.labels import DEATHS, EVENT_KINDS

HORIZONS_DAYS: Final = (30, 180, 365, 730)
UnknownDeath = Literal["competing", "event"]
UNKNOWN_DEATHS: Final[tuple[UnknownDeath, ...]] = ("competing", "event")
_CORE = ("death_cardiovascular", "mi", "stroke", "urgent_revascularisation", "hf_hospitalisation")


@dataclass(frozen=True)
class Endpoint:
    """What counts as the event.

    Attributes
    ----------
    name : str
    components : tuple of str
        Kinds of `core.labels.EVENT_KINDS`; the first of them to happen is the event.
    """

    name: str
    components: tuple[str, ...]


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    each.name: each
    for each in (
        Endpoint("mace", (*_CORE, "mace")),
        Endpoint("mace_wide", (*_CORE, "mace", "arrhythmia", "cardiogenic_shock")),
        Endpoint("death_any", DEATHS),
        *(Endpoint(kind, (kind,)) for kind in EVENT_KINDS if kind not in ("mace", "death")),
    )
}
"""Endpoints by name.  MACE is cardiovascular death, infarction, stroke, urgent revascularisation or
hospitalisation for heart failure; the wide one adds arrhythmia and cardiogenic shock."""


def endpoint(name: str, components: tuple[str, ...] | None = None) -> Endpoint:
    """Return an endpoint by name, or one of one's own.

    Parameters
    ----------
    name : str
        Of `ENDPOINTS`, or any with `components`.
    components : tuple of str, optional
        Kinds of events.

    Raises
    ------
    NotFoundError
        There is no endpoint of this name.
    UsageError
        A component is no kind of event.
    """
    if components is None:
        if name not in ENDPOINTS:
            raise NotFoundError(
                f"there is no endpoint {name!r}; there are {', '.join(ENDPOINTS)}",
                "name one of these, or give its components",
            )
        return ENDPOINTS[name]
    unknown = [each for each in components if each not in EVENT_KINDS]
    if unknown or not components:
        raise UsageError(
            f"components of {name!r} that are no kinds of events: {', '.join(unknown) or 'none'}",
            f"the kinds are {', '.join(EVENT_KINDS)}",
        )
    return Endpoint(name, components)


@dataclass(frozen=True)
class Rules:
    """How follow-up is read.

    Attributes
    ----------
    blanking_days : int
        Events until so many days after the index date belong to the exam and are not counted; who
        died or was lost until then is left out.  0 leaves out the day of the exam alone.
    until : date, optional
        Administrative end: nothing after this day is looked at.
    unknown_death : {"competing", "event"}
        Whether a death of unknown cause counts as cardiovascular.
    """

    blanking_days: int = 0
    until: dt.date | None = None
    unknown_death: UnknownDeath = "competing"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of patients after their index exams.

    Attributes
    ----------
    table : DataFrame
        The rows of the index that can be followed, in their order, with time_days, state (0, 1, 2;
        see `analytics.survival.times`) and kind (of the event that ended the follow-up, or null).
    excluded : DataFrame
        The other rows, with `reason`.
    notes : tuple of str
        What was contradictory in the labels, and how it was read.
    """

    table: pd.DataFrame
    excluded: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    @property
    def times(self) -> Times:
        """Follow-up in days."""
        return follow_up(self.table["time_days"], self.table["state"])

    def counts(self) -> dict[str, int]:
        """Return how many follow-ups ended with each kind of event, and how many with none."""
        kinds = self.table["kind"].fillna("censored").value_counts()
        return {str(kind): int(n) for kind, n in kinds.items()}


def observe(
    index: pd.DataFrame,
    events: pd.DataFrame,
    follow_ups: pd.DataFrame,
    target: Endpoint,
    rules: Rules = Rules(),
) -> Outcomes:
    """Read off how long patients were followed after their index dates, and how it ended.

    Parameters
    ----------
    index : DataFrame
        patient_id, index_date and any other columns; one row a patient or several.
    events : DataFrame
        patient_id, date, kind.
    follow_ups : DataFrame
        patient_id, last_known_date, status; one row a patient.
    target : Endpoint
    rules : Rules

    Returns
    -------
    Outcomes

    Notes
    -----
    An event shows that the patient was followed until then, whatever the follow-up says.  Who is
    known to be dead without an event of it died of an unknown cause on the last known date.  Of an
    event and a competing one on the same day the event counts.
    """
    rows = index.reset_index(drop=True).copy()
    rows["_start"] = pd.to_datetime(rows["index_date"]) + pd.Timedelta(days=rules.blanking_days)
    happened, ends, notes = _histories(events, follow_ups, rules)
    rows = rows.join(ends, on="patient_id")
    counted = set(target.components)
    if rules.unknown_death == "event" and "death_cardiovascular" in counted:
        counted.add("death")
    after = rows[["patient_id", "_start", "_end"]].reset_index().merge(happened, on="patient_id")
    after = after[(after["date"] > after["_start"]) & (after["date"] <= after["_end"])]
    state = np.where(after["kind"].isin(counted), EVENT, COMPETING)
    after = after.assign(state=state)[after["kind"].isin(counted | set(DEATHS))]
    first = after.sort_values(["index", "date", "state", "kind"]).drop_duplicates("index")
    rows = rows.join(first.set_index("index")[["date", "kind", "state"]])
    ended = rows["date"].fillna(rows["_end"])
    rows["time_days"] = (ended - pd.to_datetime(rows["index_date"])).dt.days
    rows["state"] = rows["state"].fillna(CENSORED).astype(int)
    rows["kind"] = rows["kind"].astype(object).where(rows["kind"].notna(), None)
    rows["reason"] = _reasons(rows)
    kept = rows["reason"].isna()
    shown = [*index.columns, "time_days", "state", "kind"]
    table = rows.loc[kept, shown].reset_index(drop=True)
    table["time_days"] = table["time_days"].astype(int)
    excluded = rows.loc[~kept, [*index.columns, "reason"]].reset_index(drop=True)
    return Outcomes(table, excluded, notes)


def _histories(
    events: pd.DataFrame, follow_ups: pd.DataFrame, rules: Rules
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Return all events, deaths included, and by patient when follow-up ends and who is dead."""
    happened = events[["patient_id", "kind"]].assign(date=pd.to_datetime(events["date"]))
    ends = follow_ups.set_index("patient_id")
    last = pd.to_datetime(ends["last_known_date"])
    died = happened[happened["kind"].isin(DEATHS)].groupby("patient_id")["date"].min()
    died = died.reindex(ends.index)
    silent = (ends["status"] == "dead") & died.isna()
    told = pd.DataFrame({"patient_id": ends.index[silent], "kind": "death", "date": last[silent]})
    happened = pd.concat([happened, told], ignore_index=True)
    died = died.fillna(last.where(silent))
    latest = happened.groupby("patient_id")["date"].max().reindex(ends.index)
    beyond = latest > last
    after_death = last > died
    end = last.mask(beyond, latest).mask(died.notna(), died)
    if rules.until is not None:
        end = end.mask(end > pd.Timestamp(rules.until), pd.Timestamp(rules.until))
    notes = [
        f"{int(count.sum())} patients {what}"
        for count, what in (
            (
                silent,
                "are known to be dead without an event of it: of unknown cause, on the last "
                "known date",
            ),
            (beyond, "have events after their last known date: followed until the last event"),
            (after_death, "have a last known date after their death: followed until death"),
        )
        if count.any()
    ]
    return happened, pd.DataFrame({"_end": end, "_died": died}), tuple(notes)


def _reasons(rows: pd.DataFrame) -> pd.Series:
    """Say why rows cannot be followed; null for those that can."""
    known, ended = rows["_end"].notna(), ~(rows["_end"] > rows["_start"])
    before = known & (rows["_died"] < pd.to_datetime(rows["index_date"]))
    early = known & (rows["_died"] <= rows["_start"])
    said = np.select(
        [~known, before, early, ended],
        [
            "no follow-up",
            "dead before the index date",
            "dead within the blanking period",
            "not followed beyond the index date and blanking period",
        ],
        default="",
    )
    return pd.Series(said, rows.index, dtype=object).replace({"": None})
