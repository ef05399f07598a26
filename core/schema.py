"""The words of the domain: sizes, views, and the description of one cine."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

EMBEDDING_DIM = 512
"""Length of every pooled, joint and study vector."""
CLIP_FRAMES = 16
"""Frames of a cine that an encoder sees."""

UNIT_NORM_TOLERANCE = 1e-3
"""How far the length of an L2-normalised vector may be from 1."""
CINE_MODALITIES = ("XA", "RF")
"""Modalities whose multi-frame images are cines, whatever their SOP class."""
MAX_STUDY_CINES = 1000
"""Cines of one study at the most; real ones have tens.  A model has so many positions at least."""

HIGHEST_GRADE: Final = 3
"""Relevance is 0 (not), 1 (somewhat), 2 (well), 3 (exactly what was asked for)."""


class Level(StrEnum):
    """What a search ranks."""

    STUDY = "study"
    VIDEO = "video"


class StudyScore(StrEnum):
    """How two studies, or a study and a text, are compared."""

    AUTO = "auto"
    """What measured best for the encoder: `STUDY` where an aggregator makes the study vector,
    `LATE` where that is the mean of the videos."""
    STUDY = "study"
    """By the stored study vector."""
    MEAN = "mean"
    """By the mean of the video vectors."""
    LATE = "late"
    """By late interaction over the best matching views."""


UID_COLUMN: Final = {Level.STUDY: "study_uid", Level.VIDEO: "sop_uid"}
"""The column that tells studies, or videos, apart."""


class Format(StrEnum):
    """What an export is written as."""

    DUCKDB = "duckdb"
    PARQUET = "parquet"
    CSV = "csv"


class View(StrEnum):
    """The twelve projections, by C-arm angulation."""

    AP = "AP"
    AP_CAUDAL = "AP Caudal"
    AP_CRANIAL = "AP Cranial"
    LAO_CAUDAL = "LAO Caudal"
    LAO_CRANIAL = "LAO Cranial"
    LAO_LATERAL = "LAO Lateral"
    LAO_STRAIGHT = "LAO Straight"
    OTHER = "Other"
    RAO_CAUDAL = "RAO Caudal"
    RAO_CRANIAL = "RAO Cranial"
    RAO_LATERAL = "RAO Lateral"
    RAO_STRAIGHT = "RAO Straight"


@dataclass(frozen=True)
class Cine:
    """One multi-frame angiogram as its header describes it (no pixels).

    Times are as recorded by the equipment, without time zone.  Angles are in degrees: primary
    positive toward LAO, secondary positive toward cranial (DICOM PS3.3 C.8.7.5.1.2).
    """

    sop_uid: str
    study_uid: str
    series_uid: str
    patient_id: str = field(repr=False)
    """Never part of a printed cine: the original one names the patient."""
    patient_known: bool
    """False when PatientID was missing or a placeholder: the patient is then this study alone."""
    patient_sex: str | None
    patient_age_years: float | None
    study_date: dt.date | None
    series_time: str | None
    """SeriesTime as HHMMSS.ffffff, so that text order is time order."""
    acquisition_datetime: dt.datetime | None
    instance_number: int | None
    view: View
    primary_angle_deg: float | None
    secondary_angle_deg: float | None
    n_frames: int
    frame_time_ms: float | None
    rows: int
    columns: int
    transfer_syntax_uid: str
    source_uri: str

    @property
    def order(self) -> tuple[str, dt.datetime, int, str]:
        """Sort key inside a study: series time, acquisition time, instance number, UID.

        What is missing sorts last, so that a cine without times never displaces one with them.
        """
        return (
            self.series_time or "~",
            self.acquisition_datetime or dt.datetime.max,
            self.instance_number if self.instance_number is not None else 2**31,
            self.sop_uid,
        )
