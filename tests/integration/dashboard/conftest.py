"""The explorer as Streamlit runs it, without a browser."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.errors import AtlasError
from dashboard.session import import_the_rest, opened

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session", autouse=True)
def _imported():
    """Import beforehand what the first page does: filters of warnings are of all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_the_rest()


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Return the state folder of the installation that the pages of a file are of."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def open_store():
    """Return what tells which store is open: it stays so for the next test, to save time."""
    told: dict[str, Path] = {}
    yield told
    _close()


@pytest.fixture
def page(state, open_store, monkeypatch):
    """Return what opens a page of the explorer of a store, at an address with these choices."""
    monkeypatch.setenv("ANGIOATLAS_STATE_DIR", str(state))
    address = st.get_option("server.address")
    st.config.set_option("server.address", "127.0.0.1")
    # Streamlit calls a page the main module, which processes that are started later would run.
    main = sys.modules["__main__"]

    def show(store: Path, name: str, /, **choices: str) -> AppTest:
        monkeypatch.setenv("ANGIOATLAS_STORE", str(store))
        if open_store.get("path") != store:
            _close()
            open_store["path"] = store
        app = AppTest.from_file(str(ROOT / "dashboard/app.py"), default_timeout=60)
        app.switch_page(f"views/{name}.py")
        for key, value in choices.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        assert not any("failed that should not" in each.value for each in app.error)
        return app

    yield show
    sys.modules["__main__"] = main
    st.config.set_option("server.address", address)


def _close() -> None:
    """Let go of the store that all sessions share, if one is open."""
    with suppress(AtlasError):
        opened().close()
    st.cache_resource.clear()
