"""What the Atlas does with findings that were measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited
from angioatlas.cohort_studies import CohortStudies
from angioatlas.cohorts import CohortMembers

if TYPE_CHECKING:
    # The estimators take seconds to import: who searches does without them.
    from angioatlas.probes.study import ProbeResult


class Probes(CohortStudies):
    """Probes of findings; a part of `Atlas`, made like it."""

    @audited(Action.ANALYSE)
    def probe_findings(
        self,
        *,
        cohort: str | CohortMembers | None = None,
        encoder: str | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> ProbeResult:
        """Hold what embeddings, text and heads say of segments against what was measured.

        Parameters
        ----------
        cohort : str, CohortMembers or None
            Every exam of everybody by default.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.
        folds, seed : int
            Of the cross-validation of linear probes.

        Raises
        ------
        LeakageError
            The encoder was trained on patients of the cohort.
        UsageError
            Too few exams have measured findings.
        """
        from angioatlas.probes.study import probe_findings

        chosen = self.choose_cohort(index="every") if cohort is None else cohort
        members, space = self._studied(chosen, encoder)
        return probe_findings(
            self.store,
            members,
            encoder_id=space,
            reader=self._text_reader(space),
            trained_on=self._trained_on(space, members),
            folds=folds,
            seed=seed,
        )
