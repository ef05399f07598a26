"""Operations: what became of inputs and why, what wrote to the store, how good its indexes are."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analytics.report.style import COLOURS, GREY, styled
from angioatlas.atlas import Atlas
from core.errors import AtlasError, NotFoundError
from core.outcomes import Status
from core.schema import Level
from dashboard.charts import chart
from dashboard.session import acting, encoder, literal, remembered, show_error

_PARTS: Final = ("Inputs", "Runs and versions", "Indexes", "Judgements")
_COLOURS: Final = {
    Status.EMBEDDED: COLOURS[0],
    Status.SKIPPED: GREY,
    Status.QUARANTINED: COLOURS[1],
    Status.DUPLICATE: COLOURS[5],
}
_WHEN: Final = st.column_config.DatetimeColumn


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("Operations")
    part = st.segmented_control(
        "Part",
        _PARTS,
        default=_PARTS[0],
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    if part == "Runs and versions":
        _show_runs(atlas)
    elif part == "Indexes":
        _show_indexes(atlas)
    elif part == "Judgements":
        _show_judgements(atlas)
    else:
        _show_inputs(atlas)


def _show_inputs(atlas: Atlas) -> None:
    outcomes = remembered(atlas, "outcomes", atlas.outcomes)
    if outcomes.empty:
        st.info("Nothing was offered to this store yet.", icon=":material/inbox:")
        st.caption("Next step: `angioatlas embed FOLDER --store STORE`")
        return
    info = remembered(atlas, "info", atlas.info)
    with st.container(horizontal=True, gap="large"):
        st.metric("Inputs", f"{info['inputs']:,}", width="content")
        for status in Status:
            st.metric(status.value.title(), f"{info[f'inputs {status}']:,}", width="content")
    reasons = outcomes[outcomes["code"].notna()]
    if reasons.empty:
        st.success("Every input was embedded.", icon=":material/check_circle:")
        return
    told = ", ".join(f"{row.code} {row.inputs:,}" for row in reasons.itertuples())
    chart(_reasons(reasons), alt=f"Inputs that were not embedded, by reason: {told}")
    st.dataframe(
        reasons,
        hide_index=True,
        column_config={
            "status": "Status",
            "code": "Code",
            "inputs": st.column_config.NumberColumn("Inputs", format="localized"),
            "meaning": st.column_config.TextColumn("Meaning", width="medium"),
            "hint": st.column_config.TextColumn("Next step", width="large"),
        },
    )
    _show_quarantine(atlas)


def _reasons(reasons: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    rows = reasons[::-1]
    for status in Status:
        of = rows[rows["status"] == status.value]
        if len(of):
            figure.add_bar(
                x=of["inputs"],
                y=of["code"],
                orientation="h",
                name=status.value,
                marker={"color": _COLOURS[status]},
                text=of["inputs"],
                textposition="auto",
            )
    figure.update_xaxes(title="inputs")
    return styled(figure, height=150 + 26 * len(rows), left=180)


def _show_quarantine(atlas: Atlas) -> None:
    rows = remembered(atlas, "quarantine", atlas.quarantine)
    st.header("Quarantined")
    if rows.empty:
        st.caption("Nothing is quarantined.")
        return
    st.dataframe(
        rows.drop(columns="run_id"),
        hide_index=True,
        column_config={
            "code": "Code",
            "message": st.column_config.TextColumn("What was found", width="large"),
            "hint": st.column_config.TextColumn("Next step", width="large"),
            "study_uid": "Study",
            "sop_uid": "Cine",
        },
    )
    st.caption(
        "Paths may name patients and are not shown here: "
        "`angioatlas store inputs --status quarantined` has them."
    )


def _show_runs(atlas: Atlas) -> None:
    writer = atlas.writing()
    if writer is not None:
        st.warning(
            f"Run {literal(writer.run_id)} writes since {writer.started_at}; its last sign of life "
            f"was at {writer.heartbeat_at}.",
            icon=":material/edit:",
        )
    runs = remembered(atlas, "runs", atlas.runs)
    st.header("Runs")
    if runs.empty:
        st.caption("No run yet. Next step: `angioatlas embed FOLDER --store STORE`")
    else:
        st.dataframe(
            runs,
            hide_index=True,
            column_config={
                "run_id": "Run",
                "started_at": _WHEN("Began (UTC)"),
                "last_commit_at": _WHEN("Last commit (UTC)"),
                "kinds": "Kind",
                "encoder_id": "Encoder",
                "versions": "Versions",
                **{status.value: status.value.title() for status in Status},
            },
        )
        st.caption("How many inputs stand where a run put them: a later run may decide anew.")
    st.header("Store versions that can be read")
    versions = remembered(atlas, "versions", atlas.versions)
    st.dataframe(
        pd.DataFrame(versions, columns=["version", "kind", "created_at", "run_id", "encoder_id"]),
        hide_index=True,
        column_config={
            "version": "Version",
            "kind": "Kind",
            "created_at": _WHEN("Committed (UTC)"),
            "run_id": "Run",
            "encoder_id": "Encoder",
        },
    )


def _show_indexes(atlas: Atlas) -> None:
    facts = [each.as_dict() for each in atlas.indexes()]
    if not facts:
        st.info("No index is saved; searches scan all vectors.", icon=":material/bolt:")
        st.caption("Next step: `angioatlas index build --store STORE`")
    else:
        st.dataframe(
            pd.DataFrame(facts),
            hide_index=True,
            column_config={
                "encoder_id": "Encoder",
                "level": "Level",
                "kind": "Kind",
                "chosen_by": "Chosen by",
                "store_version": "Built from version",
                "rows": st.column_config.NumberColumn("Rows", format="localized"),
                "recall_at_10": st.column_config.NumberColumn("Recall at 10", format="%.3f"),
                "recall_at_10_far": st.column_config.NumberColumn(
                    "Recall at 10, texts", format="%.3f"
                ),
                "memory_mb": "Memory, MB",
                "disk_mb": "Disk, MB",
            },
        )
    st.header("Held against a full scan")
    st.caption("Recall of the searches as they are answered now, filtered and not, and their time.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        level = st.selectbox(
            "Level", [each.value for each in Level], key="level", bind="query-params", width=140
        )
        asked = st.button("Measure", type="primary", icon=":material/speed:")
    key = ("index quality", level, encoder())
    if asked:
        st.session_state[str(key)] = True
    if not st.session_state.get(str(key)):
        return
    try:
        with st.spinner("Searching …"):
            found = remembered(atlas, key, lambda: atlas.index_quality(level, encoder=encoder()))
    except AtlasError as error:
        show_error(error)
        return
    st.dataframe(
        found.table,
        hide_index=True,
        column_config={
            "queries": "Asked with",
            "share": st.column_config.NumberColumn("Share the filter leaves", format="percent"),
            "left": st.column_config.NumberColumn("Rows left", format="localized"),
            "n": "Queries",
            "recall": st.column_config.NumberColumn(f"Recall at {found.k}", format="%.4f"),
            "worst": st.column_config.NumberColumn("Worst query", format="%.2f"),
            "p50_ms": st.column_config.NumberColumn("Median, ms", format="%.2f"),
            "p95_ms": st.column_config.NumberColumn("95th percentile, ms", format="%.2f"),
        },
    )
    for note in found.notes:
        st.caption(literal(note))


def _show_judgements(atlas: Atlas) -> None:
    judgements = atlas.judgements()
    if judgements.empty:
        st.info("Nobody has judged a hit yet.", icon=":material/thumbs_up_down:")
        st.caption("Next step: search, and say of hits whether they are relevant")
        st.page_link("views/search.py", label="Search", icon=":material/search:")
        return
    level = st.segmented_control(
        "Level",
        [each.value for each in Level],
        default=str(judgements["level"].iloc[-1]),
        required=True,
        key="judged",
        bind="query-params",
    )
    try:
        with st.spinner("Ranking …"):
            # Not remembered: a judgement makes no new version of the store.
            found = atlas.evaluate(level=Level(level or Level.STUDY), encoder=encoder())
    except NotFoundError as error:
        show_error(error)
    else:
        st.dataframe(found.table, hide_index=True, column_config=_MEASURES)
        for note in found.notes:
            st.caption(literal(note))
    st.header("What was said")
    shown = ["query", "relevance", "level", "rank", "score", "uid", "created_at"]
    st.dataframe(judgements[shown], hide_index=True, column_config=_SAID)


_MEASURES: Final[dict[str, Any]] = {
    "queries": "Queries",
    "measure": "Measure",
    "value": st.column_config.NumberColumn("Mean", format="%.3f"),
    "lower": st.column_config.NumberColumn("Lower", format="%.3f"),
    "upper": st.column_config.NumberColumn("Upper", format="%.3f"),
    "n": "How many",
}
_SAID: Final[dict[str, Any]] = {
    "query": "Asked with",
    "relevance": st.column_config.NumberColumn("Relevance, 0 to 3"),
    "level": "Level",
    "rank": "Rank",
    "score": st.column_config.NumberColumn("Score", format="%.3f"),
    "uid": "Hit",
    "created_at": _WHEN("Said (UTC)"),
}

show(acting())
