"""Who is compared: cohorts, and everybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from analytics.cohort import CohortDefinition, NobodyLeftError, select
from angioatlas.cohorts import CohortMembers, opened
from core.errors import UsageError
from store.snapshot import Snapshot

MOST = 4
REST = "everybody else"
_TAKEN = ("characteristic", "smd")
"""Columns of the table of characteristics beside those of the groups."""


@dataclass(frozen=True, eq=False)
class Group:
    """One of those who are compared.

    Attributes
    ----------
    name : str
    cohort_id : str or None
        None for everybody else.
    store_version : int
    studies : int
        Exams of the cohort.
    patients : int
        Each is compared once, by the first of the cohort's exams.
    exams : DataFrame
        study_uid, patient_id, index_date; one row a patient.
    """

    name: str
    cohort_id: str | None
    store_version: int
    studies: int
    patients: int
    exams: pd.DataFrame = field(repr=False)

    def about(self) -> dict[str, object]:
        """Return what describes the group, as plain values."""
        return {
            "name": self.name,
            "cohort_id": self.cohort_id,
            "store_version": self.store_version,
            "studies": self.studies,
            "patients": self.patients,
        }


def named(
    cohorts: Sequence[CohortMembers], names: Sequence[str] | None, *, rest: bool
) -> list[str]:
    """Return what the cohorts are called, everybody else last.

    Raises
    ------
    UsageError
        There are fewer than two groups or more than `MOST`, or two have one name.
    """
    count = len(cohorts) + rest
    if not 2 <= count <= MOST or not cohorts:
        raise UsageError(
            f"{count} groups to compare: expected 2 to {MOST}, everybody else among them",
            "name another cohort, or compare with everybody else",
        )
    if names is not None and len(names) != len(cohorts):
        raise UsageError(
            f"{len(names)} names for {len(cohorts)} cohorts", "give one for each, in their order"
        )
    own = names or [each.name or f"cohort {i}" for i, each in enumerate(cohorts, 1)]
    every = [*own, *([REST] if rest else [])]
    if len({*every, *_TAKEN}) < len(every) + len(_TAKEN):
        raise UsageError(
            f"groups called {', '.join(every)}: two cannot be told apart",
            "compare different cohorts, each with a name of its own",
        )
    return every


def grouped(
    cohorts: Sequence[CohortMembers],
    names: Sequence[str],
    open_at: Callable[[int], Snapshot],
    *,
    rest: bool,
) -> list[Group]:
    """Return the groups, each patient once in each.

    Raises
    ------
    UsageError
        Nobody is in one of them, or nobody is left who is in none.
    """
    found = []
    for name, cohort in zip(names, cohorts, strict=False):
        exams = cohort.members.sort_values(["index_date", "study_uid"], kind="stable")
        exams = exams.drop_duplicates("patient_id").sort_values("study_uid", ignore_index=True)
        if exams.empty:
            raise UsageError(f"nobody is in {name!r} any more", "choose the cohort again")
        found.append(
            Group(
                name, cohort.cohort_id, cohort.store_version, len(cohort.members), len(exams), exams
            )
        )
    if rest:
        newest = max(cohorts, key=lambda each: each.store_version)
        with opened(newest, open_at) as snapshot:
            exams = _rest(snapshot, cohorts)
        found.append(Group(names[-1], None, newest.store_version, len(exams), len(exams), exams))
    return found


def in_several(groups: Iterable[Group]) -> int:
    """Return how many patients are in more than one group."""
    every = pd.concat([each.exams["patient_id"] for each in groups])
    return int(every[every.duplicated()].nunique())


def _rest(snapshot: Snapshot, cohorts: Sequence[CohortMembers]) -> pd.DataFrame:
    """Return the first exam of every patient who is in no cohort."""
    studies = snapshot.studies().to_pandas()
    patients = {patient for each in cohorts for patient in each.members["patient_id"]}
    others = studies[~studies["patient_id"].isin(patients)]
    try:
        return select(others, CohortDefinition()).members
    except NobodyLeftError as error:
        raise UsageError(
            "there is nobody else: every patient of the store with a dated exam is in a cohort",
            "compare the cohorts with each other",
        ) from error
