"""Texts and cases: which studies or videos are nearest."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from angioatlas.hits import Answer, Found, Similar
from api.callers import CallersAtlas, case_place, text_place
from api.schemas import (
    CaseQuery,
    FoundStudies,
    FoundVideos,
    Parse,
    SimilarStudies,
    SimilarVideos,
    StudyCaseQuery,
    StudyTextQuery,
    TextQuery,
    Why,
)
from core.schema import UID_COLUMN, Level

router = APIRouter(prefix="/v1", tags=["search"])


@router.post("/studies:search", dependencies=[Depends(text_place, scope="function")])
def search_studies(query: StudyTextQuery, atlas: CallersAtlas) -> FoundStudies:
    """Rank the studies that a text describes best."""
    return FoundStudies(**_found(atlas.search(level=Level.STUDY, **query.model_dump())))


@router.post("/videos:search", dependencies=[Depends(text_place, scope="function")])
def search_videos(query: TextQuery, atlas: CallersAtlas) -> FoundVideos:
    """Rank the videos that a text describes best."""
    return FoundVideos(**_found(atlas.search(level=Level.VIDEO, **query.model_dump())))


@router.post("/studies:similar", dependencies=[Depends(case_place, scope="function")])
def similar_studies(query: StudyCaseQuery, atlas: CallersAtlas) -> SimilarStudies:
    """Rank the studies most similar to one in the store."""
    return SimilarStudies(**similar_answer(atlas.similar(level=Level.STUDY, **query.model_dump())))


@router.post("/videos:similar", dependencies=[Depends(case_place, scope="function")])
def similar_videos(query: CaseQuery, atlas: CallersAtlas) -> SimilarVideos:
    """Rank the videos most similar to one in the store."""
    return SimilarVideos(**similar_answer(atlas.similar(level=Level.VIDEO, **query.model_dump())))


def _found(found: Found) -> dict[str, Any]:
    question = found.question
    parse = None if question is None else Parse.model_validate(question)
    return {"text": found.text, "note": found.note, "parse": parse, **_answer(found)}


def similar_answer(found: Similar) -> dict[str, Any]:
    """Return the fields of an answer that says what is similar to something."""
    return {"query_uid": found.query_uid, **_answer(found)}


def _answer(found: Answer) -> dict[str, Any]:
    hits = found.rows()
    if found.explanations:
        for hit in hits:
            hit["why"] = Why.model_validate(found.why(hit[UID_COLUMN[found.level]]))
    return {
        "encoder_id": found.encoder_id,
        "store_version": found.store_version,
        "score": found.score,
        "chance_note": found.chance_note,
        "hits": hits,
    }
