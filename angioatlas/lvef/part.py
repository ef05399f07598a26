"""What the Atlas does with cohorts whose LVEF was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited
from angioatlas.cohort_studies import CohortStudies
from angioatlas.cohorts import CohortMembers
from angioatlas.predictions import Predictions
from angioatlas.saved_models import ModelFacts, facts_of, first_of_summary, listing
from angioatlas.survey import OnProgress, no_progress
from store.registry import Registry, SavedModel
from store.store import Store, Where

if TYPE_CHECKING:
    # The estimators take seconds to import: who searches does without them.
    from angioatlas.lvef.ask import LvefQuestion
    from angioatlas.lvef.study import LvefResult


class LvefStudies(CohortStudies):
    """LVEF; a part of `Atlas`, made like it."""

    @audited(Action.ANALYSE)
    def lvef(
        self,
        question: LvefQuestion | None = None,
        *,
        cohort: str | CohortMembers | None = None,
        encoder: str | None = None,
        on_step: OnProgress = no_progress,
    ) -> LvefResult:
        """Fit models of LVEF to a cohort and judge them on people they have not seen.

        Parameters
        ----------
        question : LvefQuestion, optional
            What is asked; the defaults when absent.
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
        UsageError
            No exam has a measurement within the window.
        """
        from angioatlas.lvef.ask import LvefQuestion
        from angioatlas.lvef.study import lvef

        asked = question or LvefQuestion()
        members, space = self._studied(cohort, encoder)
        return lvef(
            self.store,
            members,
            asked.plan(),
            asked.options(self._trained_on(space, members)),
            encoder_id=space,
            on_step=on_step,
        )

    @audited(Action.WRITE, "name", "predictors")
    def save_lvef_model(
        self, result: LvefResult, name: str, predictors: str | None = None
    ) -> SavedModel:
        """Save a model that was fitted to the whole cohort.

        By default that of the last set, which has all predictors: no choice by the figures.
        """
        from angioatlas.lvef.study import save_model

        return save_model(self.store, result, name, predictors or [*result.study.verdicts][-1])

    @audited(Action.READ, refusals_only=True)
    def lvef_models(self) -> pd.DataFrame:
        """Describe the saved models, one a row, by name."""
        return listing(
            self.store,
            "lvef",
            lambda told: {
                "predictors": told["predictors"],
                "mae": first_of_summary(told, "mae"),
            },
        )

    @audited(Action.READ, "model", refusals_only=True)
    def lvef_model(self, model: str) -> ModelFacts:
        """Describe one saved model, by its name or id; see `saved_models.facts_of`."""
        return facts_of(self.store, model, "lvef")

    @audited(Action.ANALYSE, "model")
    def predict_lvef(
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
        from angioatlas.lvef.saved import predict

        saved = Registry(self.store.tables).model(model)
        with self._asked(saved, cohort, studies, encoder, most) as asked:
            return predict(self.store, saved, asked)

    @audited(Action.ANALYSE, "model")
    def validate_lvef(
        self,
        model: str,
        *,
        cohort: str | CohortMembers | None = None,
        encoder: str | None = None,
        from_store: Where | None = None,
    ) -> LvefResult:
        """Judge a saved model, of this store or another one, on a cohort of this store."""
        from angioatlas.lvef.saved import validate_saved

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
