"""LVEF: how well the pictures tell it, judged on people whom the models have not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.saved_models import ModelFacts
from core.errors import AtlasError
from dashboard.parts.layout import open_case
from dashboard.parts.models import estimate, offer_to_save, show_models
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
from dashboard.session import acting, encoder, literal, remembered, show_error

if TYPE_CHECKING:
    from analytics.report.document import Document
    from angioatlas.lvef.ask import LvefQuestion
    from angioatlas.lvef.study import LvefResult

TARGET: Final = "lvef_percent"
_STUDY: Final = "study"
_KINDS: Final = ("ridge", "elastic-net", "kernel", "boosting")
_THRESHOLDS: Final = ("30", "35", "40", "45", "50", "55")
_SECTIONS: Final = (
    *("Agreement", "Calibration", "Thresholds", "Prediction intervals", "Subgroups"),
    *("Participants", "Protocol", "Checks", "TRIPOD+AI", "Provenance"),
)


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("LVEF")
    if not in_store(atlas):
        return
    asked = st.query_params.get(_STUDY)
    if asked:
        _show_exam(atlas, asked)
    if TARGET not in atlas.clinical_predictors():
        st.info("No ejection fraction is in the store: there is nothing to learn from.")
        st.caption("Next step: `angioatlas labels import PATH` (measurements, lvef_percent)")
    else:
        _study(atlas)
    show_models(atlas.lvef_models(), atlas.lvef_model, _about, kind="lvef")


def _study(atlas: Atlas) -> None:
    cohort, question, ready = _question(atlas)
    found = fitted(
        atlas,
        ("lvef", question, cohort.cohort_id, encoder()),
        lambda on_step: atlas.lvef(
            question, cohort=cohort.name, encoder=encoder(), on_step=on_step
        ),
        ready=ready,
    )
    if found is not None:
        _show_result(atlas, *found)


def _question(atlas: Atlas) -> tuple[Chosen, LvefQuestion, bool]:
    # It takes a second to import: the page is there before.
    from angioatlas.lvef.ask import LvefQuestion

    with st.container(border=True, key="question"):
        left, right = st.columns(2)
        with left:
            cohort = cohort_choice(atlas)
            kind = st.selectbox("Model", _KINDS, key="kind", bind="query-params")
            below = st.multiselect(
                "Thresholds, %",
                _THRESHOLDS,
                default=["40", "50"],
                key="below",
                bind="query-params",
                help="How well people below each of these are told from the others.",
            )
        with right:
            predictors = predictor_choice(atlas, without=(TARGET,))
            method = st.text_input(
                "Measured by",
                key="method",
                bind="query-params",
                placeholder="Any method; or echo, ventriculography …",
            )
    question = LvefQuestion(
        method=method or None,
        thresholds=tuple(sorted(float(each) for each in below)),
        model=kind,
        sets=predictors.sets,
        clinical=predictors.clinical,
    )
    return cohort, question, predictors.ready


def _show_result(atlas: Atlas, result: LvefResult, document: Document) -> None:
    study = result.study
    rows = [
        (name, _figures(verdict, row))
        for (name, verdict), (_, row) in zip(
            study.verdicts.items(), study.summary().iterrows(), strict=True
        )
    ]
    verdict = study.first
    st.header("How good the predictions are")
    st.markdown(
        f"{verdict.rows:,} exams of {verdict.patients:,} patients. All figures are of people whom "
        "the models had not seen."
    )
    show_figures(rows)
    for cut in verdict.cut:
        st.warning(f"Threshold not judged, for want of data: {literal(cut)}")
    with st.container(horizontal=True):
        offer_report(document, "lvef")
        offer_to_save(
            atlas,
            [*study.models],
            lambda name, of: atlas.save_lvef_model(result, name, of),
            kind="lvef",
        )
    numbers = "; ".join(
        f"{name}: mean absolute error {figures[0].value} ({figures[0].below})"
        for name, figures in rows
    )
    show_sections(document, _SECTIONS, numbers=numbers)


def _figures(verdict: Any, row: Any) -> list[Figure]:
    """Return the main figures of a `Verdict` and its row of `LvefStudy.summary`."""
    error, limits = with_limits(row, "mae", digits=1)
    inside, width = (verdict.measure(name, 0.9) for name in ("coverage", "width"))
    areas = verdict.measures[verdict.measures["measure"] == "auc"]
    return [
        Figure(
            "Mean absolute error",
            f"{error} %",
            f"{limits} %",
            "Of people whom the model had not seen, in percent of ejection.",
        ),
        Figure(
            "Error of the mean",
            f"{row['mae_of_mean']:.1f} %",
            "one value for all",
            "The error of who says the training side's mean of everybody.",
        ),
        Figure(
            "Bias",
            f"{signed(row['bias'], 1)} %",
            f"limits {signed(row['lower'], 0)} to {signed(row['upper'], 0)} %",
            "Predicted − measured, with limits of agreement: bias ± 1.96 standard deviations "
            "(Bland and Altman).",
        ),
        *(
            Figure(
                f"AUC below {area['at']:g} %",
                *with_limits(
                    {
                        "auc": area["estimate"],
                        "auc_lower": area["lower"],
                        "auc_upper": area["upper"],
                    },
                    "auc",
                ),
                f"How well those below {area['at']:g} % are told from the others; 0.5 is chance.",
            )
            for _, area in areas.iterrows()
        ),
        Figure(
            "In the 90 % interval",
            f"{100 * inside['estimate']:.0f} %",
            f"{width['estimate']:.0f} % wide",
            "Share of people whose measured value lies in the conformal interval.",
        ),
    ]


def _show_exam(atlas: Atlas, uid: str) -> None:
    """Show what a saved model says of one exam."""
    with st.container(border=True, key="exam"):
        st.header("What a saved model says of one exam")
        st.caption(f"Study `{literal(uid)}`")
        with st.container(horizontal=True):
            open_case(uid)
            st.page_link("views/lvef.py", label="Close", icon=":material/close:")
        models = atlas.lvef_models()
        if models.empty:
            st.info("No model of LVEF is saved yet.", icon=":material/inventory_2:")
            st.caption("Next step: fit one below, and save it.")
            return
        name = st.selectbox("By the model", [*models["name"]], key="by", bind="query-params")
        try:
            with st.spinner("Asking the model …"):
                said = remembered(
                    atlas,
                    ("lvef of", uid, name, encoder()),
                    lambda: atlas.predict_lvef(name, studies=[uid], encoder=encoder()),
                )
        except AtlasError as error:
            show_error(error)
            return
        row = said.table.iloc[0]
        st.metric(
            "LVEF, predicted",
            f"{row[TARGET]:.0f} %",
            f"90 % interval {row['lower_90']:.0f} to {row['upper_90']:.0f} %",
            delta_color="off",
            delta_arrow="off",
            help="The interval holds on average over patients, not for every kind of patient.",
        )
        if row["in_training"]:
            st.warning(
                "The model was fitted to a cohort with this patient: it says too well.",
                icon=":material/warning:",
            )
        elif row["in_training"] is None:
            st.caption(
                "Whether the model was fitted to this patient, too, is not known: its cohort was "
                "never saved."
            )
        if row["filled_in"]:
            st.caption(f"Not known of the exam, and filled in: {literal(row['filled_in'])}")


def _about(model: ModelFacts) -> dict[str, str]:
    target, figures = model.about["target"], model.figures
    by = f" by {target['method']}" if target.get("method") else " by any method"
    areas = "".join(
        f"; AUC {name.replace('_', ' ').removeprefix('auc ')} % {value:.2f}"
        for name, value in figures.items()
        if name.startswith("auc_below") and value is not None
    )
    mean = figures.get("mae_of_mean")
    beside = "" if mean is None else f"; the mean of everybody is off by {mean:.1f} %"
    return {
        "Predicts": (
            f"LVEF in percent{by}, measured within {target['window_days']} days of the exam"
        ),
        "On people it had not seen": (
            f"mean absolute error {estimate(figures, 'mae', digits=1)} %{beside}{areas}"
        ),
    }


show(acting())
