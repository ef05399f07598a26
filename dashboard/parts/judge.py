"""Whether a hit is relevant, said with one click: `angioatlas evaluate` measures with it."""

from __future__ import annotations

from typing import Final

import streamlit as st

from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from core.errors import AtlasError
from core.schema import HIGHEST_GRADE, Level
from dashboard.session import encoder, show_error

_SAID: Final = "judged"


@st.fragment
def judged(atlas: Atlas, query: str, uid: str, *, level: Level, rank: int, score: float) -> None:
    """Draw thumbs up and down for a hit; nothing for who may not write.

    Parameters
    ----------
    atlas : Atlas
    query : str
        The text, or the UID of the study that was asked with.
    uid : str
        Of the hit.
    level : Level
    rank, score : int, float
        Where it was shown.
    """
    if not atlas.principal.allows(Scope.WRITE):
        return
    key = f"judge {query} {uid}"
    given = st.feedback("thumbs", key=key)
    said: dict[str, int] = st.session_state.setdefault(_SAID, {})
    if given is None or said.get(key) == given:
        return
    try:
        atlas.judge(
            query,
            uid,
            HIGHEST_GRADE if given else 0,
            level=level,
            rank=rank,
            score=float(score),
            encoder=encoder(),
        )
    except AtlasError as error:
        show_error(error)
    else:
        said[key] = given
        st.toast("Noted: relevant." if given else "Noted: not relevant.")
