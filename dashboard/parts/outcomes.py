"""What became of cohorts, and of the patients most like one, without any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from angioatlas.atlas import Atlas
from core.errors import AtlasError
from dashboard.charts import chart
from dashboard.parts.layout import open_case
from dashboard.parts.reports import offer_report, reported, show_table
from dashboard.parts.studies import cohort_choice
from dashboard.session import encoder, literal, remembered, show_error

if TYPE_CHECKING:
    from analytics.report.document import Document
    from angioatlas.comparison.comparison import Comparison
    from angioatlas.survival.like import OutcomesLike
    from angioatlas.survival.outcomes import CohortOutcomes

_DAYS: Final = ("30", "90", "180", "365", "730", "1095", "1825")
_MOST: Final = 4
INCIDENCE: Final = "Cumulative incidence"
SURVIVAL: Final = "Kaplan-Meier"
_CURVE_HELP: Final = (
    "Deaths that are no event of the endpoint compete with it: the cumulative incidence counts "
    "them, Kaplan-Meier takes them as censored, and 1 − survival is then too high a risk."
)


def endpoint_choice(atlas: Atlas) -> str:
    """Let an endpoint be chosen, and say what it is made of."""
    endpoints = atlas.survival_endpoints()
    chosen = st.selectbox("Endpoint", [*endpoints], key="endpoint", bind="query-params")
    parts = ", ".join(each.replace("_", " ") for each in endpoints[chosen].components)
    st.caption(f"The first of: {parts}.")
    return str(chosen)


def horizon_choice(default: tuple[int, ...]) -> tuple[int, ...]:
    """Let horizons be chosen; others than those that are offered can be typed."""
    words = st.multiselect(
        "Horizons, days",
        _DAYS,
        default=[str(each) for each in default],
        key="horizons",
        bind="query-params",
        accept_new_options=True,
        help="Days after the index exam; type others.",
    )
    days = {int(each) for each in words if each.isascii() and each.isdecimal() and int(each)}
    return tuple(sorted(days)) or default


def curve_choice(default: str = INCIDENCE) -> bool:
    """Let curves be chosen; tell whether they are of survival, not of incidence."""
    chosen = st.segmented_control(
        "Curves",
        [INCIDENCE, SURVIVAL],
        default=default,
        required=True,
        key="curve",
        bind="query-params",
        help=_CURVE_HELP,
        wrap=True,
    )
    return chosen == SURVIVAL


def cohorts_choice(names: list[str], *, placeholder: str) -> tuple[list[str], bool]:
    """Let up to four cohorts be chosen; return them, and whether everybody else is beside them."""
    chosen = st.multiselect(
        "Cohorts",
        names,
        key="cohorts",
        bind="query-params",
        max_selections=_MOST,
        placeholder=placeholder,
        help="Up to four; each patient counts once, by the first exam of the cohort.",
    )
    rest = st.toggle(
        "and everybody else",
        key="rest",
        bind="query-params",
        disabled=not chosen or len(chosen) == _MOST,
        help="Every patient who is in none of the cohorts; one of four groups at the most.",
    )
    return chosen, bool(rest and 0 < len(chosen) < _MOST)


def show_outcomes(atlas: Atlas) -> None:
    """Draw what became of up to four cohorts, side by side."""
    saved = atlas.cohorts().set_index("name")["cohort_id"]
    with st.container(border=True, key="question"):
        left, right = st.columns(2)
        with left:
            names, rest = cohorts_choice([*saved.index], placeholder="Everybody, by the first exam")
            horizons = horizon_choice((365, 730))
        with right:
            endpoint = endpoint_choice(atlas)
            survival = curve_choice()
    ids = tuple(saved[name] for name in names)
    key = (*names, ids, rest, endpoint, horizons)
    shown: dict[str, Any] = {"endpoint": endpoint, "horizons": horizons}
    with st.spinner("Following the patients …"):
        if len(names) + rest > 1:
            found, document = remembered(
                atlas,
                ("comparison", *key),
                lambda: reported(atlas.compare_cohorts(names, rest=rest, **shown)),
            )
            show_comparison(found, survival=survival)
            offer_report(document, "cohorts")
        else:
            alone = remembered(
                atlas,
                ("outcomes", *key),
                lambda: atlas.cohort_outcomes(next(iter(names), None), **shown),
            )
            show_comparison(alone, survival=survival)


def show_comparison(found: Comparison | CohortOutcomes, *, survival: bool) -> None:
    """Draw what became of groups, or say why that cannot be told.

    Parameters
    ----------
    found : Comparison or CohortOutcomes
    survival : bool
        Draw survival, not incidence; see `curve_choice`.
    """
    if found.outcomes is None:
        told = found.not_told or "what became of them cannot be told"
        st.info(f"{literal(told[0].upper() + told[1:])}.", icon=":material/event_busy:")
        st.caption("Next step: `angioatlas labels import PATH`")
        return
    _show_curves(found, survival)
    if len(found.excluded):
        st.caption("Who could not be followed")
        show_table(found.excluded)
    for each in found.notes:
        st.caption(f"{literal(each[0].upper() + each[1:])}.")


def _show_curves(found: Comparison | CohortOutcomes, survival: bool) -> None:
    from analytics.report.cohorts import (
        followed_table,
        incidence_figure,
        risks_table,
        survival_figure,
        tested,
    )

    fates = found.outcomes
    assert fates is not None
    risks = risks_table(fates)
    column = "Kaplan-Meier, %" if survival else "incidence, %"
    numbers = "; ".join(
        f"{row['group']} at {row['days']} days {row[column]} %" for _, row in risks.iterrows()
    )
    figure = survival_figure(fates) if survival else incidence_figure(fates)
    what = "Survival without the event" if survival else "Cumulative incidence of the event"
    chart(figure, alt=f"{what} by cohort, with the numbers at risk. {numbers}", key="curves")
    if len(fates.groups) > 1:
        st.markdown(f"**{literal(tested(fates))}**")
    st.caption("Risks at the horizons; 95 % intervals in brackets, at risk until just before")
    show_table(risks)
    st.caption("Who was followed; median follow-up by reversed Kaplan-Meier")
    show_table(followed_table(fates))


def show_alike(atlas: Atlas, uid: str) -> None:
    """Draw what became of the patients who are most similar to the one of an exam."""
    st.header("What became of patients most like one")
    st.caption(f"Like study `{literal(uid)}`")
    with st.container(horizontal=True):
        open_case(uid)
        st.page_link("views/survival.py", label="Close", icon=":material/close:")
    with st.container(border=True, key="question"):
        left, right = st.columns(2)
        with left:
            cohort = cohort_choice(atlas)
            horizons = horizon_choice((365, 730))
        with right:
            endpoint = endpoint_choice(atlas)
    try:
        with st.spinner("Looking for patients alike …"):
            found, document = remembered(
                atlas,
                ("alike", uid, cohort, endpoint, horizons, encoder()),
                lambda: reported(
                    atlas.outcomes_like(
                        uid,
                        cohort=cohort.name,
                        endpoint=endpoint,
                        horizons=horizons,
                        encoder=encoder(),
                    )
                ),
            )
    except AtlasError as error:
        show_error(error)
        return
    _show_alike(found, document)


def _show_alike(found: OutcomesLike, document: Document) -> None:
    told = found.facts()
    st.markdown(
        f"**{told['neighbours']} patients** of {told['patients of the cohort']:,}, who count as "
        f"much as {found.effective_size:.0f} equally similar ones; cosines {told['similarity']}."
    )
    st.warning(literal(found.meaning), icon=":material/info:")
    rows = found.horizons
    numbers = "; ".join(
        f"at {row['horizon_days']:.0f} days {100 * row['incidence']:.0f} % "
        f"({100 * row['lower']:.0f} to {100 * row['upper']:.0f}), whole cohort "
        f"{100 * row['cohort_incidence']:.0f} %"
        for _, row in rows.iterrows()
    )
    chart(
        found.figure(),
        alt=f"Cumulative incidence among patients alike and in the whole cohort: {numbers}",
        key="alike",
    )
    for cut in found.outcomes.cut:
        st.warning(f"Not told: {literal(cut)}", icon=":material/event_busy:")
    for section in document.sections:
        if section.title == "Answer":
            st.caption("Cumulative incidence; 95 % intervals in brackets")
            show_table(
                next(b.content for b in section.blocks if isinstance(b.content, pd.DataFrame))
            )
    st.caption("Who they are, without weights, beside the cohort")
    show_table(found.participants)
    for each in found.notes:
        st.caption(f"{literal(each[0].upper() + each[1:])}.")
    offer_report(document, "patients-alike")
