"""The page of cohorts: chosen, saved, kept and compared as the Atlas and its commands do."""

from __future__ import annotations

import io
import json
import zipfile

import pandas as pd
import pytest
import streamlit as st
from typer.testing import CliRunner

from analytics.cohort import IndexRule
from angioatlas.access.principal import Principal, Scope
from angioatlas.atlas import Atlas
from angioatlas.cli.main import app as commands
from core.ids import KeptIdentity
from core.schema import Format
from core.settings import Settings
from dashboard.downloads import exported
from store.store import Store
from tests.support.survival_store import ENCODER, survival_store

WOMEN = "patient_sex = 'F' and lvef_percent >= 50"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of 120 patients who were followed, with two saved cohorts."""
    home = tmp_path_factory.mktemp("cohort")
    survival_store(home / "store", 120, seed=1)
    atlas = Atlas.open(home / "store", settings=Settings(state_dir=home / "state"))
    atlas.import_labels([home / "store-labels"])
    atlas.choose_cohort(where="site = 'A'", name="site-a")
    atlas.choose_cohort(members=[f"1.1.{i}" for i in range(40)], name="listed")
    return home / "store"


def tables(app):
    return [each.value for each in app.dataframe]


def said(app):
    parts = (*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.success)
    return " ".join(each.value for each in parts)


def button(app, label):
    return next(each for each in app.button if each.label == label)


def test_a_filter_in_words_is_added_to_the_text_that_counts(page, store):
    app = page(store, "cohort", index="last", since="2015-01-01")
    assert app.text_area(key="who").value == ""
    for what, value in (("Sex", "F"), ("LVEF, %", 50.0)):
        app.selectbox(key="what").select(what).run()
        inputs = app.selectbox if isinstance(value, str) else app.number_input
        inputs(key=f"value {what}").set_value(value).run()
        button(app, "Add").click().run()
    assert app.text_area(key="who").value == WOMEN
    rule = IndexRule("last", since=app.date_input(key="since").value)
    told = Atlas.open(store).choose_cohort(where=WOMEN, index=rule)
    assert f"{len(told.members)}" == app.metric[0].value
    assert tables(app)[0].equals(told.attrition)
    assert "patient_id" not in {*tables(app)[1]["name"]}


def test_a_filter_that_cannot_be_read_is_told_with_the_columns_there_are(page, store):
    app = page(store, "cohort", who="ejection < 40")
    assert "ejection" in app.error[0].value
    assert "Next step" in said(app)
    (columns,) = tables(app)
    known = columns.set_index("name")
    assert [*known.loc["site", "values"]] == ["A", "B"]
    age = Atlas.open(store).studies()["patient_age_years"]
    assert known.loc["patient_age_years", "known"] == pytest.approx(age.notna().mean())
    assert app.expander[0].proto.expanded


def test_a_filter_that_leaves_nobody_says_at_which_step(page, store):
    app = page(store, "cohort", who="age > 200")
    assert "after the step 'where age" in app.error[0].value
    assert "widen the definition" in said(app)


def test_a_cohort_is_saved_opened_chosen_again_and_deleted(page, store):
    app = page(store, "cohort", who="age > 60")
    app.text_input[0].input("over-60")
    button(app, "Save").click().run()
    assert "Saved as over-60" in said(app)
    button(app, "Open it").click().run()
    assert not app.exception
    assert app.segmented_control(key="part").value == "Saved"
    assert app.selectbox(key="name").value == "over-60"
    saved = Atlas.open(store).cohort("over-60")
    assert app.code[0].value == "age > 60"
    assert f"{len(saved.members)}" == app.metric[0].value
    members = tables(app)[-1]
    assert members["study_uid"].tolist() == saved.members["study_uid"].tolist()
    assert [*members] == ["study_uid", "index_date"]

    next(each for each in app.text_input if each.label == "Save as").input("anew")
    button(app, "Choose and save").click().run()
    assert "Saved as anew" in said(app)
    assert Atlas.open(store).cohort("anew").cohort_id == saved.cohort_id

    button(app, "Delete for good").click().run()
    assert not app.exception
    assert {*Atlas.open(store).cohorts()["name"]} == {"site-a", "listed", "anew"}
    Atlas.open(store).drop_cohort("anew")


def test_a_cohort_of_an_older_version_says_who_would_join_and_leave(page, tmp_path):
    survival_store(tmp_path / "store", 5, seed=1)
    atlas = Atlas.open(tmp_path / "store")
    atlas.choose_cohort(where="lvef_percent is null", name="unknown")
    atlas.import_labels([tmp_path / "store-labels"])
    app = page(tmp_path / "store", "cohort", part="Saved", name="unknown")
    left = atlas.cohort_staleness(atlas.cohort("unknown")).left
    assert left == 5
    assert f"now 0 exams would join and {left} leave" in app.warning[0].value
    assert tables(app)[0]["stale"].tolist() == [True]


def test_a_cohort_is_downloaded_with_everything_that_is_known_of_it(store):
    atlas = Atlas.open(store)
    atlas.settings = Settings(state_dir=store.parent / "state")
    archive = zipfile.ZipFile(
        io.BytesIO(exported(atlas, "site-a", Format.PARQUET, encoder=ENCODER))
    )
    studies = pd.read_parquet(io.BytesIO(archive.read("studies.parquet")))
    assert {*studies["study_uid"]} == {*atlas.cohort("site-a").members["study_uid"]}
    assert exported(atlas, "site-a", Format.DUCKDB, encoder=None)[8:12] == b"DUCK"
    assert not [*(store.parent / "state/temporary").iterdir()], "nothing is left behind"


def test_cohorts_are_compared_with_the_numbers_of_the_command(page, store, monkeypatch, tmp_path):
    app = page(store, "cohort", part="Compare", cohorts="site-a", rest="true", horizons="730")
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["cohort", "compare", "site-a", "--rest", "--horizon", "730", "--json", "--store"]
    told = json.loads(CliRunner().invoke(commands, [*words, str(store)]).stdout)
    characteristics, risks, followed = tables(app)[:3]
    groups = {each["name"]: f"{each['patients']} patients" for each in told["groups"]}
    assert {each.label: each.value for each in app.metric} == groups
    smd = {each["variable"]: each["smd"] for each in told["differences"]}
    shown = characteristics.set_index("characteristic")["smd"]
    assert shown["age years"] == f"{abs(smd['age_years']):.2f}"
    assert shown["diabetes"] == f"{abs(smd['diabetes']):.2f}"
    assert (smd["site"], shown["site: A"]) == (None, "inf")
    assert followed["events"].tolist() == [each["events"] for each in told["outcomes"]["groups"]]
    for row, horizon in zip(risks.itertuples(), told["outcomes"]["horizons"], strict=True):
        assert row[7].startswith(f"{100 * horizon['incidence']:.1f} (")
    assert f"chi² {told['outcomes']['log_rank']['chi2']:.2f}" in said(app)
    dots, curves = (json.loads(each.proto.spec) for each in app.get("plotly_chart"))
    largest = dict(zip(dots["data"][0]["y"], dots["data"][0]["text"], strict=True))
    assert largest["age years"] == shown["age years"]
    names = [each["name"] for each in curves["data"] if "name" in each]
    assert names == ["site-a", "everybody else"]


def test_what_was_drawn_round_on_a_map_is_beside_the_saved_ones(page, store):
    atlas = Atlas.open(store)
    lasso = atlas.choose_cohort(members=["1.1.1", "1.1.2", "1.1.3"])
    app = page(store, "cohort", part="Saved")
    app.session_state["drawn round"] = (lasso, "demo")
    app.run()
    name = "Lasso on map demo"
    app.selectbox(key="name").select(name).run()
    assert app.metric[0].value == "3"
    app.segmented_control(key="part").set_value("Compare").run()
    app.multiselect(key="cohorts").set_value([name, "site-a"]).run()
    assert not app.exception
    assert [each.value for each in app.metric] == ["3 patients", "60 patients"]


def test_one_cohort_alone_is_not_compared(page, store):
    app = page(store, "cohort", part="Compare", cohorts="site-a")
    assert "Which cohorts?" in said(app)
    assert "everybody else" in said(app)


def test_without_follow_up_who_they_are_is_told_and_what_to_import(page, tmp_path):
    survival_store(tmp_path / "store", 20, seed=1)
    Atlas.open(tmp_path / "store").choose_cohort(where="site = 'A'", name="a")
    app = page(tmp_path / "store", "cohort", part="Compare", cohorts="a", rest="true")
    assert "age years" in [*tables(app)[0]["characteristic"]]
    assert "angioatlas labels import" in said(app)


def test_without_a_saved_cohort_the_way_to_one_is_offered(page, tmp_path):
    survival_store(tmp_path / "store", 5, seed=1)
    app = page(tmp_path / "store", "cohort", part="Compare")
    assert "No cohort is saved yet." in said(app)
    button(app, "Choose one").click().run()
    assert app.segmented_control(key="part").value == "Choose"
    assert app.metric[0].value == "5"
    app.segmented_control(key="part").set_value("Saved").run()
    assert "No cohort is saved yet." in said(app)


def test_an_empty_store_says_what_to_do(page, tmp_path):
    Store.create(tmp_path / "empty", identity=KeptIdentity().record)
    app = page(tmp_path / "empty", "cohort")
    assert "angioatlas embed" in said(app)
    assert not app.text_area


def test_who_only_reads_is_offered_no_change(page, store, monkeypatch):
    reader = Principal("reader", frozenset({Scope.READ, Scope.SEARCH}), "oidc")
    monkeypatch.setattr("dashboard.session._who", lambda: reader)
    for choices in ({}, {"part": "Saved", "name": "site-a"}):
        app = page(store, "cohort", **choices)
        assert not {each.label for each in app.button} & {"Save", "Delete for good"}
        assert not any(each.label == "Save as" for each in app.text_input)
    assert not {"Choose and save"} & {each.label for each in app.button}
    assert st.get_option("server.address") == "127.0.0.1"
