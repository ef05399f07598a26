"""Who may look at the pages at all, and that nobody sees what others were told."""

from __future__ import annotations

import pytest
import streamlit as st

from angioatlas.atlas import Atlas
from core.settings import Settings
from tests.support.store_cases import commit, new_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = new_store(tmp_path_factory.mktemp("looked") / "atlas")
    commit(store, {"P1.a": ["1"]})
    return store.path


@pytest.mark.parametrize("address", [None, "0.0.0.0", "::", "192.0.2.7"])
def test_without_a_login_an_address_for_others_shows_nothing(page, store, address):
    page(store, "operations")  # which works at a loopback address
    st.config.set_option("server.address", address)
    app = page(store, "operations")
    assert "for this machine alone" in app.error[0].value
    assert not app.metric
    assert not app.dataframe


def test_every_page_says_research_use_only_and_the_encoder(page, store):
    for name in ("search", "case", "operations"):
        notice = page(store, name).caption[0].value
        assert "Research use only. Not for diagnosis or treatment." in notice
        assert "Encoder `enc-a`" in notice


def test_a_store_that_is_not_there_is_told(page, tmp_path):
    app = page(tmp_path / "none", "search")
    assert app.error
    assert any("Next step" in each.value for each in app.caption)


def test_what_is_shown_is_on_record_once_in_a_session(page, store, state):
    trail = Atlas.open(store, settings=Settings(state_dir=state)).trail

    def on_record():
        return [entry.object["use_case"] for entry in trail.entries(limit=1000)].count("similar")

    before = on_record()
    app = page(store, "case", study="P1.a")
    assert on_record() == before + 1
    app.run()
    assert on_record() == before + 1
    # Somebody else looks: they are on record, too.
    page(store, "case", study="P1.a")
    assert on_record() == before + 2


def test_a_new_version_is_asked_for_again(page, store, tmp_path):
    own = new_store(tmp_path / "own")
    commit(own, {"P1.a": ["1"]})
    app = page(own.path, "operations")
    assert app.metric[0].value == "1"
    commit(own, {"P2.a": ["2"]})
    for _ in range(100):
        app.run()
        if app.metric[0].value == "2":
            break
    assert app.metric[0].value == "2"
