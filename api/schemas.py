"""What the API takes and gives: one model an object, with examples for its description."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from api.jobs import JobStatus
from core.provenance import RESEARCH_USE
from core.schema import Level, StudyScore

MOST_HITS: Final = 1000
MOST_TEXT: Final = 2000
"""Characters of a text or a predicate; an encoder reads 512 tokens."""

Uid = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", min_length=1, max_length=64),
    Field(examples=["1.2.840.113619.2.55.3"]),
]
"""A DICOM UID (PS3.5, chapter 9): the original one, or the store's surrogate."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]
EncoderName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200),
    Field(examples=["phantom-mini"]),
]
"""A name or an id; the folders that the Atlas takes, too, are not for callers to name."""


def _as_described(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("expected true or false")
    return value


FormBool = Annotated[bool, BeforeValidator(_as_described)]
"""In a form, where all is text: `0` and `yes` are none, since JSON knows neither."""
LocalDatetime = Annotated[
    dt.datetime,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?$",
            "examples": ["2025-03-01T10:15:00"],
        }
    ),
]
"""As a machine's clock showed it: most name no time zone, which `date-time` would ask for."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ranking(_Strict):
    """What is wanted of a ranking, whatever is asked about."""

    k: int = Field(10, ge=1, le=MOST_HITS, description="Hits wanted.")
    where: Text | None = Field(
        None,
        description="Only what this predicate holds for.",
        examples=["age > 60 and sex = 'F' and lvef_percent < 40"],
    )
    one_per_patient: bool = Field(False, description="Only the best hit of each patient.")
    explain: bool = Field(True, description="Say why each hit matched.")
    encoder: EncoderName | None = Field(
        None, description="Needed where the store has vectors of several encoders."
    )


class TextQuery(Ranking):
    """A text, and what is wanted of its ranking."""

    text: Text = Field(description="Findings in words.", examples=["proximal LAD occlusion"])
    plain: bool = Field(False, description="Take the text as it is; read no clinical words.")


class StudyTextQuery(TextQuery):
    """A text that studies are ranked by."""

    score: StudyScore = Field(StudyScore.AUTO, description="How a study is compared with it.")
    reports: bool = Field(False, description="Rank by the words of imported reports, too.")


class CaseQuery(Ranking):
    """A case of the store, and what is wanted of the ranking of others."""

    uid: Uid = Field(description="Of the case: the original UID, or the store's surrogate.")
    exclude_same_patient: bool = Field(True, description="Leave out the case's own patient.")


class StudyCaseQuery(CaseQuery):
    """A study that others are ranked by."""

    score: StudyScore = Field(StudyScore.AUTO, description="How two studies are compared.")


class Matched(BaseModel):
    """A video of a hit, and the video of the query that it is shown beside."""

    model_config = ConfigDict(from_attributes=True)

    query_sop_uid: str | None = Field(description="Null where a text was asked.")
    query_view: str | None
    sop_uid: str
    view: str
    contribution: float = Field(description="To the score.")


class Why(BaseModel):
    """Why a hit matched."""

    model_config = ConfigDict(from_attributes=True)

    adds_up: bool = Field(
        description="The contributions sum to the score; otherwise each is what the score loses "
        "without that video."
    )
    matched: list[Matched]
    note: str | None = Field(description="Why nothing can be told.")


class _Hit(BaseModel):
    rank: int
    score: float = Field(description="Cosine similarity, -1 to 1; higher is more similar.")
    chance: float | None = Field(
        description="Rows of other patients that one expects to score as high by chance."
    )
    chance_is_bound: bool = Field(description="It is fewer than that.")
    patient_id: str = Field(description="The store's own.")
    study_uid: str
    why: Why | None = None


class StudyHit(_Hit):
    """A study that was found."""

    study_date: dt.date | None
    n_videos: int


class VideoHit(_Hit):
    """A video that was found."""

    sop_uid: str
    view: str
    n_frames: int


class _Answer(BaseModel):
    encoder_id: str
    store_version: int
    score: StudyScore = Field(description="How the rows were compared.")
    chance_note: str | None
    notice: str = RESEARCH_USE


class Part(BaseModel):
    """Some words of a text, what was read of them and what became of that."""

    model_config = ConfigDict(from_attributes=True)

    words: str
    read: str
    use: str
    where: str | None = None


class Parse(BaseModel):
    """How a text was read."""

    model_config = ConfigDict(from_attributes=True)

    parts: list[Part]
    notes: list[str]


class _Found(_Answer):
    text: str
    note: str | None = Field(description="Words that the encoder never met.")
    parse: Parse | None = Field(description="Null where the text was taken as it is.")


class FoundStudies(_Found):
    """The studies that a text describes best."""

    hits: list[StudyHit]


class FoundVideos(_Found):
    """The videos that a text describes best."""

    hits: list[VideoHit]


class SimilarStudies(_Answer):
    """The studies most similar to one."""

    query_uid: str = Field(
        description="The store's own UID of the case; of an uploaded exam, what it is or would be."
    )
    hits: list[StudyHit]


class SimilarVideos(_Answer):
    """The videos most similar to one."""

    query_uid: str
    hits: list[VideoHit]


class Study(BaseModel):
    """A study of the store."""

    study_uid: str = Field(description="The store's own.")
    patient_id: str = Field(description="The store's own.")
    patient_known: bool = Field(description="False where the files named no patient.")
    study_date: dt.date | None
    patient_age_years: float | None
    patient_sex: str | None
    site: str | None
    n_videos: int


class Video(BaseModel):
    """A video of the store."""

    sop_uid: str = Field(description="The store's own.")
    study_uid: str
    series_uid: str | None
    patient_id: str
    view: str
    transfer_syntax_uid: str | None
    acquisition_datetime: LocalDatetime | None
    series_time: str | None
    instance_number: int | None
    primary_angle_deg: float | None
    secondary_angle_deg: float | None
    n_frames: int
    frame_time_ms: float | None
    rows: int
    columns: int


class StudyPage(BaseModel):
    """Some studies, by UID."""

    studies: list[Study]
    next: str | None = Field(description="The cursor of the next page; null on the last.")
    store_version: int


class VideoPage(BaseModel):
    """Some videos, by UID."""

    videos: list[Video]
    next: str | None = Field(description="The cursor of the next page; null on the last.")
    store_version: int


class SegmentFinding(BaseModel):
    """What finding heads say of one coronary segment."""

    segment: str = Field(examples=["prox_lad"])
    stenosis_percent: float | None
    stenosis: float | None = Field(description="Probability of a stenosis above 70 %.")
    calcification: float | None = Field(description="Probability.")
    cto: float | None = Field(description="Probability of a chronic total occlusion.")
    thrombus: float | None = Field(description="Probability.")


class StudyFindings(BaseModel):
    """What finding heads say of a study."""

    study_uid: str
    encoder_id: str
    heads_id: str
    findings: list[SegmentFinding]
    notice: str = RESEARCH_USE


class PatientTimeline(BaseModel):
    """What is known of the patient of a study, by date."""

    patient_id: str = Field(description="The store's own.")
    studies: list[Study]
    labels: dict[str, list[dict[str, Any]]] = Field(
        description="Rows of events, follow_up, measurements, procedures and covariates."
    )
    store_version: int


class Resolve(_Strict):
    """A UID whose study or video is looked for."""

    uid: Uid = Field(description="The original UID, or the store's surrogate.")
    level: Level = Level.STUDY


class Resolved(BaseModel):
    """What a UID is in the store."""

    uid: str = Field(description="The store's own.")
    level: Level


class Version(BaseModel):
    """A store version that can be read."""

    version: int
    kind: str
    created_at: dt.datetime
    encoder_id: str | None


class EncoderFacts(BaseModel):
    """An encoder whose vectors the store holds."""

    encoder_id: str
    heads: list[str] = Field(description="Sets of finding heads.")


class StoreFacts(BaseModel):
    """What the store holds."""

    store_version: int
    studies: int
    videos: int
    encoders: list[EncoderFacts]
    software_version: str
    notice: str = RESEARCH_USE


class Health(BaseModel):
    """Whether the server lives, or can answer."""

    status: str = Field(examples=["ok"])


class JobFailure(BaseModel):
    """Why a job failed."""

    model_config = ConfigDict(extra="ignore")

    status: int = Field(description="As a request that fails so would be answered.")
    code: str
    detail: str
    hint: str


class ExamJob(BaseModel):
    """The comparison of an uploaded exam with the store."""

    job_id: str
    status: JobStatus
    phase: str = Field(description="What is being done.")
    done: int
    total: int | None
    answer: SimilarStudies | None = Field(description="Once it is done.")
    failure: JobFailure | None = Field(description="If it failed.")
