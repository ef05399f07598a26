"""The explorer as Streamlit runs it, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.session import opened

ROOT = Path(__file__).parents[3]


@pytest.fixture
def page(monkeypatch, tmp_path):
    """Return what opens a page of the explorer of a store, at an address with these choices."""
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "127.0.0.1")
    monkeypatch.setenv("ANGIOATLAS_STATE_DIR", str(tmp_path / "state"))
    address = st.get_option("server.address")
    st.config.set_option("server.address", "127.0.0.1")

    def show(store: Path, name: str, **choices: str) -> AppTest:
        monkeypatch.setenv("ANGIOATLAS_STORE", str(store))
        app = AppTest.from_file(str(ROOT / "dashboard/app.py"), default_timeout=60)
        app.switch_page(f"views/{name}.py")
        for key, value in choices.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    yield show
    opened().close()
    st.cache_resource.clear()
    st.config.set_option("server.address", address)
