"""Studies, their videos and findings, and what is known of their patients."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from angioatlas.plain_rows import records
from api.callers import CallersAtlas
from api.paging import Cursor, Limit, cursor_of, uid_of
from api.schemas import (
    MOST_TEXT,
    EncoderName,
    PatientTimeline,
    Resolve,
    Resolved,
    SegmentFinding,
    Study,
    StudyFindings,
    StudyPage,
    Uid,
    Video,
    VideoPage,
)
from api.versions import NOT_MODIFIED, Versioned
from core.schema import Level

router = APIRouter(prefix="/v1", tags=["studies"])
Where = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MOST_TEXT,
        description="Only what this predicate holds for.",
        examples=["n_videos >= 2"],
    ),
]
Encoder = Annotated[
    EncoderName | None,
    Query(description="Needed where the store has several encoders."),
]
Heads = Annotated[
    EncoderName | None,
    Query(description="Needed where the store has findings of several sets of heads."),
]


@router.get("/studies", responses=NOT_MODIFIED)
def studies(
    atlas: CallersAtlas,
    _: Versioned,
    limit: Limit = 100,
    cursor: Cursor = None,
    where: Where = None,
    encoder: Encoder = None,
) -> StudyPage:
    """List studies, a page at a time."""
    found = atlas.page(Level.STUDY, after=uid_of(cursor), limit=limit, where=where, encoder=encoder)
    return StudyPage(
        studies=[Study(**row) for row in found.rows],
        next=cursor_of(found.last),
        store_version=found.store_version,
    )


@router.get("/videos", responses=NOT_MODIFIED)
def videos(
    atlas: CallersAtlas,
    _: Versioned,
    limit: Limit = 100,
    cursor: Cursor = None,
    where: Where = None,
    encoder: Encoder = None,
) -> VideoPage:
    """List videos, a page at a time."""
    found = atlas.page(Level.VIDEO, after=uid_of(cursor), limit=limit, where=where, encoder=encoder)
    return VideoPage(
        videos=[Video(**row) for row in found.rows],
        next=cursor_of(found.last),
        store_version=found.store_version,
    )


@router.post("/uids:resolve")
def resolve(query: Resolve, atlas: CallersAtlas) -> Resolved:
    """Tell the store's own UID of a study or video, so that no URL has to hold the original."""
    return Resolved(uid=atlas.resolve(query.uid, query.level), level=query.level)


@router.get("/studies/{study_uid}", responses=NOT_MODIFIED)
def study(study_uid: Uid, atlas: CallersAtlas, _: Versioned) -> Study:
    """Show one study."""
    return Study(**atlas.row(Level.STUDY, study_uid))


@router.get("/studies/{study_uid}/videos", responses=NOT_MODIFIED)
def videos_of_study(study_uid: Uid, atlas: CallersAtlas, _: Versioned) -> list[Video]:
    """Show the videos of a study."""
    return [Video(**row) for row in atlas.videos_of_study(study_uid)]


@router.get("/studies/{study_uid}/findings", responses=NOT_MODIFIED)
def findings(
    study_uid: Uid,
    atlas: CallersAtlas,
    _: Versioned,
    encoder: Encoder = None,
    heads: Heads = None,
) -> StudyFindings:
    """Show what finding heads say of each segment of a study."""
    atlas.row(Level.STUDY, study_uid)
    found = atlas.findings(study_uid=study_uid, encoder=encoder, heads=heads)
    return StudyFindings(
        study_uid=study_uid,
        encoder_id=found.encoder_id,
        heads_id=found.heads_id,
        findings=[SegmentFinding(**row) for row in records(found.table)],
    )


@router.get("/studies/{study_uid}/timeline", responses=NOT_MODIFIED)
def timeline(study_uid: Uid, atlas: CallersAtlas, _: Versioned) -> PatientTimeline:
    """Show what is known of the patient of a study: exams, events, measurements, procedures."""
    return PatientTimeline.model_validate(vars(atlas.patient_of(study_uid)))


@router.get("/videos/{sop_uid}", responses=NOT_MODIFIED)
def video(sop_uid: Uid, atlas: CallersAtlas, _: Versioned) -> Video:
    """Show one video."""
    return Video(**atlas.row(Level.VIDEO, sop_uid))
