"""Search: a finding in words, how it was read, and the cases that it describes best, playing."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.clinical import Part, Ranks
from angioatlas.hits import Found
from core.errors import UsageError
from core.schema import UID_COLUMN, Level
from dashboard.cine import Place, show_cines
from dashboard.parts.judge import judged
from dashboard.parts.layout import cells, open_case, say_empty
from dashboard.session import acting, encoder, literal, remembered, show_error

EXAMPLES: Final = (
    "proximal LAD occlusion",
    "severe mid RCA stenosis",
    "calcified LAD",
    "left main stenosis, EF < 40",
)
_RANKS: Final = {
    Ranks.PROMPT: "ranks",
    Ranks.NEGATIVE: "counts against a case",
    Ranks.PLAIN: "ranks as plain text",
}
_LEVELS: Final = {"Studies": Level.STUDY, "Single cines": Level.VIDEO}
_BOTH: Final = (*_LEVELS,)
_IN_A_ROW: Final = 4
_HITS: Final = (8, 12, 20, 40)
_WITHOUT: Final = "without"
_FILTER_HELP: Final = (
    "A predicate over age, sex, date, n_videos, n_views, lvef_percent, exam_number, findings such "
    "as prox_lad_stenosis_percent; of videos also view."
)


def show(atlas: Atlas) -> None:
    """Draw the page."""
    st.title("Search")
    text = st.text_input(
        "Finding in words",
        key="q",
        bind="query-params",
        type="search",
        placeholder="proximal LAD occlusion",
        help="English or French; places, findings, percentages, negations, ejection fraction.",
    )
    level, wanted = _options()
    if not atlas.holdings().encoders:
        say_empty()
        return
    if not (text and text.strip()):
        _invite()
        return
    without = _without(text)
    asked: dict[str, Any] = {**wanted, "level": level, "without": without}
    try:
        with st.spinner("Searching …"):
            found = remembered(
                atlas,
                ("search", text, encoder(), *asked.items()),
                lambda: atlas.search(text, encoder=encoder(), explain=True, **asked),
            )
    except UsageError as error:
        if not without:
            raise
        show_error(error)
        st.button("Use all of it again", on_click=_use_all)
        return
    _show_reading(found, without)
    _show_hits(atlas, found)


def _options() -> tuple[Level, dict[str, Any]]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        level = st.segmented_control(
            "Look for",
            _BOTH,
            default=_BOTH[0],
            required=True,
            key="level",
            bind="query-params",
        )
        k = st.selectbox("Hits", _HITS, key="k", bind="query-params", width=90)
        where = st.text_input(
            "Only where",
            key="where",
            bind="query-params",
            placeholder="age > 60 and sex = 'F'",
            help=_FILTER_HELP,
            width=420,
        )
        one = st.toggle("One hit a patient", key="one", bind="query-params")
    return _LEVELS[level], {
        "k": k,
        "where": where or None,
        "one_per_patient": one,
    }


def _invite() -> None:
    st.markdown("Type what a coronary angiogram should show, or try one of these:")
    with st.container(horizontal=True):
        for each in EXAMPLES:
            st.button(each, on_click=_type, args=(each,), key=f"example {each}")


def _type(text: str) -> None:
    st.session_state["q"] = text
    _use_all()


def _use_all() -> None:
    st.query_params.pop(_WITHOUT, None)


def _without(text: str) -> tuple[str, ...]:
    """Return the words of the parts that are switched off, as the address has them.

    Of those of another text nothing is left.
    """
    given = st.query_params.get_all(_WITHOUT)
    kept = [each for each in given if each in text]
    if kept != given:
        st.query_params[_WITHOUT] = kept
    return tuple(kept)


def _show_reading(found: Found, without: tuple[str, ...]) -> None:
    """Show how the text was read; what was read wrongly is switched off, or becomes a filter."""
    question = found.question
    if found.note:
        st.warning(literal(found.note), icon=":material/translate:")
    if question is None:
        return
    with st.container(border=True, key="reading"):
        st.markdown("**Read as**")
        for number, part in enumerate(question.parts):
            _show_part(number, part, off=part.words in without)
        for note in question.notes:
            st.caption(literal(note))


def _show_part(number: int, part: Part, *, off: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        key = f"part {number} {part.words}"
        st.toggle(
            f"{literal(part.words)} → {literal(part.read or 'not understood')}",
            value=not off,
            key=key,
            on_change=lambda: _switch(part.words, on=st.session_state[key]),
        )
        st.markdown(f":gray[{'not used' if off else _use(part)}]")
        if part.where:
            # Without a language: the colours of numbers and names are too pale to read.
            st.code(part.where, language=None, width="content")
            st.button(
                "Edit as filter",
                key=f"edit {number}",
                on_click=_to_filter,
                args=(part.words, part.where),
                type="tertiary",
                icon=":material/edit:",
            )


def _use(part: Part) -> str:
    told = [_RANKS[part.ranks]] if part.ranks else []
    told += ["leaves out what does not satisfy"] if part.where else []
    return " and ".join(told) or "not used"


def _switch(words: str, *, on: bool) -> None:
    """Use a part, or do not; said twice it is the same, since Streamlit may say so twice."""
    others = [each for each in st.query_params.get_all(_WITHOUT) if each != words]
    st.query_params[_WITHOUT] = others if on else [*others, words]


def _to_filter(words: str, where: str) -> None:
    """Let a predicate that was read be edited: the filter has it, the text no more."""
    own = st.session_state.get("where") or ""
    st.session_state["where"] = f"({own}) and {where}" if own else where
    _switch(words, on=False)


def _show_hits(atlas: Atlas, found: Found) -> None:
    if not len(found):
        st.info("No case answers this.", icon=":material/search_off:")
        st.caption("Next step: leave out the filter, or name a finding in other words.")
        return
    hits = found.hits
    uid = UID_COLUMN[found.level]
    table = st.empty()
    places = []
    grid = cells(len(hits), in_a_row=_IN_A_ROW)
    for cell, (_, hit) in zip(grid, hits.iterrows(), strict=True):
        with cell.container(border=True, key=f"hit-{hit['rank']}"):
            places.append(_card(atlas, found, hit[uid], hit))
    with table.container(), st.expander(f"Table of the {len(hits)} hits"):
        shown = ["rank", "score", "chance", *_facts(found.level), uid]
        st.dataframe(hits[shown], hide_index=True, column_config=_COLUMNS)
        if found.chance_note:
            st.caption(literal(found.chance_note))
    show_cines(atlas, places)


_COLUMNS: Final[dict[str, Any]] = {
    "rank": st.column_config.NumberColumn("Rank", width="small"),
    "score": st.column_config.ProgressColumn(
        "Similarity", min_value=0, max_value=1, format="%.3f", help="Cosine, −1 to 1"
    ),
    "chance": st.column_config.NumberColumn(
        "By chance",
        format="%.2f",
        help="How many studies of other patients one would expect to score as high by chance",
    ),
    "study_date": st.column_config.DateColumn("Date"),
    "n_videos": st.column_config.NumberColumn("Cines"),
    "view": "View",
    "n_frames": st.column_config.NumberColumn("Frames"),
    "study_uid": "Study",
    "sop_uid": "Cine",
}


def _facts(level: Level) -> list[str]:
    return ["study_date", "n_videos"] if level is Level.STUDY else ["view", "n_frames", "study_uid"]


def _card(atlas: Atlas, found: Found, uid: str, hit: Any) -> Place:
    """Draw one hit, and return the place of its cine: of a study the one that counts most."""
    why = found.why(uid)
    best = max(why.matched, key=lambda each: each.contribution, default=None)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{hit['rank']}**")
        st.badge(f"{hit['score']:.3f}", color="blue", help="Cosine similarity to the text")
        if best is not None:
            st.markdown(best.view)
    label = f"hit {hit['rank']}, {best.view if best else 'view unknown'}"
    place = st.empty()
    if found.level is Level.STUDY:
        st.caption(f"{hit['study_date'] or 'no date'} · {hit['n_videos']} cines")
    else:
        st.caption(f"{hit['n_frames']} frames")
    open_case(hit["study_uid"])
    judged(atlas, found.text, uid, level=found.level, rank=int(hit["rank"]), score=hit["score"])
    return Place(best.sop_uid if best else uid, label, place)


show(acting())
