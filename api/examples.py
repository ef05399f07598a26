"""Requests and answers as they look, for the API's description; a test holds them to the models."""

from __future__ import annotations

from typing import Any, Final

from api import analysis_examples
from api.cohort_schemas import COHORT_EXAMPLES
from api.example_ids import ENCODER, OTHER_UID, PATIENT, STUDY_UID
from core.provenance import RESEARCH_USE

_SOP_UID: Final = "2.25.122725645241487897520359558480343780939"
_OTHER_SOP_UID: Final = "2.25.132038638636721947696705448720513546924"
_STUDY: Final[dict[str, Any]] = {
    "study_uid": STUDY_UID,
    "patient_id": PATIENT,
    "patient_known": True,
    "study_date": "2025-03-01",
    "patient_age_years": 67.0,
    "patient_sex": "F",
    "site": None,
    "n_videos": 2,
}
_VIDEO: Final[dict[str, Any]] = {
    "sop_uid": _SOP_UID,
    "study_uid": STUDY_UID,
    "series_uid": None,
    "patient_id": PATIENT,
    "view": "RAO cranial",
    "transfer_syntax_uid": "1.2.840.10008.1.2.4.70",
    "acquisition_datetime": "2025-03-01T10:15:00",
    "series_time": "101500",
    "instance_number": 3,
    "primary_angle_deg": -30.0,
    "secondary_angle_deg": 25.0,
    "n_frames": 75,
    "frame_time_ms": 66.7,
    "rows": 512,
    "columns": 512,
}
_WHY: Final[dict[str, Any]] = {
    "adds_up": True,
    "matched": [
        {
            "query_sop_uid": _SOP_UID,
            "query_view": "RAO cranial",
            "sop_uid": _OTHER_SOP_UID,
            "view": "RAO cranial",
            "contribution": 0.42,
        }
    ],
    "note": None,
}
_HIT: Final[dict[str, Any]] = {
    "rank": 1,
    "score": 0.87,
    "chance": 0.02,
    "chance_is_bound": False,
    "patient_id": "p_0a1b2c3d4e5f60718293",
    "study_uid": OTHER_UID,
    "why": _WHY,
}
_STUDY_HIT: Final = _HIT | {"study_date": "2024-11-12", "n_videos": 2}
_VIDEO_HIT: Final = _HIT | {"sop_uid": _OTHER_SOP_UID, "view": "RAO cranial", "n_frames": 60}
_ANSWER: Final[dict[str, Any]] = {
    "encoder_id": ENCODER,
    "store_version": 7,
    "score": "study",
    "chance_note": None,
    "notice": RESEARCH_USE,
}
_FOUND: Final[dict[str, Any]] = _ANSWER | {
    "text": "proximal LAD occlusion",
    "note": None,
    "parse": {
        "parts": [
            {
                "words": "proximal LAD occlusion",
                "read": "occlusion of prox_lad",
                "use": "encoded",
                "where": None,
            }
        ],
        "notes": [],
    },
}
_SIMILAR_STUDIES: Final = _ANSWER | {"query_uid": STUDY_UID, "hits": [_STUDY_HIT]}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    **COHORT_EXAMPLES,
    "StudyTextQuery": {
        "text": "severe stenosis of the proximal LAD",
        "k": 5,
        "where": "age > 60 and sex = 'F'",
        "one_per_patient": True,
    },
    "TextQuery": {"text": "severe stenosis of the proximal LAD", "k": 5},
    "StudyCaseQuery": {"uid": STUDY_UID, "k": 5, "exclude_same_patient": True},
    "CaseQuery": {"uid": _SOP_UID, "k": 5},
    "Resolve": {"uid": "1.2.840.113619.2.55.3", "level": "study"},
    "Resolved": {"uid": STUDY_UID, "level": "study"},
    "FoundStudies": _FOUND | {"hits": [_STUDY_HIT]},
    "FoundVideos": _FOUND | {"hits": [_VIDEO_HIT]},
    "SimilarStudies": _SIMILAR_STUDIES,
    "SimilarVideos": _ANSWER | {"query_uid": _SOP_UID, "hits": [_VIDEO_HIT]},
    "Study": _STUDY,
    "Video": _VIDEO,
    "StudyPage": {"studies": [_STUDY], "next": "Mi4yNS4yMTM1MjI1ODQ1", "store_version": 7},
    "VideoPage": {"videos": [_VIDEO], "next": None, "store_version": 7},
    "StudyFindings": {
        "study_uid": STUDY_UID,
        "encoder_id": ENCODER,
        "heads_id": "heads-1",
        "findings": [
            {
                "segment": "prox_lad",
                "stenosis_percent": 85.0,
                "stenosis": 0.91,
                "calcification": 0.2,
                "cto": 0.03,
                "thrombus": 0.01,
            }
        ],
        "notice": RESEARCH_USE,
    },
    "PatientTimeline": {
        "patient_id": PATIENT,
        "studies": [_STUDY],
        "labels": {"measurements": [{"name": "lvef_percent", "value": 45.0, "unit": "%"}]},
        "store_version": 7,
    },
    "StoreFacts": {
        "store_version": 7,
        "studies": 120,
        "videos": 480,
        "encoders": [{"encoder_id": ENCODER, "heads": ["heads-1"]}],
        "software_version": "0.1.0",
        "notice": RESEARCH_USE,
    },
    "Version": {
        "version": 7,
        "kind": "embed",
        "created_at": "2025-03-02T08:00:00Z",
        "encoder_id": ENCODER,
    },
    "Health": {"status": "ok"},
    "ExamJob": {
        "job_id": "9f86d081884c4d659a2feaa0c55ad015",
        "status": "done",
        "phase": "embed",
        "done": 4,
        "total": 4,
        "answer": _SIMILAR_STUDIES,
        "failure": None,
    },
    "Problem": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "no study 1.2.3 in store version 7",
        "hint": "",
        "request_id": "3b5d5c3712955042212316173ccf37be",
        "errors": [],
    },
    **analysis_examples.EXAMPLES,
}
"""By the name of the model."""
