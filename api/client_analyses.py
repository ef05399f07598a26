"""The client's methods for analyses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from api.analysis_schemas import (
    Endpoint,
    LvefModelFacts,
    LvefModelRow,
    LvefPredictions,
    OutcomesLikeThis,
    PatientProgression,
    SurvivalModelFacts,
    SurvivalModelRow,
    SurvivalPredictions,
)
from api.client_connection import Connection, given, in_path
from api.client_options import OutcomesOptions


class AnalysisCalls(Connection):
    """Saved models and what they say, outcomes of patients alike, serial exams.

    A part of `api.client.Client`.
    """

    def survival_endpoints(self) -> list[Endpoint]:
        """List what can be asked about the years after an exam."""
        return self._get("/v1/survival/endpoints", list[Endpoint])

    def survival_models(self) -> list[SurvivalModelRow]:
        """List the saved survival models, by name."""
        return self._get("/v1/survival/models", list[SurvivalModelRow])

    def survival_model(self, model_id: str) -> SurvivalModelFacts:
        """Return what a survival model is, and how good."""
        return self._get(f"/v1/survival/models/{in_path(model_id)}", SurvivalModelFacts)

    def predict_survival(
        self,
        model_id: str,
        study_uids: Sequence[str] | None = None,
        *,
        cohort: str | None = None,
    ) -> SurvivalPredictions:
        """Apply a survival model to single studies, or to the index exams of a cohort.

        With neither, to the first exam of every patient.
        """
        at = f"/v1/survival/models/{in_path(model_id)}/predictions"
        return self._post(at, _exams(study_uids, cohort), SurvivalPredictions)

    def lvef_models(self) -> list[LvefModelRow]:
        """List the saved models of LVEF, by name."""
        return self._get("/v1/lvef/models", list[LvefModelRow])

    def lvef_model(self, model_id: str) -> LvefModelFacts:
        """Return what a model of LVEF is, and how good."""
        return self._get(f"/v1/lvef/models/{in_path(model_id)}", LvefModelFacts)

    def predict_lvef(
        self,
        model_id: str,
        study_uids: Sequence[str] | None = None,
        *,
        cohort: str | None = None,
    ) -> LvefPredictions:
        """Apply a model of LVEF likewise."""
        at = f"/v1/lvef/models/{in_path(model_id)}/predictions"
        return self._post(at, _exams(study_uids, cohort), LvefPredictions)

    def outcomes_like(self, uid: str, **options: Unpack[OutcomesOptions]) -> OutcomesLikeThis:
        """Tell what became of the patients who are most similar to one.

        Raises
        ------
        ApiError
            With code `far_from_all` where nobody is like the exam.
        """
        return self._post("/v1/studies:outcomes", {"uid": uid, **options}, OutcomesLikeThis)

    def patient_progression(
        self, study_uid: str, *, encoder: str | None = None
    ) -> PatientProgression:
        """Return what changed between the exams of the patient of a study."""
        at = f"/v1/studies/{in_path(study_uid)}/progression"
        return self._get(at, PatientProgression, encoder=encoder)


def _exams(study_uids: Sequence[str] | None, cohort: str | None) -> dict[str, object]:
    return given(study_uids=None if study_uids is None else [*study_uids], cohort=cohort)
