"""Survival: what became of cohorts, and models that predict it, judged on people not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.saved_models import ModelFacts
from dashboard.parts.models import estimate, offer_to_save, show_models
from dashboard.parts.outcomes import endpoint_choice, horizon_choice, show_alike, show_outcomes
from dashboard.parts.reports import offer_report, show_sections
from dashboard.parts.studies import (
    Chosen,
    Figure,
    cohort_choice,
    fitted,
    in_store,
    predictor_choice,
    show_figures,
    signed,
    with_limits,
)
from dashboard.session import acting, encoder, literal

if TYPE_CHECKING:
    from analytics.report.document import Document
    from angioatlas.survival.ask import SurvivalQuestion
    from angioatlas.survival.study import SurvivalResult

_LIKE: Final = "like"
_OUTCOMES: Final = "Outcomes"
_MODEL: Final = "Model"
_KINDS: Final = ("elastic-net", "components", "forest", "boosting")
_SECTIONS: Final = (
    *("Risk groups", "Discrimination", "Calibration", "Decision curves", "Subgroups"),
    *("Participants", "Protocol", "Checks", "TRIPOD+AI", "Provenance"),
)


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("Survival")
    if not in_store(atlas):
        return
    asked = st.query_params.get(_LIKE)
    if asked:
        show_alike(atlas, asked)
        return
    part = st.segmented_control(
        "Part",
        [_OUTCOMES, _MODEL],
        default=_OUTCOMES,
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    if part == _MODEL:
        _model(atlas)
        show_models(atlas.survival_models(), atlas.survival_model, _about, kind="survival")
    else:
        show_outcomes(atlas)


def _model(atlas: Atlas) -> None:
    cohort, question, ready = _question(atlas)
    found = fitted(
        atlas,
        ("survival", question, cohort.cohort_id, encoder()),
        lambda on_step: atlas.survival(
            question, cohort=cohort.name, encoder=encoder(), on_step=on_step
        ),
        ready=ready,
    )
    if found is not None:
        _show_result(atlas, *found)


def _question(atlas: Atlas) -> tuple[Chosen, SurvivalQuestion, bool]:
    # It takes a second to import: the page is there before.
    from angioatlas.survival.ask import SurvivalQuestion

    with st.container(border=True, key="question"):
        left, right = st.columns(2)
        with left:
            cohort = cohort_choice(atlas)
            endpoint = endpoint_choice(atlas)
            horizons = horizon_choice((30, 180, 365, 730))
        with right:
            predictors = predictor_choice(atlas)
            kind = st.selectbox("Model", _KINDS, key="kind", bind="query-params")
    question = SurvivalQuestion(
        endpoint=endpoint,
        horizons_days=horizons,
        model=kind,
        sets=predictors.sets,
        clinical=predictors.clinical,
    )
    return cohort, question, predictors.ready


def _show_result(atlas: Atlas, result: SurvivalResult, document: Document) -> None:
    study = result.study
    rows = [(row["predictors"], _figures(row)) for _, row in study.summary().iterrows()]
    verdict = study.first
    st.header("How good the predictions are")
    st.markdown(
        f"{verdict.subjects:,} exams of {verdict.patients:,} patients, {verdict.events:,} events, "
        f"{verdict.competing:,} competing events. All figures are of people whom the models had "
        "not seen."
    )
    show_figures(rows)
    if verdict.cut:
        told = "; ".join(verdict.cut)
        st.warning(f"Not judged, for want of data: {literal(told)}.", icon=":material/event_busy:")
    with st.container(horizontal=True):
        offer_report(document, f"survival-{study.plan.endpoint.name}")
        offer_to_save(
            atlas,
            [*study.models],
            lambda name, of: atlas.save_survival_model(result, name, of),
            kind="survival",
        )
    numbers = "; ".join(f"{name}: C {own[0].value} ({own[0].below})" for name, own in rows)
    show_sections(document, _SECTIONS, numbers=numbers)


def _figures(row: Any) -> list[Figure]:
    """Return the main figures of a row of `SurvivalStudy.summary`."""
    days = f"{row['horizon_days']:.0f} days"
    return [
        Figure(
            "Harrell's C",
            *with_limits(row, "c"),
            "Of two people, how often the one with the earlier event has the higher predicted "
            "risk; 0.5 is chance.",
        ),
        Figure(
            f"AUC at {days}",
            *with_limits(row, "auc"),
            "The same of those with an event until then and those followed without; 0.5 is chance.",
        ),
        Figure(
            "Observed : expected",
            signed(row["observed_to_expected"], 2),
            f"at {days}; 1 is right",
            "Above 1 the predicted risks are too low.",
        ),
        Figure(
            "Calibration slope",
            signed(row["slope"], 2),
            f"at {days}; 1 is right",
            "Below 1 the predicted risks are too extreme.",
        ),
        Figure(
            "Brier score",
            signed(row["brier"], 3),
            f"at {days}; 0 is best",
            "Mean squared error of the predicted risk.",
        ),
    ]


def _about(model: ModelFacts) -> dict[str, str]:
    endpoint, rules, figures = model.about["endpoint"], model.about["rules"], model.figures
    days = ", ".join(map(str, model.about["horizons_days"]))
    parts = ", ".join(each.replace("_", " ") for each in endpoint["components"])
    blanking = rules.get("blanking_days") or 0
    judged = f"C {estimate(figures, 'c')}"
    if figures.get("horizon_days") is not None:
        judged += (
            f"; at {figures['horizon_days']:.0f} days AUC {estimate(figures, 'auc')}, observed : "
            f"expected {estimate(figures, 'observed_to_expected')}, calibration slope "
            f"{estimate(figures, 'slope')}"
        )
    return {
        "Predicts": (
            f"{endpoint['name']}, the first of {parts}: the risk until {days} days after the exam"
            + (f", from day {blanking} on" if blanking else "")
        ),
        "On people it had not seen": judged,
    }


show(acting())
