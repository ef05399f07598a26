"""What the Atlas does with several cohorts: tells them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.cohort_studies import CohortStudies
from angioatlas.cohorts import CohortMembers

if TYPE_CHECKING:
    # The estimators take seconds to import: who searches does without them.
    from analytics.endpoints import Rules
    from angioatlas.comparison.comparison import Comparison


class Comparing(CohortStudies):
    """Cohorts side by side; a part of `Atlas`, made like it."""

    @audited(Action.ANALYSE, "endpoint", "rest")
    def compare_cohorts(
        self,
        cohorts: Sequence[str | CohortMembers],
        *,
        names: Sequence[str] | None = None,
        rest: bool = False,
        endpoint: str = "mace",
        horizons: Sequence[int] = (365,),
        rules: Rules | None = None,
    ) -> Comparison:
        """Tell who is in several cohorts, and what became of them.

        Parameters
        ----------
        cohorts : sequence of str or CohortMembers
            Saved ones by name or id, and others as they were chosen; each is read as of its own
            store version, each patient once in each, by the first exam.
        names : sequence of str, optional
            What the cohorts are called; their own names by default.
        rest : bool
            Compare with everybody else, too: the first exam of every patient who is in no cohort,
            of the newest cohort's store version.  There are up to four groups in all.
        endpoint : str
            A name of `analytics.endpoints.ENDPOINTS`.
        horizons : sequence of int
            In days.
        rules : Rules, optional
            How follow-up is read.

        Returns
        -------
        Comparison
            Without outcomes, and saying why, where nobody of a group was followed.

        Raises
        ------
        NotFoundError
            There is no such cohort or endpoint.
        UsageError
            Groups are too few, too many or of nobody, or two have one name.
        """
        from analytics.endpoints import Rules
        from analytics.endpoints import endpoint as endpoint_named
        from analytics.survival.study import horizons_of
        from angioatlas.comparison.comparison import compare

        target, days = endpoint_named(endpoint), horizons_of(tuple(horizons))
        chosen = [self.cohort(each) if isinstance(each, str) else each for each in cohorts]
        found = compare(
            self.store,
            chosen,
            self._snapshot_at,
            names=names,
            rest=rest,
            endpoint=target,
            horizons=days,
            rules=rules or Rules(),
        )
        note(
            cohort_id=" ".join(each.cohort_id for each in chosen),
            store_version=found.store_versions[-1],
        )
        return found
