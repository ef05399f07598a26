"""What the API takes and gives of cohorts, with examples for its description."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from analytics.cohort import Which
from api.example_ids import ENCODER, PATIENT, STUDY_UID
from api.schemas import EncoderName, Text
from core.provenance import RESEARCH_USE

MOST_LISTED: Final = 900
"""Names on a list: as many of 64 characters as a body may hold."""

CohortId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(examples=["3fa94c01" * 8])
]
"""Made of what the cohort is, never of what somebody called it: it may stand in an address."""
CohortName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100),
    Field(description="It stands in no address; let it name no patient.", examples=["women"]),
]
ListedName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""A UID or a patient id (PS3.5, 6.2: 64 characters at the most)."""


class IndexExam(BaseModel):
    """Which exam of a patient counts, of those that fulfil the rest."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    which: Which = Field("first", description="`every` makes patients count several times.")
    min_views: int = Field(1, ge=1, le=10_000, description="Videos that the exam has at least.")
    since: dt.date | None = Field(None, description="First day of the exam.")
    until: dt.date | None = Field(None, description="Last day of the exam.")


class NewCohort(BaseModel):
    """A cohort to be chosen from what the store holds now, and saved."""

    model_config = ConfigDict(extra="forbid")

    name: CohortName
    where: Text | None = Field(
        None,
        description="Only studies that this predicate holds for.",
        examples=["patient_sex = 'F' and lvef_percent < 40"],
    )
    members: list[ListedName] | None = Field(
        None,
        min_length=1,
        max_length=MOST_LISTED,
        description="Only these studies or patients, by original or by the store's identifiers.",
    )
    index: IndexExam | None = Field(None, description="The first exam where it is left out.")
    like: CohortId | None = Field(
        None,
        description="A cohort whose predicate, index rule and encoder are taken; in place of "
        "`where` and `index`.",
    )
    encoder: EncoderName | None = Field(
        None, description="Whose findings the predicate speaks of, where there are several."
    )


class CohortDefinition(BaseModel):
    """How a cohort is chosen."""

    model_config = ConfigDict(from_attributes=True)

    where: str | None
    listed: int | None = Field(description="Names on the list that it was chosen from.")
    index: IndexExam
    encoder_id: str | None


class Step(BaseModel):
    """How many were left after a step of the choice."""

    step: str
    studies: int
    patients: int


class Cohort(BaseModel):
    """A saved cohort."""

    name: str
    cohort_id: CohortId
    store_version: int = Field(description="It was chosen from.")
    studies: int
    patients: int
    removed: int = Field(description="Members that are gone, since their patients were deleted.")
    definition: CohortDefinition
    attrition: list[Step]
    notice: str = RESEARCH_USE


class Staleness(BaseModel):
    """How a cohort differs from what its definition would choose now."""

    model_config = ConfigDict(from_attributes=True)

    is_stale: bool = Field(description="The store has moved on since.")
    latest_version: int
    joined: int | None = Field(
        description="Studies that would be chosen now and were not; null where a list was given."
    )
    left: int | None = Field(description="Studies that would not be chosen any more.")


class CohortNow(Cohort):
    """A saved cohort, and how it stands to the store as it is."""

    staleness: Staleness


class CohortEntry(BaseModel):
    """A saved cohort in a list."""

    name: str
    cohort_id: CohortId
    studies: int
    patients: int
    store_version: int
    stale: bool = Field(description="The store has moved on since it was chosen.")
    where: str | None
    created_at: dt.datetime


class Member(BaseModel):
    """An index exam."""

    study_uid: str
    patient_id: str = Field(description="The store's own.")
    index_date: dt.date


class MemberPage(BaseModel):
    """Some members of a cohort, by study UID."""

    members: list[Member]
    next: str | None = Field(description="The cursor of the next page; null on the last.")
    store_version: int


_ID: Final = "3fa94c01" * 8
_COHORT: Final[dict[str, Any]] = {
    "name": "women",
    "cohort_id": _ID,
    "store_version": 7,
    "studies": 41,
    "patients": 41,
    "removed": 0,
    "definition": {
        "where": "patient_sex = 'F'",
        "listed": None,
        "index": {"which": "first", "min_views": 1, "since": None, "until": None},
        "encoder_id": ENCODER,
    },
    "attrition": [
        {"step": "studies in the store", "studies": 120, "patients": 96},
        {"step": "where patient_sex = 'F'", "studies": 52, "patients": 41},
        {"step": "first exam of each patient", "studies": 41, "patients": 41},
    ],
    "notice": RESEARCH_USE,
}
COHORT_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "NewCohort": {"name": "women", "where": "patient_sex = 'F'", "index": {"which": "last"}},
    "Cohort": _COHORT,
    "CohortNow": _COHORT
    | {"staleness": {"is_stale": True, "latest_version": 9, "joined": 3, "left": 0}},
    "CohortEntry": {
        "name": "women",
        "cohort_id": _ID,
        "studies": 41,
        "patients": 41,
        "store_version": 7,
        "stale": True,
        "where": "patient_sex = 'F'",
        "created_at": "2025-03-02T08:00:00Z",
    },
    "MemberPage": {
        "members": [
            {
                "study_uid": STUDY_UID,
                "patient_id": PATIENT,
                "index_date": "2025-03-01",
            }
        ],
        "next": "Mi4yNS4yMTM1MjI1ODQ1",
        "store_version": 7,
    },
}
"""By the name of the model."""
