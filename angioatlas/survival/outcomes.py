"""What became of one cohort, without any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import pandas as pd

from analytics.endpoints import Endpoint, Rules, observe
from analytics.survival.groups import Fates
from angioatlas.cohorts import CohortMembers
from core.labels import LabelKind
from core.provenance import RESEARCH_USE
from store.snapshot import Snapshot

EVERYBODY = "everybody"


@final
@dataclass(frozen=True, eq=False)
class CohortOutcomes:
    """What became of a cohort.

    Attributes
    ----------
    name : str
        Of the cohort; `EVERYBODY` for one that has none.
    cohort_id : str
    store_version : int
    endpoint : Endpoint
    outcomes : Fates or None
        Of one group, without a test; None where that cannot be told.
    not_told : str or None
        Why, and the next step.
    excluded : DataFrame
        reason, exams: who could not be followed.
    notes : tuple of str
        What was contradictory in the labels, and how it was read.
    notice : str
    """

    name: str
    cohort_id: str
    store_version: int
    endpoint: Endpoint
    outcomes: Fates | None
    not_told: str | None
    excluded: pd.DataFrame
    notes: tuple[str, ...]
    notice: str = RESEARCH_USE


def outcomes(
    snapshot: Snapshot, cohort: CohortMembers, *, endpoint: Endpoint, horizons: Sequence[int]
) -> CohortOutcomes:
    """Read off what became of the index exams of a cohort.

    Parameters
    ----------
    snapshot : Snapshot
        Of the version that the cohort was chosen from.
    cohort : CohortMembers
    endpoint : Endpoint
    horizons : sequence of int
        In days, ascending.
    """
    name = cohort.name or EVERYBODY
    # Each patient once, as wherever cohorts are compared: exams of one patient are not independent.
    index = cohort.members.sort_values(["index_date", "study_uid"], kind="stable")
    index = index.drop_duplicates("patient_id").reset_index(drop=True)
    events, ends = (
        snapshot.labels(kind, patients=[*index["patient_id"]]).to_pandas()
        for kind in (LabelKind.EVENTS, LabelKind.FOLLOW_UP)
    )
    found = observe(
        index[["study_uid", "patient_id", "index_date"]], events, ends, endpoint, Rules()
    )
    fates = not_told = None
    if len(found.table):
        fates = Fates.of({name: found.times}, horizons)
    else:
        not_told = (
            f"nobody of {name} can be followed beyond the index date: import events and follow-up "
            "(angioatlas labels import PATH)"
        )
    return CohortOutcomes(
        name,
        cohort.cohort_id,
        snapshot.version,
        endpoint,
        fates,
        not_told,
        found.excluded.groupby("reason", sort=False).size().reset_index(name="exams"),
        found.notes,
    )
