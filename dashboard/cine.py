"""Cines on a page: their middle frames at once, then the runs themselves, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from angioatlas.atlas import Atlas
from core.errors import AtlasError, ForbiddenError
from dashboard.session import literal

_PLAYED: Final = "played"


@dataclass(frozen=True)
class Place:
    """Where a cine is to be shown.

    Attributes
    ----------
    sop_uid : str
    label : str
        What is shown, in words: the view above all.
    at : DeltaGenerator
        An empty place.
    """

    sop_uid: str
    label: str
    at: DeltaGenerator


def show_cines(atlas: Atlas, places: Sequence[Place], *, height: int = 256) -> None:
    """Fill places with cines that play.

    Drawing one takes a part of a second, so each place shows a frame until its run is ready.  What
    cannot be shown says why in its place, and keeps no other from being shown.

    Parameters
    ----------
    atlas : Atlas
    places : sequence of Place
    height : int
        Rows of the movies.
    """
    shown: set[tuple[str, int]] = st.session_state.setdefault(_PLAYED, set())
    failed = set()
    for place in places:
        if (place.sop_uid, height) in shown:
            continue  # its run is drawn already: a frame in between would flicker
        try:
            picture = atlas.thumbnail(place.sop_uid, height=height).read_bytes()
        except (AtlasError, OSError) as error:
            failed.add(place)
            _tell(place, error)
        else:
            place.at.image(picture, width="stretch", alt=f"Middle frame: {place.label}")
    # Streamlit tells two videos apart by their words, too.
    times: Counter[tuple[str, str]] = Counter()
    for place in places:
        times[place.sop_uid, place.label] += 1
        again = times[place.sop_uid, place.label]
        words = f"Cine: {place.label}" + (f", shown {again} times" if again > 1 else "")
        if place not in failed and _play(atlas, place, height, words):
            shown.add((place.sop_uid, height))


def _play(atlas: Atlas, place: Place, height: int, words: str) -> bool:
    try:
        movie = atlas.cine(place.sop_uid, height=height).read_bytes()
    except (AtlasError, OSError) as error:
        # The frame stays: it tells more than a message in its place.
        if isinstance(error, AtlasError):
            place.at.caption(f"It cannot be played: {literal(error.message)}")
        return False
    place.at.video(movie, loop=True, autoplay=True, muted=True, alt=words)
    return True


def _tell(place: Place, error: AtlasError | OSError) -> None:
    if isinstance(error, ForbiddenError) or not isinstance(error, AtlasError):
        place.at.caption("The picture cannot be shown.")
    else:
        place.at.caption(f"{literal(error.message)}. {literal(error.hint or '')}")
