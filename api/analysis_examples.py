"""Requests and answers of analyses as they look, for the API's description."""

from __future__ import annotations

from typing import Any, Final

from api.example_ids import ENCODER, OTHER_UID, PATIENT, STUDY_UID
from core.provenance import RESEARCH_USE

_MODEL_ID: Final = "5f0c1d2e3b4a5968778869504132a3b4c5d6e7f80123456789abcdef01234567"
_COHORT_ID: Final = "0123456789abcdef012345675f0c1d2e3b4a5968778869504132a3b4c5d6e7f8"
_MODEL: Final[dict[str, Any]] = {
    "model_id": _MODEL_ID,
    "name": "mace-women",
    "predictors": "both",
    "encoder_id": ENCODER,
    "cohort_id": _COHORT_ID,
    "created_at": "2025-03-02T08:00:00Z",
}
_FACTS: Final[dict[str, Any]] = _MODEL | {
    "clinical": ["age_years", "sex"],
    "cohort": "women",
    "made_with": {"angioatlas": "0.1.0", "scikit-survival": "0.28.0"},
    "notice": RESEARCH_USE,
}
_SAID: Final[dict[str, Any]] = {
    "study_uid": STUDY_UID,
    "patient_id": PATIENT,
    "exam_date": "2025-03-01",
    "in_training": False,
    "filled_in": [],
}
_PREDICTED: Final[dict[str, Any]] = {
    "model_id": _MODEL_ID,
    "name": "mace-women",
    "encoder_id": ENCODER,
    "store_version": 7,
    "notice": RESEARCH_USE,
}
_ENDPOINT: Final = {"name": "mace", "events": ["death_cardiovascular", "mi", "stroke"]}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "Endpoint": _ENDPOINT,
    "SurvivalModelRow": _MODEL | {"endpoint": "mace", "c": 0.71},
    "SurvivalModelFacts": _FACTS
    | {
        "endpoint": _ENDPOINT,
        "horizons_days": [365, 730],
        "rules": {"blanking_days": 0, "until": None, "unknown_death": "competing"},
        "fitted_to": {"exams": 700, "patients": 700, "events": 190, "competing": 41},
        "figures": {
            "c": 0.71,
            "c_lower": 0.68,
            "c_upper": 0.74,
            "horizon_days": 730,
            "auc": 0.75,
            "auc_lower": 0.71,
            "auc_upper": 0.79,
            "observed_to_expected": 1.02,
            "slope": 0.95,
            "brier": 0.16,
        },
    },
    "LvefModelRow": _MODEL | {"name": "lvef-all", "mae": 5.2},
    "LvefModelFacts": _FACTS
    | {
        "name": "lvef-all",
        "target": {
            "name": "lvef_percent",
            "method": "echo",
            "window_days": 30,
            "thresholds": [40.0, 50.0],
        },
        "fitted_to": {"exams": 561, "patients": 220},
        "figures": {
            "mae": 5.2,
            "mae_lower": 4.9,
            "mae_upper": 5.5,
            "mae_of_mean": 11.8,
            "rmse": 6.6,
            "r2": 0.74,
            "bias": 0.1,
            "lower": -12.8,
            "upper": 13.0,
            "slope": 1.02,
            "coverage_90": 0.89,
            "auc_below": {"40": 0.97, "50": 0.95},
        },
    },
    "PredictionQuery": {"study_uids": ["1.2.840.113619.2.55.3"]},
    "SurvivalPredictions": _PREDICTED
    | {
        "endpoint": "mace",
        "predictions": [
            _SAID
            | {
                "score": 0.42,
                "risks": [{"horizon_days": 365, "risk": 0.11}, {"horizon_days": 730, "risk": 0.19}],
                "risk_group": 1,
            }
        ],
    },
    "LvefPredictions": _PREDICTED
    | {
        "name": "lvef-all",
        "predictions": [
            _SAID
            | {
                "lvef_percent": 47.3,
                "intervals": [{"percent": 90.0, "lower": 36.8, "upper": 57.8}],
            }
        ],
    },
    "OutcomesQuery": {"uid": "1.2.840.113619.2.55.3", "endpoint": "mace", "horizons_days": [365]},
    "OutcomesLikeThis": {
        "query_uid": STUDY_UID,
        "endpoint": _ENDPOINT,
        "encoder_id": ENCODER,
        "store_version": 7,
        "effective_size": 68.4,
        "horizons": [
            {
                "horizon_days": 365,
                "incidence": 0.14,
                "lower": 0.08,
                "upper": 0.24,
                "events": 13,
                "competing": 2,
                "at_risk": 78,
                "effective_at_risk": 53.1,
                "cohort_incidence": 0.1,
                "cohort_lower": 0.08,
                "cohort_upper": 0.12,
                "cohort_at_risk": 604,
            }
        ],
        "neighbours": [
            {
                "study_uid": OTHER_UID,
                "similarity": 0.83,
                "weight": 0.02,
                "time_days": 741,
                "state": 0,
            }
        ],
        "participants": [{"what": "exams", "neighbours": "100", "cohort": "699"}],
        "not_told": [],
        "notes": [],
        "meaning": "What happened to the most similar patients of this store.",
        "notice": RESEARCH_USE,
    },
    "PatientProgression": {
        "study_uid": STUDY_UID,
        "patient_id": PATIENT,
        "encoder_id": ENCODER,
        "store_version": 7,
        "exams": [
            {
                "study_uid": OTHER_UID,
                "number": 1,
                "exam_date": "2023-02-11",
                "years": 0.0,
                "treatment": "",
                "along": {"disease": 0.4},
            },
            {
                "study_uid": STUDY_UID,
                "number": 2,
                "exam_date": "2025-03-01",
                "years": 2.05,
                "treatment": "pci",
                "along": {"disease": -0.3},
            },
        ],
        "changes": [
            {
                "prior_uid": OTHER_UID,
                "study_uid": STUDY_UID,
                "prior_date": "2023-02-11",
                "exam_date": "2025-03-01",
                "days": 749,
                "treatment": "pci",
                "treated_segments": ["mid_lad"],
                "events": 1,
                "change": 0.38,
                "score": 2.2,
                "p": 0.012,
                "beyond": True,
                "toward_disease": -1.8,
                "known_segments": 17,
                "new_disease": 0,
                "worsened": 0,
                "max_increase": 3.1,
                "net_change": 6.5,
                "treated_change": -61.0,
                "progressed": False,
            }
        ],
        "floor": {"source": "unchanged pairs", "patients": 31, "threshold": 0.17},
        "notes": ["stenoses of segments are from measurements"],
        "not_told": "",
        "notice": RESEARCH_USE,
    },
}
"""By the name of the model."""
