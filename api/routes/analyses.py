"""Analyses: saved models and what they say of exams, outcomes of patients alike, serial exams.

Fitting is the business of the command line and of Python: it takes minutes, and a statistician.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, Depends

from angioatlas.plain_rows import records
from angioatlas.predictions import Predictions
from angioatlas.saved_models import ModelFacts
from api.analysis_schemas import (
    MOST_EXAMS,
    Endpoint,
    Interval,
    LvefModelFacts,
    LvefModelRow,
    LvefPrediction,
    LvefPredictions,
    ModelId,
    NoiseFloor,
    OutcomesLikeThis,
    OutcomesQuery,
    PatientProgression,
    PredictionQuery,
    Risk,
    SerialChange,
    SerialExam,
    SurvivalModelFacts,
    SurvivalModelRow,
    SurvivalPrediction,
    SurvivalPredictions,
)
from api.callers import CallersAtlas, analysis_place
from api.description import Responses, failure
from api.routes.studies import Encoder
from api.schemas import Uid
from api.versions import NOT_MODIFIED, Versioned

router = APIRouter(prefix="/v1", tags=["analyses"])
_PLACE: Final = [Depends(analysis_place, scope="function")]
_UNUSABLE: Final[Responses] = {
    409: failure("The saved model is damaged, or was saved by another version of the software.")
}


@router.get("/survival/endpoints")
def survival_endpoints(atlas: CallersAtlas) -> list[Endpoint]:
    """List what can be asked about the years after an exam."""
    return [
        Endpoint(name=name, events=[*each.components])
        for name, each in atlas.survival_endpoints().items()
    ]


@router.get("/survival/models")
def survival_models(atlas: CallersAtlas) -> list[SurvivalModelRow]:
    """List the saved survival models, by name."""
    return [SurvivalModelRow(**row) for row in records(atlas.survival_models())]


@router.get("/survival/models/{model_id}")
def survival_model(model_id: ModelId, atlas: CallersAtlas) -> SurvivalModelFacts:
    """Show a survival model: what it predicts, from what, for whom, and how well."""
    found = atlas.survival_model(model_id)
    endpoint = found.about["endpoint"]
    return SurvivalModelFacts(
        **_facts(found)
        | {
            "endpoint": Endpoint(name=endpoint["name"], events=endpoint["components"]),
            "horizons_days": found.about["horizons_days"],
            "rules": found.about["rules"],
        }
    )


@router.post("/survival/models/{model_id}/predictions", responses=_UNUSABLE, dependencies=_PLACE)
def predict_survival(
    model_id: ModelId, query: PredictionQuery, atlas: CallersAtlas
) -> SurvivalPredictions:
    """Apply a survival model to single studies, or to the index exams of a cohort."""
    found = atlas.predict_survival(
        model_id, cohort=query.cohort, studies=query.study_uids, most=MOST_EXAMS
    )
    days = found.about["horizons_days"]
    said = [
        SurvivalPrediction(
            **_said(row),
            score=row["score"],
            risks=[Risk(horizon_days=each, risk=row[f"risk_{each}d"]) for each in days],
            risk_group=row["risk_group"],
        )
        for row in records(found.table)
    ]
    return SurvivalPredictions(
        **_predicted(found), endpoint=found.about["endpoint"]["name"], predictions=said
    )


@router.get("/lvef/models")
def lvef_models(atlas: CallersAtlas) -> list[LvefModelRow]:
    """List the saved models of LVEF, by name."""
    return [LvefModelRow(**row) for row in records(atlas.lvef_models())]


@router.get("/lvef/models/{model_id}")
def lvef_model(model_id: ModelId, atlas: CallersAtlas) -> LvefModelFacts:
    """Show a model of LVEF: what it predicts, from what, for whom, and how well."""
    found = atlas.lvef_model(model_id)
    below = "auc_below_"
    areas = {
        name.removeprefix(below): value
        for name, value in found.figures.items()
        if name.startswith(below)
    }
    figures = {**found.figures, "auc_below": areas}
    return LvefModelFacts(**_facts(found) | {"target": found.about["target"], "figures": figures})


@router.post("/lvef/models/{model_id}/predictions", responses=_UNUSABLE, dependencies=_PLACE)
def predict_lvef(model_id: ModelId, query: PredictionQuery, atlas: CallersAtlas) -> LvefPredictions:
    """Apply a model of LVEF to single studies, or to the index exams of a cohort."""
    found = atlas.predict_lvef(
        model_id, cohort=query.cohort, studies=query.study_uids, most=MOST_EXAMS
    )
    levels = [
        name.removeprefix("lower_") for name in found.table.columns if name.startswith("lower_")
    ]
    said = [
        LvefPrediction(
            **_said(row),
            lvef_percent=row["lvef_percent"],
            intervals=[
                Interval(percent=float(at), lower=row[f"lower_{at}"], upper=row[f"upper_{at}"])
                for at in levels
            ],
        )
        for row in records(found.table)
    ]
    return LvefPredictions(**_predicted(found), predictions=said)


@router.post("/studies:outcomes", dependencies=_PLACE)
def outcomes_like(query: OutcomesQuery, atlas: CallersAtlas) -> OutcomesLikeThis:
    """Tell what became of the patients who are most similar to one, beside the whole cohort.

    It describes others, and predicts nothing for the patient, whose own exams do not count.  An
    exam that nobody is like is refused (422, `far_from_all`).
    """
    found = atlas.outcomes_like(
        query.uid,
        endpoint=query.endpoint,
        horizons=query.horizons_days,
        cohort=query.cohort,
        k=query.k,
        encoder=query.encoder,
    )
    return OutcomesLikeThis(
        query_uid=found.query_uid,
        endpoint=Endpoint(name=found.endpoint.name, events=[*found.endpoint.components]),
        encoder_id=found.encoder_id,
        store_version=found.provenance["store_version"],
        effective_size=found.effective_size,
        horizons=records(found.horizons),
        neighbours=records(found.neighbours),
        participants=records(found.participants),
        not_told=[*found.outcomes.cut],
        notes=[*found.notes],
        meaning=found.meaning,
    )


@router.get("/studies/{study_uid}/progression", responses=NOT_MODIFIED, dependencies=_PLACE)
def patient_progression(
    study_uid: Uid, atlas: CallersAtlas, _: Versioned, encoder: Encoder = None
) -> PatientProgression:
    """Show what changed between the exams of the patient of a study, beyond the noise floor.

    The noise floor is that of a study of everybody, measured once for each version of the store:
    the first answer may take long.
    """
    found = atlas.patient_progression(study_uid, encoder=encoder)
    told = found.compared
    return PatientProgression(
        study_uid=found.study_uid,
        patient_id=found.patient_id,
        encoder_id=found.encoder_id,
        store_version=found.store_version,
        exams=[
            SerialExam(**_dated(row), along={name: row[name] for name in told.axes})
            for row in records(told.exams)
        ],
        changes=[SerialChange(**_dated(row)) for row in records(told.pairs)],
        floor=None if told.floor is None else NoiseFloor.model_validate(told.floor),
        notes=[*told.notes],
        not_told=told.not_told,
    )


def _facts(found: ModelFacts) -> dict[str, Any]:
    return {name: value for name, value in asdict(found).items() if name != "about"}


def _predicted(found: Predictions) -> dict[str, Any]:
    return {
        "model_id": found.model_id,
        "name": found.model_name,
        "encoder_id": found.encoder_id,
        "store_version": found.store_version,
    }


def _said(row: dict[str, Any]) -> dict[str, Any]:
    names = ("study_uid", "patient_id", "in_training")
    return {
        **{name: row[name] for name in names},
        "exam_date": row["index_date"],
        "filled_in": row["filled_in"].split(),
    }


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "exam_date": row["date"]}
