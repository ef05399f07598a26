"""Progression: how a patient changed from exam to exam, and how patients who came again do."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import streamlit as st

from analytics.report.course import course, in_words, pair_table, trajectory
from analytics.report.document import Document
from angioatlas.atlas import Atlas
from angioatlas.progression.course import PatientProgression
from angioatlas.progression.study import ProgressionResult
from core.errors import UsageError
from core.schema import Level
from dashboard.charts import chart
from dashboard.parts.layout import say_empty
from dashboard.parts.reports import offer_report, p_value, section_of, show_blocks, show_section
from dashboard.parts.side_by_side import CHOICES, show_side_by_side
from dashboard.session import acting, encoder, literal, remembered, show_error

_PATIENT, _POPULATION = "One patient", "Population"
_PART: Final = "part"
_STUDY: Final = "study"
_FOLLOWED: Final = "followed study"
_MEASURED: Final = "measured progressions"


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("Progression")
    uid = st.query_params.get(_STUDY)
    _arrive(uid)
    part = st.segmented_control(
        "Part",
        [_PATIENT, _POPULATION],
        default=_PATIENT,
        required=True,
        key=_PART,
        bind="query-params",
        label_visibility="collapsed",
    )
    if not atlas.holdings().encoders:
        say_empty()
    elif part == _POPULATION:
        _population(atlas)
    elif uid:
        _patient(atlas, uid)
    else:
        _choose(atlas)


def _arrive(uid: str | None) -> None:
    """Where the address leads to another patient, let only what it says itself be chosen."""
    if uid and uid != st.session_state.get(_FOLLOWED):
        st.session_state[_FOLLOWED] = uid
        for name in (_PART, *CHOICES):
            if name not in st.query_params:
                st.session_state.pop(name, None)


def _choose(atlas: Atlas) -> None:
    """List who came again, by no name."""
    with st.spinner("Comparing exams with those before them …"):
        again = remembered(
            atlas, ("came again", encoder()), lambda: atlas.came_again(encoder=encoder())
        )
    if again.empty:
        st.info("No patient has two exams with a date and a vector.", icon=":material/event_busy:")
        st.caption("Next step: `angioatlas embed FOLDER --store STORE` with later exams")
        return
    st.markdown("Who came again, most changed first. **Select a row** to follow that patient.")
    shown = again.assign(
        who=[
            f"Patient with {row.exams} exams, {row.first} … {row.last}"
            for row in again.itertuples()
        ],
        beyond=_beyond(again),
        treatment=[_treatment(each) for each in again["treatment"]],
    )
    columns = ["who", "score", "beyond", "treatment", "changes_beyond"]
    event = st.dataframe(
        shown[columns],
        hide_index=True,
        column_config=_AGAIN_COLUMNS,
        on_select="rerun",
        selection_mode="single-row",
        key="came again",
    )
    if again["score"].isna().all():
        st.caption("There are too few exams for a noise floor, so change is not scored.")
    else:
        st.caption(
            "Change is in units of the noise floor: 1 is what one unchanged patient in twenty "
            "exceeds."
        )
    if rows := event["selection"]["rows"]:
        _follow(again["study_uid"].iloc[rows[0]])
        st.rerun()


_AGAIN_COLUMNS: Final[dict[str, Any]] = {
    "who": st.column_config.TextColumn("Who", width="large"),
    "score": st.column_config.NumberColumn("Last change", format="%.2f"),
    "beyond": "Noise floor",
    "treatment": "Done between the last two",
    "changes_beyond": st.column_config.NumberColumn(
        "Times beyond", help="Pairs of exams whose change is beyond the noise floor"
    ),
}


def _follow(study_uid: str | None) -> None:
    """Put a patient into the address, by an exam, or none; nothing of another one stays there."""
    for name in CHOICES:
        st.session_state.pop(name, None)
    if study_uid is None:
        st.query_params.pop(_STUDY, None)
    else:
        st.query_params[_STUDY] = study_uid


def _patient(atlas: Atlas, uid: str) -> None:
    st.button("All who came again", icon=":material/arrow_back:", on_click=_follow, args=(None,))
    with st.spinner("Comparing exams with those before them …"):
        found = remembered(
            atlas,
            ("patient progression", uid, encoder()),
            lambda: atlas.patient_progression(atlas.resolve(uid), encoder=encoder()),
        )
    told = found.compared
    if told.not_told:
        st.info(literal(told.not_told[:1].upper() + told.not_told[1:]) + ".")
        st.caption("Next step: `angioatlas embed FOLDER --store STORE` with more dated exams")
    pairs = told.pairs
    st.header("Course")
    chart(course(found.dated, told.exams, pairs), alt=_course_alt(found), key="course")
    if told.floor is not None:
        st.caption(
            f"1 is the noise floor: what one unchanged patient in twenty exceeds, by "
            f"{told.floor.source} of {told.floor.patients} patients "
            f"(1 − cosine of {told.floor.threshold:.3f})."
        )
    if len(pairs):
        _pairs(pairs)
    if told.axes and len(told.exams) > 1:
        st.header("Trajectory")
        chart(
            trajectory(told.exams, told.axes, found.dated),
            alt=f"Where {len(told.exams)} exams stand along {', '.join(told.axes)}.",
            key="trajectory",
        )
        st.caption("Up is worse; 0 is the mean of exams. Dotted lines: procedures.")
    for each in told.notes:
        st.caption(literal(f"{each[:1].upper()}{each[1:]}."))
    if len(told.exams) > 1:
        st.header("Exams side by side")
        show_side_by_side(atlas, told.exams)
    offer_report(found.document(), "patient-progression")


def _course_alt(found: PatientProgression) -> str:
    told = found.compared
    changes = (
        [
            f"change of {score:.2f} {'beyond' if beyond else 'within'} the noise floor by {date}"
            for score, beyond, date in told.pairs[["score", "beyond", "date"]].itertuples(
                index=False
            )
        ]
        if told.floor is not None
        else []
    )
    done = [
        f"{in_words(kind, what)} on {date}"
        for date, kind, what in found.dated[["date", "kind", "what"]].itertuples(index=False)
        if kind in ("procedure", "event")
    ]
    return "; ".join([f"Timeline of {len(told.exams)} exams", *changes, *done]) + "."


def _pairs(pairs: pd.DataFrame) -> None:
    shown = pair_table(pairs).assign(
        treatment=[
            in_words("procedure", " ".join([kind, *segments])) if kind else "none"
            for kind, segments in pairs[["treatment", "treated_segments"]].itertuples(index=False)
        ]
    )
    if "score" in pairs:
        shown = shown.assign(beyond=_beyond(pairs), p=[p_value(p) for p in pairs["p"]])
    st.dataframe(
        shown.drop(columns="change", errors="ignore"), hide_index=True, column_config=_PAIR_COLUMNS
    )


_PAIR_COLUMNS: Final[dict[str, Any]] = {
    "prior_date": st.column_config.DateColumn("Exam before"),
    "date": st.column_config.DateColumn("Exam"),
    "days": st.column_config.NumberColumn("Days"),
    "treatment": st.column_config.TextColumn("Done in between", width="medium"),
    "score": st.column_config.NumberColumn(
        "Change", format="%.2f", help="1 − cosine, in units of the noise floor"
    ),
    "p": st.column_config.TextColumn("p", help="How often unchanged exams differ by as much"),
    "beyond": "Noise floor",
    "toward_disease": st.column_config.NumberColumn(
        "Toward disease", format="%+.2f", help="Standard deviations of unchanged pairs; up is worse"
    ),
    "new_disease": st.column_config.NumberColumn(
        "New disease", format="%d", help="Untreated segments that cross 50 % diameter stenosis"
    ),
    "worsened": st.column_config.NumberColumn(
        "Worsened", format="%d", help="Untreated segments that grew by more than 20 points"
    ),
}


def _beyond(rows: pd.DataFrame) -> list[str]:
    """Say of rows with a score whether it is beyond the noise floor; nothing without a score."""
    return [
        "" if pd.isna(score) else "beyond" if beyond else "within"
        for score, beyond in rows[["score", "beyond"]].itertuples(index=False)
    ]


def _treatment(kinds: str) -> str:
    return kinds.upper().replace("+", " and ") or "none"


def _population(atlas: Atlas) -> None:
    """Measure a cohort, and show its report."""
    maps = atlas.maps()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cohort = st.selectbox(
            "Cohort",
            [*atlas.cohorts()["name"]],
            index=None,
            placeholder="Everybody",
            key="cohort",
            bind="query-params",
            help="With every exam of its patients: cohort create NAME --index every",
            width=260,
        )
        on_map = st.selectbox(
            "Follow on",
            [*maps["name"][maps["level"] == Level.STUDY.value]] if len(maps) else [],
            index=None,
            placeholder="Principal components",
            key="map",
            bind="query-params",
            width=260,
        )
        pressed = st.button("Measure", type="primary", icon=":material/straighten:")
    wanted = ("progression", cohort, on_map, encoder())
    # What was measured once is shown again at once, until the store is another one.
    asked: set[Any] = st.session_state.setdefault(_MEASURED, set())
    if pressed:
        asked.add((atlas.position(), wanted))
    if (atlas.position(), wanted) not in asked:
        st.info(
            "Every exam is held against the one before it, and change against what exams of "
            "unchanged arteries differ by.",
            icon=":material/timeline:",
        )
        st.caption("Next step: press **Measure**. It takes seconds, minutes for large stores.")
        return
    try:
        with st.spinner("Measuring change, drawing samples of patients …"):
            found = remembered(
                atlas,
                wanted,
                lambda: atlas.progression(cohort=cohort, on_map=on_map, encoder=encoder()),
            )
    except UsageError as error:
        asked.discard((atlas.position(), wanted))
        show_error(error)
        return
    document = remembered(atlas, (*wanted, "document"), found.document)
    _show_study(found, document, cohort or "everybody")


def _show_study(found: ProgressionResult, document: Document, cohort: str) -> None:
    rates, floor = found.study.rates, found.study.floor
    (whole,) = rates[rates["group"] == "all"].to_dict("records")
    (who, *tables) = section_of(document, "Summary").blocks
    with st.container(horizontal=True, gap="large"):
        st.metric("Pairs of exams", whole["pairs"], width="content")
        st.metric("Patients", whole["patients"], width="content")
        st.metric(
            "Noise floor",
            f"{floor.threshold:.3f}",
            help=f"1 − cosine, by {floor.source} of {floor.patients} patients",
            width="content",
        )
    alt = str(who.content)
    show_blocks([who, *tables], alt=alt, key="summary")
    for title in ("Change", "Disease", "Before and after PCI", "Trajectories", "Years and events"):
        show_section(section_of(document, title), alt=alt, key=title)
    for title in ("Participants", "Protocol", "Provenance"):
        with st.expander(title):
            show_blocks(section_of(document, title).blocks, alt=alt, key=title)
    offer_report(document, f"progression-{cohort}")


show(acting())
