"""What the demo's vectors tell of what happened to its patients, beside the known hazard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analytics.endpoints import endpoint, observe
from analytics.survival.discrimination import harrell
from angioatlas.survival.ask import SurvivalQuestion
from core.errors import UsageError
from phantom.files.truth_tables import StudyTruth

if TYPE_CHECKING:
    from angioatlas.atlas import Atlas

QUESTION: Final = SurvivalQuestion("mace", model="components", horizons_days=(730,))


@dataclass(frozen=True)
class DemoSurvival:
    """How well MACE after the first exam is ordered: 0.5 is chance, 1 perfect.

    Attributes
    ----------
    patients, events : int
    c, lower, upper : float
        Harrell's C of a model of the embedding alone, cross-validated, and its 95 % limits.
    known_c : float
        Of the hazard that the events were drawn from: chance leaves no more to be told.
    """

    patients: int
    events: int
    c: float
    lower: float
    upper: float
    known_c: float


def ask_survival(
    atlas: Atlas, truth: Mapping[str, StudyTruth], *, encoder: str
) -> DemoSurvival | None:
    """Fit and judge a survival model of the demo's cohort; None when it has too few events."""
    cohort = atlas.choose_cohort()
    outcomes = observe(
        cohort.members,
        atlas.labels("events"),
        atlas.labels("follow_up"),
        endpoint(QUESTION.endpoint),
    )
    try:
        study = atlas.survival(QUESTION, cohort=cohort, encoder=encoder).study
    except UsageError:
        return None
    (verdict,) = study.verdicts.values()
    found = verdict.measure("harrell_c")
    hazard = [truth[uid].log_hazard for uid in outcomes.table["study_uid"]]
    return DemoSurvival(
        patients=verdict.patients,
        events=verdict.events,
        c=float(found["estimate"]),
        lower=float(found["lower"]),
        upper=float(found["upper"]),
        known_c=harrell(outcomes.times, hazard).c,
    )
