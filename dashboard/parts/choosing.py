"""Choosing a cohort: a filter without SQL, who is left after each step, and a name for it."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pandas as pd
import streamlit as st

from analytics.cohort import WHICH, IndexRule, NobodyLeftError
from angioatlas.atlas import Atlas
from angioatlas.cohorts import CohortMembers
from core.errors import UsageError
from dashboard.charts import chart
from dashboard.parts.filters import (
    ANYWHERE,
    SUBJECTS,
    Condition,
    Subject,
    Value,
    clause,
    columns_of,
    joined,
    offered,
    places,
)
from dashboard.parts.ways import offer_to_save
from dashboard.session import encoder, literal, remembered, show_error

_FILTER: Final = "who"
_BARS_PX: Final = 545
_STEPS_PX: Final = 410
_EXAMPLE: Final = "patient_sex = 'F' and lvef_percent < 40"
_INDEX_HELP: Final = (
    "Of those exams of a patient that fulfil the rest. From its day on patients are followed. "
    "With every exam a patient counts several times."
)
_FIRST_DAY: Final = dt.date(1900, 1, 1)
_LAST_DAY: Final = dt.date(2199, 12, 31)
"""Dates may be shifted: no day is too early or too late to be asked for."""
_COLUMNS: Final[dict[str, Any]] = {
    "name": "Column",
    "kind": "Holds",
    "known": st.column_config.NumberColumn("Known of", format="percent"),
    "values": st.column_config.ListColumn("Values"),
}


def show_choosing(atlas: Atlas) -> None:
    """Draw the filter, and whom it chooses."""
    space = encoder()
    columns = remembered(atlas, ("columns", space), lambda: atlas.cohort_columns(encoder=space))
    with st.container(border=True, key="filter"):
        _build(columns)
        where = st.text_area(
            "Filter",
            key=_FILTER,
            bind="query-params",
            placeholder=_EXAMPLE,
            height=96,
            help="What counts is this text; it may be edited. Empty, it leaves everybody in.",
        )
        rule = _index_rule()
    try:
        with st.spinner("Choosing …"):
            cohort = remembered(
                atlas,
                ("choose", where, rule, space),
                lambda: atlas.choose_cohort(
                    where=where.strip() or None, index=rule, encoder=space, any_sql=False
                ),
            )
    except NobodyLeftError as error:
        show_error(error)
    except UsageError as error:
        _show_refusal(error)
        _show_columns(columns, expanded=True)
    else:
        show_attrition(cohort)
        offer_to_save(
            atlas,
            "women-ef-below-40",
            lambda name: atlas.choose_cohort(
                where=where.strip() or None, index=rule, encoder=space, name=name, any_sql=False
            ),
        )
        _show_columns(columns, expanded=False)


def _build(columns: pd.DataFrame) -> None:
    """Draw one condition in words, which a click adds to the filter."""
    known = columns.set_index("name")
    known = known[known["known"] > 0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.selectbox("What", offered(known.index), key="what", width=220)
        if words is None:
            return
        subject = SUBJECTS[words]
        place = ANYWHERE
        if subject.of_segment:
            place = st.selectbox("In", places(), key="in", width=220)
        # Keys name the subject: each remembers what was said of it.
        how = st.selectbox("Is", subject.conditions, key=f"how {words}", width=150)
        values = _values(words, subject, how, known)
        said = clause(columns_of(subject, place), how, values)
        st.button("Add", icon=":material/add:", on_click=_add, args=(said,), type="primary")


def _add(said: str) -> None:
    st.session_state[_FILTER] = joined(st.session_state.get(_FILTER) or "", said)


def _values(words: str, subject: Subject, how: Condition, known: pd.DataFrame) -> list[Value]:
    if how in (Condition.FOUND, Condition.NOT_FOUND):
        return []
    labels = ["from", "to"] if how is Condition.BETWEEN else ["value"]
    return [_value(words, subject, label, known) for label in labels]


def _value(words: str, subject: Subject, label: str, known: pd.DataFrame) -> Value:
    key, shown = f"{label} {words}", label.capitalize()
    if subject.kind == "number":
        return float(
            st.number_input(
                shown, value=float(subject.start), step=1.0, format="%g", key=key, width=130
            )
        )
    if subject.kind == "date":
        return st.date_input(shown, min_value=_FIRST_DAY, max_value=_LAST_DAY, key=key, width=150)
    values: tuple[str, ...] = known["values"][subject.column]
    if values:
        return str(st.selectbox(shown, values, key=key, width=150))
    return st.text_input(shown, key=key, width=200)


def _index_rule() -> IndexRule:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = st.segmented_control(
            "Exam of a patient that counts",
            WHICH,
            default=WHICH[0],
            required=True,
            key="index",
            bind="query-params",
            help=_INDEX_HELP,
        )
        least = st.number_input(
            "Cines, at least", min_value=1, value=1, key="cines", bind="query-params", width=130
        )
        since, until = (
            st.date_input(
                label,
                value=None,
                min_value=_FIRST_DAY,
                max_value=_LAST_DAY,
                key=key,
                bind="query-params",
                width=150,
            )
            for label, key in (("Exam since", "since"), ("Exam until", "until"))
        )
    return IndexRule(which or WHICH[0], int(least), since, until)


def _show_refusal(error: UsageError) -> None:
    """Say what is wrong with a filter; the columns that there are follow as a table."""
    told = error.message[:1].upper() + error.message[1:].rstrip(".!")
    st.error(f"{literal(told)}.", icon=":material/error:")
    st.caption(
        f"Next step: correct the filter; it compares columns with values, such as `{_EXAMPLE}`"
    )


def _show_columns(columns: pd.DataFrame, *, expanded: bool) -> None:
    with st.expander("Columns that a filter may name", expanded=expanded):
        st.dataframe(columns, hide_index=True, column_config=_COLUMNS)


def show_attrition(cohort: CohortMembers) -> None:
    """Draw who was left after each step."""
    from analytics.report.cohorts import attrition_figure

    steps, about = cohort.attrition, cohort.about()
    with st.container(horizontal=True, gap="large"):
        st.metric("Exams", f"{about['studies']:,}", width="content")
        st.metric("Patients", f"{about['patients']:,}", width="content")
        if cohort.removed:
            st.metric("Deleted since", f"{cohort.removed:,}", width="content")
    row = st.container(horizontal=True)
    with row.container(width=_BARS_PX):
        told = "; ".join(
            f"{row.step}: {row.studies:,} studies, {row.patients:,} patients"
            for row in steps.itertuples()
        )
        chart(attrition_figure(steps), alt=f"Who was left after each step. {told}", key="attrition")
    with row.container(width=_STEPS_PX):
        st.dataframe(
            steps,
            hide_index=True,
            column_config={
                "step": st.column_config.TextColumn("Step", width="medium"),
                "studies": st.column_config.NumberColumn("Studies", format="localized"),
                "patients": st.column_config.NumberColumn("Patients", format="localized"),
            },
        )
