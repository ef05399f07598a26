"""The Atlas as whoever looks may use it, and what a session keeps of its answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Final, TypeVar, cast

import streamlit as st

from angioatlas.access.access import Access
from angioatlas.access.principal import Principal
from angioatlas.atlas import Atlas
from core.addresses import is_loopback
from core.errors import AtlasError, ForbiddenError, UnauthenticatedError, UsageError
from core.provenance import RESEARCH_USE
from core.settings import load_settings

_log = logging.getLogger(__name__)
ENCODER: Final = "encoder"
"""Key of the choice between several encoders, and its name in the address."""
IMPORTS: Final = "imports"
"""Name of the thread that imports what the first page does not need."""
_KEPT: Final = "answers"
_MOST_KEPT: Final = 64
_Answer = TypeVar("_Answer")


@st.cache_resource(show_spinner="Opening the atlas …")
def opened() -> Atlas:
    """Open the configured store once for all sessions, and follow it.

    Raises
    ------
    AtlasError
        There is none.
    """
    settings = load_settings()
    if settings.store is None:
        raise UsageError("no store is named", "angioatlas dashboard --store FOLDER")
    atlas = Atlas.open(settings.store, settings=settings, follow=True)
    Thread(target=_import_the_rest, name=IMPORTS, daemon=True).start()
    return atlas


def _import_the_rest() -> None:
    """Import what takes seconds while somebody reads the first page."""
    import plotly.graph_objects  # noqa: F401

    import angioatlas.comparison.comparison
    import angioatlas.lvef.study
    import angioatlas.maps.draw
    import angioatlas.progression.study
    import angioatlas.survival.study  # noqa: F401


@st.cache_resource(show_spinner=False)
def _access() -> Access:
    return Access(load_settings())


def acting() -> Atlas:
    """Return the Atlas, acting as whoever looks at the page.

    Where a login is configured that is whom the identity provider's token names, with the scopes
    that the token grants by the settings of `serve`.  Otherwise it is the person at this machine,
    and the pages are served at a loopback address only.

    Raises
    ------
    UnauthenticatedError
        Nobody is logged in, or their token is no longer in force.
    UsageError
        There is no login, and others than this machine could look.
    """
    return opened().acting_as(_who())


def logs_in() -> bool:
    """Tell whether a login is configured (``[auth]`` of Streamlit's secrets)."""
    return "is_logged_in" in st.user


def _who() -> Principal:
    if not logs_in():
        address = st.get_option("server.address")
        if address is None or not is_loopback(address):
            raise UsageError(
                "without a login the pages are for this machine alone, and they are served at "
                f"{address or 'every address'}",
                "angioatlas dashboard --help says how a login is configured",
            )
        return Principal.local()
    if not st.user.is_logged_in:
        raise UnauthenticatedError("nobody is logged in", "log in")
    token = st.user.tokens.get("id")
    if token is None:
        raise UsageError(
            "the login does not hand on its token",
            'put expose_tokens = ["id"] into [auth] of the file that --login names',
        )
    return _access().authenticate(token)


@contextmanager
def told() -> Iterator[None]:
    """Show what goes wrong in the block, with the next step, and end the page there."""
    try:
        yield
    except UnauthenticatedError as error:
        _ask_to_log_in(error)
    except AtlasError as error:
        show_error(error)
        if isinstance(error, ForbiddenError):
            offer_log_out()
        st.stop()
    except Exception:  # noqa: BLE001 - a fault of ours: its words may name a patient, the log has them
        _log.exception("a page failed")
        st.error("Something failed that should not.", icon=":material/error:")
        st.caption("Next step: reload the page; the log of the server says what it was")
        st.stop()


def show_error(error: AtlasError) -> None:
    """Show what went wrong and what to do about it."""
    sentence = error.message[:1].upper() + error.message[1:]
    st.error(f"{literal(sentence)}.", icon=":material/error:")
    if error.hint:
        st.caption(f"Next step: {literal(error.hint)}")


def literal(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#$~|:" else sign for sign in text)


def _ask_to_log_in(error: UnauthenticatedError) -> None:
    with st.container(horizontal_alignment="center"):
        st.title("AngioAtlas", text_alignment="center")
        st.markdown("Embedding search and analytics for coronary angiography")
        if logs_in() and st.user.is_logged_in:
            show_error(error)
        st.button("Log in", type="primary", icon=":material/login:", on_click=st.login)
        st.caption(RESEARCH_USE)
    st.stop()


def offer_log_out() -> None:
    """Draw the button that ends a login, where there is one."""
    if logs_in() and st.user.is_logged_in:
        st.button("Log out", icon=":material/logout:", on_click=st.logout)


def encoder() -> str | None:
    """Return the encoder that was chosen beside the pages, None where there is no choice."""
    chosen: str | None = st.session_state.get(ENCODER)
    return chosen


def remembered(atlas: Atlas, key: Hashable, make: Callable[[], _Answer]) -> _Answer:
    """Return an answer of the Atlas, asked for once in a session while the store stays as it is.

    Never shared between sessions: who may not ask does not see what others were told, and the
    audit trail has an entry for everybody who was.

    Parameters
    ----------
    atlas : Atlas
    key : hashable
        What was asked.
    make : callable
        Asks.
    """
    kept, wanted = _answers(atlas, key)
    if wanted not in kept:
        answer = make()
        kept[wanted] = answer
        for old in [*kept][:-_MOST_KEPT]:
            del kept[old]
    return cast(_Answer, kept[wanted])


def is_remembered(atlas: Atlas, key: Hashable) -> bool:
    """Tell whether `remembered` has the answer: what takes long is not asked for by itself."""
    kept, wanted = _answers(atlas, key)
    return wanted in kept


def _answers(atlas: Atlas, key: Hashable) -> tuple[dict[Hashable, object], Hashable]:
    kept: dict[Hashable, object] = st.session_state.setdefault(_KEPT, {})
    return kept, (atlas.position(), atlas.principal, key)
