"""What may be wanted of an answer, as keyword arguments of the client.

Names and types are those of the API; a test holds them against its description.  What is left out
is not sent, so that defaults are the server's.
"""

from __future__ import annotations

from typing import TypedDict

from analytics.cohort import Which
from core.schema import StudyScore


class Ranking(TypedDict, total=False):
    """What may be wanted of every ranking (`api.schemas.Ranking`)."""

    k: int
    where: str | None
    one_per_patient: bool
    explain: bool
    encoder: str | None


class TextOptions(Ranking, total=False):
    """What may be wanted of a ranking by a text."""

    plain: bool


class StudyTextOptions(TextOptions, total=False):
    """What may be wanted of a ranking of studies by a text."""

    score: StudyScore
    reports: bool


class CaseOptions(Ranking, total=False):
    """What may be wanted of a ranking by a case."""

    exclude_same_patient: bool


class StudyCaseOptions(CaseOptions, total=False):
    """What may be wanted of a ranking of studies by a study."""

    score: StudyScore


class ExamOptions(TypedDict, total=False):
    """What may be wanted of a ranking of studies by an exam that is sent."""

    k: int
    where: str
    exclude_same_patient: bool
    one_per_patient: bool
    explain: bool
    score: StudyScore
    encoder: str


class CohortOptions(TypedDict, total=False):
    """How a cohort may be chosen (`api.cohort_schemas.NewCohort`)."""

    where: str | None
    members: list[str] | None
    index: IndexOptions | None
    like: str | None
    encoder: str | None


class IndexOptions(TypedDict, total=False):
    """Which exam of a patient may count; days as ``2020-12-31``."""

    which: Which
    min_views: int
    since: str | None
    until: str | None


class ListOptions(TypedDict, total=False):
    """What may be wanted of a list.

    Attributes
    ----------
    where : str
    encoder : str
    limit : int
        Rows that are fetched at once.
    """

    where: str
    encoder: str
    limit: int


class OutcomesOptions(TypedDict, total=False):
    """What may be wanted of outcomes of patients alike (`api.analysis_schemas.OutcomesQuery`)."""

    endpoint: str
    horizons_days: list[int]
    cohort: str | None
    k: int | None
    encoder: str | None
