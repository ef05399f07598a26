"""What the API takes and gives of analyses: saved models, what they say, outcomes, serial exams."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from angioatlas.predictions import MOST_STUDIES
from api.schemas import EncoderName, Uid
from core.provenance import RESEARCH_USE

MOST_EXAMS: Final = 10_000
"""Exams of a cohort that a model is applied to in one request."""
MOST_HORIZONS: Final = 20
MOST_DAYS: Final = 36_500

ModelId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{64}$"),
    Field(examples=["5f0c1d2e3b4a5968778869504132a3b4c5d6e7f80123456789abcdef01234567"]),
]
"""No name, which may say anything: addresses end in logs."""
CohortName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    Field(description="A saved cohort, by its name or id.", examples=["women"]),
]
EndpointName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z_]+$", min_length=1, max_length=40),
    Field(examples=["mace"]),
]
Horizon = Annotated[int, Field(ge=1, le=MOST_DAYS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Endpoint(BaseModel):
    """What can be asked about the years after an exam."""

    name: str = Field(examples=["mace"])
    events: list[str] = Field(description="The first of these to happen is the event.")


class _Model(BaseModel):
    model_id: str = Field(description="Hash of the model itself.")
    name: str
    predictors: str = Field(description="`embeddings`, `clinical` or `both`.")
    encoder_id: str | None = Field(
        description="Whose embeddings it reads; null where it reads none."
    )
    cohort_id: str = Field(description="The cohort that it was fitted to.")
    created_at: dt.datetime


class _Facts(_Model):
    clinical: list[str] = Field(description="Clinical predictors.")
    cohort: str | None = Field(description="The cohort's name, where it is saved.")
    made_with: dict[str, str] = Field(description="Versions of the software.")
    notice: str = RESEARCH_USE


class SurvivalModelRow(_Model):
    """A saved survival model, in short."""

    endpoint: str
    c: float | None = Field(description="Harrell's C, of people that it had not seen.")


class FollowedUp(BaseModel):
    """Who a survival model was fitted to, in numbers."""

    exams: int | None = None
    patients: int | None = None
    events: int | None = None
    competing: int | None = Field(None, description="Competing events.")


class SurvivalFigures(BaseModel):
    """How good a survival model was on people that it had not seen; limits are of 95 %."""

    c: float | None = Field(description="Harrell's C; 1 orders everybody rightly, 0.5 is chance.")
    c_lower: float | None
    c_upper: float | None
    horizon_days: int = Field(description="Of what follows.")
    auc: float | None
    auc_lower: float | None
    auc_upper: float | None
    observed_to_expected: float | None = Field(description="Calibration in the large; 1 is right.")
    slope: float | None = Field(description="Of the calibration; below 1, risks are too extreme.")
    brier: float | None = Field(description="Mean squared error of the risk.")


class SurvivalRules(BaseModel):
    """How follow-up was read."""

    blanking_days: int = Field(description="Events until then belong to the exam.")
    until: dt.date | None = Field(description="Nothing after this day was looked at.")
    unknown_death: str = Field(description="A death of unknown cause: `competing` or `event`.")


class SurvivalModelFacts(_Facts):
    """A saved survival model: what it predicts, from what, for whom, and how well."""

    endpoint: Endpoint
    horizons_days: list[int]
    rules: SurvivalRules
    fitted_to: FollowedUp
    figures: SurvivalFigures


class LvefModelRow(_Model):
    """A saved model of LVEF, in short."""

    mae: float | None = Field(
        description="Mean absolute error in points, of people that it had not seen."
    )


class Measured(BaseModel):
    """Who a model of LVEF was fitted to, in numbers."""

    exams: int | None = None
    patients: int | None = None


class LvefTarget(BaseModel):
    """Which measurement is predicted."""

    name: str
    method: str | None = Field(description="Only measurements by this one; null takes all.")
    window_days: int = Field(description="How far from the exam it was measured at the most.")
    thresholds: list[float] = Field(description="Percent, below which people are told apart.")


class LvefFigures(BaseModel):
    """How good a model of LVEF was on people that it had not seen, in points of LVEF."""

    mae: float | None = Field(description="Mean absolute error.")
    mae_lower: float | None
    mae_upper: float | None
    mae_of_mean: float | None = Field(description="Of who says the mean of everybody.")
    rmse: float | None
    r2: float | None
    bias: float | None = Field(description="Mean difference, Bland and Altman's.")
    lower: float | None = Field(description="Limit of agreement.")
    upper: float | None = Field(description="Limit of agreement.")
    slope: float | None = Field(description="Of measured on predicted.")
    coverage_90: float | None = Field(description="Share within the prediction intervals of 90 %.")
    auc_below: dict[str, float | None] = Field(description="By threshold.")


class LvefModelFacts(_Facts):
    """A saved model of LVEF: what it predicts, from what, for whom, and how well."""

    target: LvefTarget
    fitted_to: Measured
    figures: LvefFigures


class PredictionQuery(_Strict):
    """Exams that a model is asked about: single studies, or a cohort.

    With neither, the first exam of every patient.
    """

    study_uids: list[Uid] | None = Field(
        None,
        min_length=1,
        max_length=MOST_STUDIES,
        description="Original UIDs, or the store's surrogates.",
    )
    cohort: CohortName | None = Field(
        None, description=f"Its index exams, {MOST_EXAMS:,} at the most."
    )


class _Said(BaseModel):
    study_uid: str = Field(description="The store's own.")
    patient_id: str = Field(description="The store's own.")
    exam_date: dt.date | None
    in_training: bool | None = Field(
        description="The model was fitted to a cohort with this patient, so it knows too much; "
        "null where that cohort was never saved here."
    )
    filled_in: list[str] = Field(
        description="Clinical predictors that are not known of this exam; the model takes what it "
        "was fitted to take then."
    )


class _Predicted(BaseModel):
    model_id: str
    name: str
    encoder_id: str | None
    store_version: int = Field(description="That the exams were read from.")
    notice: str = RESEARCH_USE


class Risk(BaseModel):
    """The probability of the event until a horizon."""

    horizon_days: int
    risk: float = Field(description="Cumulative incidence, 0 to 1; other deaths compete.")


class SurvivalPrediction(_Said):
    """What a survival model says of one exam."""

    score: float = Field(description="Higher is a higher hazard.")
    risks: list[Risk]
    risk_group: int = Field(description="0 is the lowest, by thresholds of the model's training.")


class SurvivalPredictions(_Predicted):
    """What a survival model says of exams."""

    endpoint: str
    predictions: list[SurvivalPrediction]


class Interval(BaseModel):
    """Where a measurement lies with a probability, on average over patients like the model's."""

    percent: float = Field(examples=[90])
    lower: float
    upper: float


class LvefPrediction(_Said):
    """What a model of LVEF says of one exam."""

    lvef_percent: float
    intervals: list[Interval]


class LvefPredictions(_Predicted):
    """What a model of LVEF says of exams."""

    predictions: list[LvefPrediction]


class OutcomesQuery(_Strict):
    """An exam, and what is asked of patients like its patient."""

    uid: Uid = Field(description="Of the study: the original UID, or the store's surrogate.")
    endpoint: EndpointName = "mace"
    horizons_days: list[Horizon] = Field(
        [30, 180, 365, 730], min_length=1, max_length=MOST_HORIZONS
    )
    cohort: CohortName | None = Field(
        None, description="With one exam a patient; the first exam of everybody when left out."
    )
    k: int | None = Field(
        None, ge=1, le=1000, description="Patients that count; chosen on the cohort when left out."
    )
    encoder: EncoderName | None = Field(
        None, description="Needed where the store has vectors of several encoders."
    )


class OutcomesAt(BaseModel):
    """What had happened until a horizon; limits are of 95 %, and of an average of patients."""

    horizon_days: int
    incidence: float = Field(description="Among the neighbours, weighted by similarity.")
    lower: float
    upper: float
    events: int = Field(description="Among the neighbours, unweighted, as is what follows.")
    competing: int
    at_risk: int
    effective_at_risk: float
    cohort_incidence: float
    cohort_lower: float
    cohort_upper: float
    cohort_at_risk: int


class Neighbour(BaseModel):
    """A patient who counts."""

    study_uid: str
    similarity: float = Field(description="Cosine, -1 to 1; higher is more similar.")
    weight: float = Field(description="All of them sum to 1.")
    time_days: int = Field(description="Of follow-up.")
    state: int = Field(description="How it ended: 0 censored, 1 the event, 2 a competing event.")


class SideBySide(BaseModel):
    """Something about the neighbours and about the cohort, in words."""

    what: str
    neighbours: str
    cohort: str


class OutcomesLikeThis(BaseModel):
    """What became of the patients who are most similar to one: no prediction for that one."""

    query_uid: str = Field(description="The store's own UID of the study.")
    endpoint: Endpoint
    encoder_id: str
    store_version: int = Field(description="That the cohort is of.")
    effective_size: float = Field(
        description="How many equally similar patients would tell as much."
    )
    horizons: list[OutcomesAt]
    neighbours: list[Neighbour] = Field(description="The most similar first.")
    participants: list[SideBySide]
    not_told: list[str] = Field(description="Horizons that the follow-up does not support.")
    notes: list[str] = Field(description="What was contradictory, and how it was read.")
    meaning: str
    notice: str = RESEARCH_USE


class SerialExam(BaseModel):
    """An exam of a patient who came again."""

    study_uid: str
    number: int = Field(description="Of the patient's exams, from 1.")
    exam_date: dt.date
    years: float = Field(description="Since the first exam.")
    treatment: str = Field(description="Since the exam before, such as `pci`; empty for none.")
    along: dict[str, float | None] = Field(
        description="How far along each clinical direction it stands, in standard deviations of "
        "all serial exams; 0 is their mean, up is worse."
    )


class SerialChange(BaseModel):
    """What changed from one exam to the next; null where it cannot be told."""

    prior_uid: str
    study_uid: str
    prior_date: dt.date
    exam_date: dt.date
    days: int
    treatment: str = Field(description="In between, such as `pci`; empty for none.")
    treated_segments: list[str]
    events: int = Field(description="In between.")
    change: float | None = Field(None, description="1 - cosine.")
    score: float | None = Field(None, description="Change over the noise floor; above 1 is beyond.")
    p: float | None = Field(None, description="Share of unchanged pairs that differ by as much.")
    beyond: bool | None = Field(None, description="Beyond what unchanged arteries differ by.")
    toward_disease: float | None = Field(
        None, description="In standard deviations of unchanged pairs; up is worse."
    )
    known_segments: int | None = Field(None, description="Untreated, known at both exams.")
    new_disease: int | None = Field(None, description="Segments that crossed 50 %.")
    worsened: int | None = Field(None, description="Segments that grew by more than 20 points.")
    max_increase: float | None = Field(None, description="Points.")
    net_change: float | None = Field(None, description="Sum over untreated segments, points.")
    treated_change: float | None = Field(None, description="Sum over treated segments, points.")
    progressed: bool | None = Field(None, description="New or worse disease, untreated.")


class NoiseFloor(BaseModel):
    """What exams of unchanged arteries differ by, in this store."""

    model_config = ConfigDict(from_attributes=True)

    source: str = Field(description="`unchanged pairs`, or `split halves` of exams.")
    patients: int
    threshold: float = Field(description="1 - cosine that one in twenty of them exceeds.")


class PatientProgression(BaseModel):
    """What changed between the exams of the patient of a study."""

    study_uid: str
    patient_id: str = Field(description="The store's own.")
    encoder_id: str
    store_version: int
    exams: list[SerialExam]
    changes: list[SerialChange]
    floor: NoiseFloor | None
    notes: list[str]
    not_told: str = Field(description="Why nothing is told, or nothing scored; empty otherwise.")
    notice: str = RESEARCH_USE
