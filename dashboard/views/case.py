"""Case: one exam with its cines, its findings, and the cases that are most like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.browse import Timeline
from angioatlas.explain import Explanation, Matched
from angioatlas.findings import EVEN
from angioatlas.hits import Similar
from angioatlas.stenoses import MEASUREMENT
from core.errors import AtlasError, NotFoundError
from core.schema import Level
from core.segments import SEGMENTS
from dashboard.charts import chart
from dashboard.cine import Place, show_cines
from dashboard.parts.judge import judged
from dashboard.parts.layout import cells, open_case
from dashboard.parts.tree import LEGEND, Segment, coronary_tree, in_words
from dashboard.session import acting, encoder, literal, remembered, show_error

_IN_A_ROW: Final = 3
_OFFERED: Final = 50
_MARKS: Final = ("cto", "thrombus", "calcification")


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("Case")
    study_uid = st.query_params.get("study")
    if study_uid is None:
        _ask_which(atlas)
        return
    row = atlas.row(Level.STUDY, study_uid)
    known = remembered(atlas, ("patient", study_uid), lambda: atlas.patient_of(study_uid))
    _show_facts(row, known, study_uid)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        places = _place_cines(atlas, study_uid)
    with right:
        _show_findings(atlas, study_uid, known)
    similar = _ask_similar(atlas, study_uid)
    show_cines(atlas, [*places, *similar])


def _ask_which(atlas: Atlas) -> None:
    st.info("Which exam?", icon=":material/cardiology:")
    given = st.text_input(
        "StudyInstanceUID", help="The original one, or the store's own.", placeholder="2.25.…"
    )
    if given:
        # The address then has the store's own UID, whatever was typed.
        st.query_params["study"] = atlas.resolve(given.strip())
        st.rerun()
    st.page_link("views/search.py", label="Or search for a finding", icon=":material/search:")
    _offer_exams(atlas)


def _offer_exams(atlas: Atlas) -> None:
    """Offer the first exams of the store, to begin somewhere."""
    page = atlas.page(Level.STUDY, limit=_OFFERED)
    if not page.rows:
        st.caption("Nothing is in the store yet. Next step: `angioatlas embed FOLDER`")
        return
    st.markdown("Or one of these:")
    shown = pd.DataFrame(page.rows)[["study_date", "patient_age_years", "patient_sex", "n_videos"]]
    chosen = st.dataframe(
        shown,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "study_date": st.column_config.DateColumn("Date"),
            "patient_age_years": st.column_config.NumberColumn("Age, years", format="%.0f"),
            "patient_sex": "Sex",
            "n_videos": "Cines",
        },
    )
    if chosen.selection.rows:
        st.query_params["study"] = page.rows[chosen.selection.rows[0]]["study_uid"]
        st.rerun()


def _show_facts(row: dict[str, Any], known: Timeline, study_uid: str) -> None:
    exams = [each["study_uid"] for each in known.studies]
    number = exams.index(study_uid)
    age, sex = row["patient_age_years"], row["patient_sex"]
    measured = _lvef(known, study_uid)
    with st.container(horizontal=True, gap="large"):
        st.metric("Exam", str(row["study_date"] or "no date"), width="content")
        st.metric("Age, years", "–" if age is None else f"{age:.0f}", width="content")
        st.metric("Sex", sex or "–", width="content")
        st.metric("Cines", row["n_videos"], width="content")
        if measured is not None:
            st.metric("LVEF, measured", f"{measured:.0f} %", width="content")
        st.metric("Exam of this patient", f"{number + 1} of {len(exams)}", width="content")
    with st.container(horizontal=True):
        for label, at, icon in (
            ("Exam before", number - 1, ":material/chevron_left:"),
            ("Next exam", number + 1, ":material/chevron_right:"),
        ):
            if 0 <= at < len(exams):
                st.page_link(
                    "views/case.py", label=label, icon=icon, query_params={"study": exams[at]}
                )
        if len(exams) > 1:
            st.page_link(
                "views/progression.py",
                label="Follow this patient",
                icon=":material/timeline:",
                query_params={"study": study_uid},
            )
        if known.labels["follow_up"]:
            st.page_link(
                "views/survival.py",
                label="What became of patients like this one",
                icon=":material/monitor_heart:",
                query_params={"like": study_uid},
            )


def _lvef(known: Timeline, study_uid: str) -> float | None:
    rows = [
        each["value"]
        for each in known.labels["measurements"]
        if each["name"] == "lvef_percent" and each["study_uid"] == study_uid
    ]
    return rows[-1] if rows else None


def _place_cines(atlas: Atlas, study_uid: str) -> list[Place]:
    st.header("Cines")
    videos = atlas.videos_of_study(study_uid)
    videos.sort(key=lambda each: (each["series_time"] or "~", each["instance_number"] or 0))
    places = []
    for cell, video in zip(cells(len(videos), in_a_row=_IN_A_ROW), videos, strict=True):
        with cell:
            st.markdown(f"**{video['view']}**")
            places.append(Place(video["sop_uid"], f"view {video['view']}", st.empty()))
            st.caption(_in_words(video))
    return places


def _in_words(video: dict[str, Any]) -> str:
    """Return the angles and the length of a run."""
    primary, secondary = video["primary_angle_deg"], video["secondary_angle_deg"]
    told = []
    if primary is not None and secondary is not None:
        told.append(
            f"{'LAO' if primary >= 0 else 'RAO'} {abs(primary):.0f}°, "
            f"{'cranial' if secondary >= 0 else 'caudal'} {abs(secondary):.0f}°"
        )
    told.append(f"{video['n_frames']} frames")
    if video["frame_time_ms"]:
        told.append(f"{1000 / video['frame_time_ms']:.3g} a second")
    return " · ".join(told)


def _show_findings(atlas: Atlas, study_uid: str, known: Timeline) -> None:
    st.header("Findings")
    sources = {"Read by the encoder's heads": _of_heads(atlas, study_uid)}
    sources["Measured"] = _measured(known, study_uid)
    there = {name: each for name, each in sources.items() if each}
    if not there:
        st.info("Neither finding heads nor measurements say anything of this exam.")
        st.caption("Next step: `angioatlas findings --help`, or import measured stenoses as labels")
        return
    source = next(iter(there))
    if len(there) > 1:
        source = (
            st.segmented_control(
                "From",
                [*there],
                default=source,
                required=True,
                key="from",
                label_visibility="collapsed",
            )
            or source
        )
    segments = there[source]
    chart(coronary_tree(segments), alt=in_words(segments), key="tree")
    st.caption(LEGEND)
    if source == "Measured":
        st.caption("What was not measured on an exam with measured stenoses counts as free.")
    with st.expander("As a table"):
        st.dataframe(_table(there), hide_index=True)


def _of_heads(atlas: Atlas, study_uid: str) -> dict[str, Segment]:
    try:
        found = remembered(
            atlas,
            ("findings", study_uid, encoder()),
            lambda: atlas.findings(study_uid=study_uid, encoder=encoder()),
        )
    except NotFoundError:  # no heads, or none of this study
        return {}
    return {
        row["segment"]: Segment(
            row["stenosis_percent"], tuple(mark for mark in _MARKS if row[mark] >= EVEN)
        )
        for row in found.table.to_dict("records")
    }


def _measured(known: Timeline, study_uid: str) -> dict[str, Segment]:
    found = {
        each["name"].removeprefix(MEASUREMENT): Segment(each["value"])
        for each in known.labels["measurements"]
        if each["study_uid"] == study_uid and each["name"].startswith(MEASUREMENT)
    }
    return {name: found.get(name, Segment(0.0)) for name in SEGMENTS} if found else {}


def _table(sources: dict[str, dict[str, Segment]]) -> pd.DataFrame:
    rows = []
    for name, words in SEGMENTS.items():
        row: dict[str, Any] = {"Segment": words}
        for source, segments in sources.items():
            known = segments.get(name)
            row[f"{source}, %"] = None if known is None else known.stenosis_percent
            if known is not None and known.marks:
                row["Also"] = ", ".join(known.marks)
        rows.append(row)
    return pd.DataFrame(rows).round(0)


def _ask_similar(atlas: Atlas, study_uid: str) -> list[Place]:
    st.header("Similar cases")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        k = st.selectbox("Cases", (3, 5, 10, 20), index=1, key="k", bind="query-params", width=90)
        where = st.text_input(
            "Only where",
            key="where",
            bind="query-params",
            placeholder="lvef_percent < 40",
            width=420,
        )
        own = st.toggle("This patient's other exams, too", key="own", bind="query-params")
    asked: dict[str, Any] = {
        "k": k,
        "where": where or None,
        "exclude_same_patient": not own,
    }
    try:
        with st.spinner("Comparing …"):
            found = remembered(
                atlas,
                ("similar", study_uid, encoder(), *asked.items()),
                lambda: atlas.similar(study_uid, encoder=encoder(), explain=True, **asked),
            )
    except AtlasError as error:
        show_error(error)
        return []
    if not len(found):
        st.info("No other case can be compared.")
        return []
    places = []
    for _, hit in found.hits.iterrows():
        places += _show_hit(atlas, found, study_uid, hit)
    return places


def _show_hit(atlas: Atlas, found: Similar, study_uid: str, hit: Any) -> list[Place]:
    """Draw a hit: the pair of views that counts most side by side, and why it matched."""
    uid = hit["study_uid"]
    why = found.why(uid)
    pairs = sorted(why.matched, key=lambda each: -each.contribution)
    with st.container(border=True, key=f"similar-{hit['rank']}"):
        left, right, told = st.columns([2, 2, 3], gap="medium")
        places = _place_pair(pairs, left, right, int(hit["rank"])) if pairs else []
        with told:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{hit['rank']}**")
                st.badge(f"{hit['score']:.3f}", color="blue", help="Cosine similarity")
                st.markdown(f"{hit['study_date'] or 'no date'} · {hit['n_videos']} cines")
            st.caption(_chance(hit))
            _show_why(why, pairs)
            with st.container(horizontal=True, vertical_alignment="center"):
                open_case(uid)
                judged(
                    atlas,
                    study_uid,
                    uid,
                    level=Level.STUDY,
                    rank=int(hit["rank"]),
                    score=hit["score"],
                )
    return places


def _place_pair(pairs: Sequence[Matched], left: Any, right: Any, rank: int) -> list[Place]:
    best = pairs[0]
    with right:
        st.markdown(f"**This hit** · {best.view}")
        places = [Place(best.sop_uid, f"hit {rank}, view {best.view}", st.empty())]
    with left:
        st.markdown(f"**The case** · {best.query_view}")
        if best.query_sop_uid is not None:
            places.append(
                Place(
                    best.query_sop_uid,
                    f"the case beside hit {rank}, view {best.query_view}",
                    st.empty(),
                )
            )
    return places


def _chance(hit: Any) -> str:
    if pd.isna(hit["chance"]):
        return "How many would score as high by chance cannot be told."
    bound = "less than " if hit["chance_is_bound"] else ""
    return f"By chance {bound}{hit['chance']:.3g} studies of other patients would score as high."


def _show_why(why: Explanation, pairs: Sequence[Matched]) -> None:
    if why.note:
        st.caption(literal(why.note))
    if not pairs:
        return
    st.markdown("**Why it matched**")
    rows = [
        {"Case": each.query_view, "Hit": each.view, "Part of the score": each.contribution}
        for each in pairs
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"Part of the score": st.column_config.NumberColumn(format="%.3f")},
    )
    st.caption(
        "Pairs of views; their parts add up to the score."
        if why.adds_up
        else "What the score would lose without each view of the hit, beside the view of the case "
        "that is most like it. Below 0 the view speaks against."
    )


show(acting())
