"""Up to four cohorts side by side: who they are, how far apart, and what became of them."""

from __future__ import annotations

import streamlit as st

from angioatlas.atlas import Atlas
from dashboard.parts.characteristics import show_characteristics
from dashboard.parts.drawn import drawn_cohort
from dashboard.parts.outcomes import (
    cohorts_choice,
    curve_choice,
    endpoint_choice,
    horizon_choice,
    show_comparison,
)
from dashboard.parts.reports import offer_report, reported
from dashboard.parts.saved_cohorts import nothing_saved
from dashboard.session import remembered


def show_comparing(atlas: Atlas) -> None:
    """Draw the choice of cohorts, and the comparison."""
    listing = atlas.cohorts()
    ids = dict(zip(listing["name"], listing["cohort_id"], strict=True))
    lasso = drawn_cohort(atlas)
    drawn = dict([lasso] if lasso else [])
    if not ids and not drawn:
        nothing_saved()
        return
    with st.container(border=True, key="question"):
        left, right = st.columns(2)
        with left:
            names, rest = cohorts_choice([*drawn, *ids], placeholder="One to four cohorts")
            horizons = horizon_choice((365, 730))
        with right:
            endpoint = endpoint_choice(atlas)
            survival = curve_choice()
    if len(names) + rest < 2:
        st.info("Which cohorts?", icon=":material/compare:")
        st.caption("Next step: name two or more, or one and everybody else")
        return
    chosen = tuple(drawn[each].cohort_id if each in drawn else ids[each] for each in names)
    with st.spinner("Comparing …"):
        found, document = remembered(
            atlas,
            ("comparison", *names, chosen, rest, endpoint, horizons),
            lambda: reported(
                atlas.compare_cohorts(
                    [drawn.get(each, each) for each in names],
                    names=names,
                    rest=rest,
                    endpoint=endpoint,
                    horizons=horizons,
                )
            ),
        )
    st.header("Who they are")
    show_characteristics(found)
    st.header("What became of them")
    show_comparison(found, survival=survival)
    offer_report(document, "cohorts")
