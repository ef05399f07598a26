"""How a survival study was done, in sentences that a reader can check."""

from __future__ import annotations

from typing import Final

from analytics.endpoints import Rules
from analytics.preparation import FILLING
from analytics.report.sides import sides_in_words
from analytics.survival.study import SurvivalStudy

_KINDS: Final = {
    "elastic-net": "Cox's model with an elastic-net penalty",
    "components": "Cox's model on principal components of the embedding",
    "forest": "A random survival forest on principal components of the embedding",
    "boosting": "Gradient boosting of Cox's partial likelihood on principal components",
}
_UNKNOWN_DEATH: Final = {
    "competing": "Deaths of unknown cause compete with the endpoint.",
    "event": "Deaths of unknown cause count as cardiovascular.",
}
_JUDGED: Final = (
    "Harrell's C compares subjects whose risks come from the same model; Uno's C is weighted by "
    "the inverse probability of not being censored, until the last horizon. AUC and Brier score "
    "are weighted likewise, with competing events as non-events. Observed risks are by Aalen and "
    "Johansen. Intervals of C are from the infinitesimal jackknife by patients, those of AUC and "
    "Brier score from bootstrap samples of patients."
)
_GROUPS: Final = (
    "Groups of risk are thirds by thresholds of the training side. No threshold and no "
    "hyper-parameter was chosen with a view of the test side; no class was resampled; the model "
    "was not updated."
)


def protocol_in_words(study: SurvivalStudy) -> list[str]:
    """Return the protocol, one paragraph a string."""
    plan = study.plan
    sets = "; ".join(f"{name}: {', '.join(each)}" for name, each in study.predictors.items())
    return [
        f"Endpoint {plan.endpoint.name}: the first of {', '.join(plan.endpoint.components)}. Time "
        f"runs in days from the index exam. {_follow_up(plan.rules)}",
        f"Predictors, as they were known on the day of the index exam: {sets}. Missing values: "
        f"{FILLING}.",
        sides_in_words(
            study.applied,
            study.split,
            folds=plan.outer_folds,
            spread=", with equal shares of the event",
            kept="groups of risk are by the thresholds",
        ),
        f"{_KINDS[plan.spec.kind]}. Its hyper-parameters were chosen by the cross-validated "
        f"partial likelihood of {plan.spec.inner_folds} folds within the training side. Risks are "
        "cumulative incidences: the hazard of competing events is that of everybody in the "
        "training side.",
        _JUDGED,
        _GROUPS,
        f"Seed {plan.seed}; {plan.repeats} bootstrap samples.",
    ]


def _follow_up(rules: Rules) -> str:
    told = "Events on the day of the exam belong to it."
    if rules.blanking_days:
        told = (
            f"Events until day {rules.blanking_days} belong to the exam; who died or was lost "
            "until then was left out."
        )
    told += " Other deaths are competing events. " + _UNKNOWN_DEATH[rules.unknown_death]
    told += " Follow-up ends with the last known date."
    return told + (
        f" Nothing after {rules.until.isoformat()} was looked at." if rules.until else ""
    )
