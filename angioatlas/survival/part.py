"""What the Atlas does with cohorts whose patients were followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from numpy.typing import ArrayLike

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.cohort_studies import CohortStudies
from angioatlas.cohorts import CohortMembers, opened
from angioatlas.identities import store_identity
from angioatlas.predictions import Predictions
from angioatlas.saved_models import ModelFacts, facts_of, first_of_summary, listing
from angioatlas.survey import OnProgress, no_progress
from core.errors import UsageError
from store.registry import Registry, SavedModel
from store.store import Store, Where

if TYPE_CHECKING:
    # The estimators take seconds to import: who searches does without them.
    from analytics.endpoints import Endpoint
    from angioatlas.survival.ask import SurvivalQuestion
    from angioatlas.survival.like import OutcomesLike
    from angioatlas.survival.outcomes import CohortOutcomes
    from angioatlas.survival.study import SurvivalResult


class SurvivalStudies(CohortStudies):
    """Survival; a part of `Atlas`, made like it."""

    @audited(Action.ANALYSE, "question")
    def survival(
        self,
        question: SurvivalQuestion | str = "mace",
        *,
        cohort: str | CohortMembers | None = None,
        encoder: str | None = None,
        on_step: OnProgress = no_progress,
    ) -> SurvivalResult:
        """Fit survival models to a cohort and judge them on people they have not seen.

        Parameters
        ----------
        question : SurvivalQuestion or str
            What is asked; a name of an endpoint asks it with the defaults.
        cohort : str, CohortMembers or None
            The first exam of every patient by default.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.
        on_step : callable, optional
            Called with (phase, done, total or None).

        Raises
        ------
        LeakageError
            Something would make the figures too good; the rows are named.
        """
        from angioatlas.survival.ask import SurvivalQuestion
        from angioatlas.survival.study import survival

        asked = SurvivalQuestion(question) if isinstance(question, str) else question
        members, space = self._studied(cohort, encoder)
        table = None
        if asked.covariates is not None:
            table = asked.table(store_identity(self.store.identity, self.settings.identity_key))
        options = asked.options(self._trained_on(space, members), table)
        return survival(
            self.store, members, asked.plan(), options, encoder_id=space, on_step=on_step
        )

    @audited(Action.WRITE, "name", "predictors")
    def save_survival_model(
        self, result: SurvivalResult, name: str, predictors: str | None = None
    ) -> SavedModel:
        """Save a model that was fitted to the whole cohort.

        By default that of the last set, which has all predictors: no choice by the figures.
        """
        from angioatlas.survival.study import save_model

        return save_model(self.store, result, name, predictors or [*result.study.verdicts][-1])

    @audited(Action.READ, refusals_only=True)
    def survival_endpoints(self) -> Mapping[str, Endpoint]:
        """Return what can be asked about, by name."""
        from analytics.endpoints import ENDPOINTS

        return ENDPOINTS

    @audited(Action.READ, refusals_only=True)
    def survival_models(self) -> pd.DataFrame:
        """Describe the saved models, one a row, by name."""
        return listing(
            self.store,
            "survival",
            lambda told: {
                "endpoint": told["endpoint"]["name"],
                "predictors": told["predictors"],
                "c": first_of_summary(told, "c"),
            },
        )

    @audited(Action.READ, "model", refusals_only=True)
    def survival_model(self, model: str) -> ModelFacts:
        """Describe one saved model, by its name or id; see `saved_models.facts_of`."""
        return facts_of(self.store, model, "survival")

    @audited(Action.ANALYSE, "model")
    def predict_survival(
        self,
        model: str,
        *,
        cohort: str | CohortMembers | None = None,
        studies: Sequence[str] | None = None,
        encoder: str | None = None,
        most: int | None = None,
    ) -> Predictions:
        """Apply a saved model to the index exams of a cohort, or to single studies.

        Parameters
        ----------
        model : str
            Its name or id.
        cohort : str, CohortMembers or None
            The first exam of every patient by default.
        studies : sequence of str, optional
            StudyInstanceUIDs, original ones or the store's surrogates, in place of a cohort; as the
            store is now.
        encoder : str, optional
            Needed when the store holds vectors of several encoders, and the model reads none.
        most : int, optional
            Refuse a cohort with more exams than this.

        Raises
        ------
        NotFoundError
            There is no such model, cohort or study.
        TooLargeError
            The cohort has more exams than `most`.
        UsageError
            The model is of another kind, or reads embeddings of another encoder; studies are too
            many, or asked about beside a cohort.
        """
        from angioatlas.survival.saved import predict

        saved = Registry(self.store.tables).model(model)
        with self._asked(saved, cohort, studies, encoder, most) as asked:
            return predict(self.store, saved, asked)

    @audited(Action.ANALYSE, "model")
    def validate_survival(
        self,
        model: str,
        *,
        cohort: str | CohortMembers | None = None,
        encoder: str | None = None,
        from_store: Where | None = None,
    ) -> SurvivalResult:
        """Judge a saved model, of this store or another one, on a cohort of this store."""
        from angioatlas.survival.saved import validate_saved

        source = self.store if from_store is None else Store.open(from_store)
        saved = Registry(source.tables).model(model)
        members, space = self._studied(cohort, encoder)
        return validate_saved(
            self.store,
            saved,
            members,
            encoder_id=space,
            trained_on=self._trained_on(space, members),
        )

    @audited(Action.ANALYSE, "endpoint")
    def cohort_outcomes(
        self,
        cohort: str | CohortMembers | None = None,
        *,
        endpoint: str = "mace",
        horizons: Sequence[int] = (365,),
    ) -> CohortOutcomes:
        """Tell what became of one cohort; `compare_cohorts` tells it of several.

        Parameters
        ----------
        cohort : str, CohortMembers or None
            The first exam of every patient by default.
        endpoint : str
            A name of `analytics.endpoints.ENDPOINTS`.
        horizons : sequence of int
            In days.

        Returns
        -------
        CohortOutcomes
            Without curves, and saying why, where nobody was followed.

        Raises
        ------
        NotFoundError
            There is no such cohort or endpoint.
        """
        from analytics.endpoints import endpoint as endpoint_named
        from analytics.survival.study import horizons_of
        from angioatlas.survival.outcomes import outcomes

        target, days = endpoint_named(endpoint), horizons_of(tuple(horizons))
        members = self.choose_cohort() if cohort is None else cohort
        members = self.cohort(members) if isinstance(members, str) else members
        note(cohort_id=members.cohort_id, store_version=members.store_version)
        with opened(members, self._snapshot_at) as snapshot:
            return outcomes(snapshot, members, endpoint=target, horizons=days)

    @audited(Action.ANALYSE, "endpoint", "k")
    def outcomes_like(
        self,
        study_uid: str | None = None,
        *,
        vector: ArrayLike | None = None,
        endpoint: str = "mace",
        horizons: Sequence[int] = (365,),
        cohort: str | CohortMembers | None = None,
        k: int | None = None,
        encoder: str | None = None,
    ) -> OutcomesLike:
        """Tell what became of the patients who are most similar to one, beside the whole cohort.

        A description of what happened to others, no prediction for the patient.

        Parameters
        ----------
        study_uid : str, optional
            StudyInstanceUID, the original or the store's surrogate; its patient is never among
            those who are compared with.
        vector : array of shape (512,), optional
            The embedding of an exam that is not in the store, in place of `study_uid`.
        endpoint : str
            A name of `analytics.endpoints.ENDPOINTS`.
        horizons : sequence of int
            In days.
        cohort : str, CohortMembers or None
            The first exam of every patient by default.
        k : int, optional
            Neighbours that count; chosen on the cohort by default.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.

        Raises
        ------
        FarFromAllError
            Nobody of the cohort is like the exam.
        LeakageError
            A neighbour has a run of the exam that is asked about.
        NotFoundError
            There is no such exam with a vector, or no such endpoint.
        UsageError
            There is too little to tell from, or not one of `study_uid` and `vector` is given.
        """
        from analytics.endpoints import endpoint as endpoint_named
        from angioatlas.survival import like

        target = endpoint_named(endpoint)
        members, space = self._studied(cohort, encoder)
        if study_uid is not None and vector is None:
            # The exam may be newer than the cohort.
            with self.snapshot() as snapshot:
                query = like.query_of_study(snapshot, self._may_be(study_uid), encoder_id=space)
                note(query_uid=query.study_uid)
        elif vector is not None and study_uid is None:
            query = like.query_of_vector(vector)
        else:
            raise UsageError("which exam is meant?", "give study_uid or vector, one of the two")
        return like.outcomes_like(
            self.store, members, query, endpoint=target, horizons=horizons, k=k, encoder_id=space
        )
