"""Who is in groups, side by side, and how far apart they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from dashboard.charts import chart
from dashboard.session import literal

if TYPE_CHECKING:
    from angioatlas.comparison.comparison import Comparison

_HEAD_PX: Final = 38
_ROW_PX: Final = 35
_MOST_PX: Final = 900
_FIRST_PX: Final = 300
_GROUP_PX: Final = 120
_DOTS_PX: Final = 415


def show_characteristics(found: Comparison) -> None:
    """Draw the table of characteristics with standardised differences, and these as dots."""
    # It takes a second to import: the page is there before.
    from analytics.report.cohorts import CONVENTION, DIFFERENCES, differences_figure

    with st.container(horizontal=True, gap="large"):
        for each in found.groups:
            exams = f", {each.studies:,} exams" if each.studies > each.patients else ""
            st.metric(
                literal(each.name),
                f"{each.patients:,} patients",
                help=f"Of store version {each.store_version}{exams}",
                width="content",
            )
    # As wide as it needs to be; the dots go below where there is no room beside it.
    wide = _FIRST_PX + _GROUP_PX * len(found.groups)
    row = st.container(horizontal=True)
    with row.container(width=wide):
        table = found.characteristics
        st.dataframe(
            # In words: as a number, an infinite one would look like one that is not known.
            table.assign(smd=[_two_digits(value) for value in table["smd"]]),
            hide_index=True,
            column_config={
                "characteristic": st.column_config.TextColumn("Characteristic", width="medium"),
                "smd": st.column_config.TextColumn("SMD", width="small"),
            },
            height=min(_HEAD_PX + _ROW_PX * len(table), _MOST_PX),
        )
        st.caption(CONVENTION)
    with row.container(width=_DOTS_PX):
        largest = found.balance.largest().dropna().sort_values(ascending=False)
        told = ", ".join(f"{name} {value:.2f}" for name, value in largest.items())
        figure = differences_figure(found.balance)
        chart(figure, alt=f"{DIFFERENCES} {told}", key="differences")
        st.caption(DIFFERENCES)


def _two_digits(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"
