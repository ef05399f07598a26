"""Cohorts: which exam of which patient, chosen by a rule that can be told and repeated."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, final

import numpy as np
import pandas as pd

from core.errors import UsageError

Which = Literal["first", "last", "every"]
WHICH: Final[tuple[Which, ...]] = ("first", "last", "every")


class NobodyLeftError(UsageError):
    """A definition chooses nobody."""


@dataclass(frozen=True)
class IndexRule:
    """Which exam of a patient is the index exam.

    Attributes
    ----------
    which : {"first", "last", "every"}
        Of those that fulfil the rest; "every" makes patients count several times.
    min_views : int
        Videos that the exam has at least.
    since, until : date, optional
        First and last day of the exam.
    """

    which: Which = "first"
    min_views: int = 1
    since: dt.date | None = None
    until: dt.date | None = None


@dataclass(frozen=True)
class CohortDefinition:
    """How a cohort is chosen.

    Attributes
    ----------
    where : str, optional
        A predicate over the columns of studies; everything by default.
    listed : int, optional
        Number of studies or patients on a list that the cohort was chosen from, in place of a
        predicate or beside one.
    index : IndexRule
    encoder_id : str, optional
        The space whose findings the predicate may speak of.
    """

    where: str | None = None
    listed: int | None = None
    index: IndexRule = IndexRule()
    encoder_id: str | None = None

    def to_json(self) -> str:
        """Return the definition as JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote."""
        told = json.loads(text)
        index = told.pop("index")
        for name in ("since", "until"):
            index[name] = dt.date.fromisoformat(index[name]) if index[name] else None
        return cls(**told, index=IndexRule(**index))


@final
@dataclass(frozen=True, eq=False)
class Selection:
    """Who was chosen.

    Attributes
    ----------
    members : DataFrame
        study_uid, patient_id, index_date; by patient and date.
    attrition : DataFrame
        step, studies, patients: what was left after each step, from all studies on.
    """

    members: pd.DataFrame
    attrition: pd.DataFrame


def select(
    studies: pd.DataFrame,
    definition: CohortDefinition,
    *,
    matching: Sequence[str] | None = None,
    listed: Sequence[str] | None = None,
) -> Selection:
    """Choose the index exams.

    Parameters
    ----------
    studies : DataFrame
        study_uid, patient_id, patient_known, study_date, n_videos of every study.
    definition : CohortDefinition
    matching : sequence of str, optional
        Studies that the predicate of the definition holds for; required when it has one.
    listed : sequence of str, optional
        Studies or patients that are on the list; required when the definition has one.

    Raises
    ------
    NobodyLeftError
    UsageError
        Names on the list are not in the store.

    Notes
    -----
    Of several exams on the day that counts, the one with the most videos is the index exam, and of
    these the one whose UID comes first.
    """
    rule = definition.index
    left, steps = studies, [("studies in the store", studies)]

    def keep(step: str, chosen: pd.Series | np.ndarray) -> None:
        nonlocal left
        left = left[np.asarray(chosen, bool)]
        steps.append((step, left))

    if definition.listed is not None:
        keep("on the list", _on_list(left, listed or ()))
    if definition.where is not None:
        keep(f"where {definition.where}", left["study_uid"].isin(set(matching or ())))
    keep("with a known patient", left["patient_known"])
    keep("with a date", left["study_date"].notna())
    if rule.since is not None or rule.until is not None:
        # Of pandas, a time is one of 1677 to 2262; whoever asks may name any year.
        date = left["study_date"].to_numpy("datetime64[D]")
        since, until = rule.since or dt.date.min, rule.until or dt.date.max
        keep(_window(rule), (date >= np.datetime64(since)) & (date <= np.datetime64(until)))
    if rule.min_views > 1:
        keep(f"with {rule.min_views} videos or more", left["n_videos"] >= rule.min_views)
    ordered = left.sort_values(
        ["patient_id", "study_date", "n_videos", "study_uid"], ascending=[True, True, False, True]
    )
    if rule.which == "last":
        # The last day, and of that day the exam that sorts first.
        last_day = ordered.groupby("patient_id")["study_date"].transform("max")
        ordered = ordered[ordered["study_date"] == last_day]
    left = ordered if rule.which == "every" else ordered.drop_duplicates("patient_id")
    if rule.which != "every":
        steps.append((f"{rule.which} exam of each patient", left))
    if left.empty:
        lost = next(step for step, rows in steps if rows.empty)
        raise NobodyLeftError(
            f"nobody is left in the cohort after the step {lost!r}", "widen the definition"
        )
    members = left[["study_uid", "patient_id", "study_date"]]
    members = members.rename(columns={"study_date": "index_date"}).reset_index(drop=True)
    counted = [(step, len(rows), rows["patient_id"].nunique()) for step, rows in steps]
    return Selection(members, pd.DataFrame(counted, columns=["step", "studies", "patients"]))


def cohort_id(
    store: str, version: int, definition: CohortDefinition, members: Sequence[str]
) -> str:
    """Return the SHA-256 of everything that makes a cohort: equal cohorts, equal ids.

    Parameters
    ----------
    store : str
        UUID of the store.
    version : int
        Of the store.
    definition : CohortDefinition
    members : sequence of str
        The index exams; their order does not matter.
    """
    content: dict[str, Any] = {
        "store": store,
        "version": version,
        "definition": json.loads(definition.to_json()),
        "members": sorted(members),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _on_list(studies: pd.DataFrame, listed: Sequence[str]) -> pd.Series:
    wanted = set(listed)
    chosen = studies["study_uid"].isin(wanted) | studies["patient_id"].isin(wanted)
    known = set(studies["study_uid"]) | set(studies["patient_id"])
    unknown = [number for number, each in enumerate(listed, 1) if each not in known]
    if unknown:
        told = ", ".join(map(str, unknown[:10])) + (" ..." if len(unknown) > 10 else "")
        raise UsageError(
            f"{len(unknown)} of {len(listed)} names on the list are no study and no patient of the "
            f"store: number {told}",
            "correct the list; it may hold original or pseudonymous identifiers",
        )
    return chosen


def _window(rule: IndexRule) -> str:
    since = f"since {rule.since.isoformat()}" if rule.since else ""
    until = f"until {rule.until.isoformat()}" if rule.until else ""
    return " ".join(each for each in (since, until) if each)
