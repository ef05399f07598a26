"""The cohort explorer: which pages there are, and what stands on all of them.

    angioatlas dashboard --store atlas

Research use only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

from angioatlas.browse import Holdings
from core.provenance import RESEARCH_USE
from dashboard.charts import is_dark
from dashboard.session import ENCODER, acting, logs_in, offer_log_out, told

PAGES: Final = {
    "Find": {
        "search": ("Search", ":material/search:"),
        "case": ("Case", ":material/cardiology:"),
    },
    "Group": {
        "map": ("Map", ":material/scatter_plot:"),
        "cohort": ("Cohort", ":material/groups:"),
    },
    "Analyse": {
        "survival": ("Survival", ":material/monitor_heart:"),
        "lvef": ("LVEF", ":material/speed:"),
        "progression": ("Progression", ":material/timeline:"),
    },
    "Keep": {"operations": ("Operations", ":material/inventory_2:")},
}
"""By heading, the file of each page in `views/`, its name and its sign."""
_ICON: Final = Path(__file__).with_name("icon.png")
_ON_PRIMARY: Final = """<style>
button[kind^="primary"], [data-testid="stMultiSelectTagsContainer"] [data-tag] {
    color: #0E151C;
}
</style>"""
"""Streamlit writes white on them, which nobody can read on the light blue of the dark theme."""


def main() -> None:
    """Draw what every page has, and the page."""
    # A file: Streamlit's own signs for a browser's tab are fetched from elsewhere.
    st.set_page_config(page_title="AngioAtlas", page_icon=_ICON, layout="wide")
    st.logo(_ICON, size="large")
    if is_dark():
        st.html(_ON_PRIMARY)
    with told():
        atlas = acting()
        holdings = atlas.holdings()
    pages = {
        heading: [
            st.Page(
                f"views/{name}.py", title=title, icon=icon, url_path=name, default=name == "search"
            )
            for name, (title, icon) in each.items()
        ]
        for heading, each in PAGES.items()
    }
    page = st.navigation(pages)
    _sidebar(holdings, atlas.principal.name)
    _notice(holdings)
    with told():
        page.run()


def _notice(holdings: Holdings) -> None:
    spaces = [*holdings.encoders]
    chosen = st.session_state.get(ENCODER) or (spaces[0] if len(spaces) == 1 else None)
    space = f"Encoder `{chosen}`" if chosen else "No encoder yet"
    st.caption(f"**{RESEARCH_USE}** · {space} · store version {holdings.store_version}")


def _sidebar(holdings: Holdings, name: str) -> None:
    with st.sidebar:
        spaces = [*holdings.encoders]
        if len(spaces) > 1:
            st.selectbox("Encoder", spaces, key=ENCODER, bind="query-params")
        st.caption(f"{holdings.studies:,} studies, {holdings.videos:,} videos")
        if logs_in():
            st.caption(f"Logged in as {name}")
            offer_log_out()


main()
