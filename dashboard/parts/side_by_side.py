"""Two exams of a patient, one beside the other: what a view showed then, and later."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import streamlit as st

from angioatlas.atlas import Atlas
from dashboard.cine import Place, show_cines
from dashboard.parts.layout import open_case
from dashboard.session import remembered

CHOICES: Final = ("first", "then", "view")
"""Keys of the choices, and their names in the address."""
_MOST_CINES: Final = 3
"""Of a view: each takes a moment to draw."""
_HEIGHT: Final = 384


def show_side_by_side(atlas: Atlas, exams: pd.DataFrame) -> None:
    """Show the cines of one view at two exams, at first those of the last two.

    Parameters
    ----------
    atlas : Atlas
    exams : DataFrame
        number, study_uid and date of the exams of one patient, one at least.
    """
    numbers = [str(number) for number in exams["number"]]
    before = max(len(numbers) - 2, 0)
    columns = st.columns(2)
    chosen = [
        _exam(column, atlas, exams, numbers, key=key, index=index)
        for column, key, index in zip(columns, CHOICES, (before, len(numbers) - 1), strict=False)
    ]
    view = st.selectbox(
        "View, those of both exams first",
        _views([videos for _, videos in chosen]),
        key=CHOICES[2],
        bind="query-params",
        width=320,
    )
    places = []
    for column, (name, videos) in zip(st.columns(2), chosen, strict=True):
        with column:
            places += _cines(name, [each for each in videos if each["view"] == view], view)
    show_cines(atlas, places, height=_HEIGHT)


def _exam(
    column: Any, atlas: Atlas, exams: pd.DataFrame, numbers: list[str], *, key: str, index: int
) -> tuple[str, list[dict[str, Any]]]:
    """Let an exam be chosen, and return its name and its cines."""
    with column:
        number = st.selectbox(
            "Exam" if key == CHOICES[0] else "Exam beside it",
            numbers,
            index=index,
            key=key,
            bind="query-params",
        )
        row = exams.iloc[numbers.index(number)]
        uid, name = row["study_uid"], f"Exam {number}, {row['date']}"
        open_case(uid, f"{name}: open case")
    videos = remembered(atlas, ("videos of study", uid), lambda: atlas.videos_of_study(uid))
    return name, videos


def _views(exams: list[list[dict[str, Any]]]) -> list[str]:
    """Return the views of exams, those that all of them have first."""
    seen = [{each["view"] for each in videos if each["view"]} for videos in exams]
    return sorted(
        set().union(*seen), key=lambda view: (any(view not in each for each in seen), view)
    )


def _cines(exam: str, videos: list[dict[str, Any]], view: str | None) -> list[Place]:
    """Draw the places of an exam's cines of a view."""
    if not videos:
        st.info(f"{exam}, has no cine of this view.", icon=":material/videocam_off:")
    places = []
    for each in videos[:_MOST_CINES]:
        at = st.empty()
        st.caption(" · ".join([*_angles(each), f"{each['n_frames']} frames"]))
        places.append(Place(each["sop_uid"], f"{exam}, {view}", at))
    if len(videos) > _MOST_CINES:
        st.caption(f"The first {_MOST_CINES} of {len(videos)} cines; the case has all of them.")
    return places


def _angles(video: dict[str, Any]) -> list[str]:
    """Return where the C-arm stood (DICOM PS3.3 C.8.7.5.1.2)."""
    return [
        f"{positive if video[column] >= 0 else negative} {abs(video[column]):.0f}°"
        for column, positive, negative in (
            ("primary_angle_deg", "LAO", "RAO"),
            ("secondary_angle_deg", "cranial", "caudal"),
        )
        if video[column] is not None
    ]
