"""The page of survival: its figures are those of the Atlas and of the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from analytics.preparation import EMBEDDING
from angioatlas.atlas import Atlas
from angioatlas.cli.main import app as commands
from core.ids import KeptIdentity
from core.schema import EMBEDDING_DIM
from core.settings import Settings
from dashboard.session import opened
from store.store import Store
from tests.support.cohorts import world
from tests.support.survival_store import survival_store

MODEL = {"part": "Model", "cohort": "few", "kind": "components", "horizons": "730"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of 220 patients who were followed; few of them are fitted to."""
    home = tmp_path_factory.mktemp("survival")
    drawn = world(220, seed=1, dim=EMBEDDING_DIM)
    columns = [name for name in drawn.x.columns if name.startswith(EMBEDDING)]
    drawn.x.loc[219, columns] = drawn.x.loc[218, columns].to_numpy()
    survival_store(home / "store", 220, seed=1, world=drawn)
    atlas = Atlas.open(home / "store", settings=Settings(state_dir=home / "state"))
    atlas.import_labels([home / "store-labels"])
    atlas.choose_cohort(members=[f"1.1.{i}" for i in range(70)], name="few")
    atlas.choose_cohort(members=[f"1.1.{i}" for i in range(150, 220)], name="with twins")
    atlas.choose_cohort(where="sex = 'F'", name="women")
    return home / "store"


def tables(app):
    return [each.value for each in app.dataframe]


def said(app):
    return " ".join(each.value for each in (*app.markdown, *app.caption, *app.info, *app.warning))


def test_everybody_is_followed_unless_cohorts_are_chosen(page, store):
    app = page(store, "survival")
    risks, followed = tables(app)
    told = opened().cohort_outcomes(horizons=(365, 730)).outcomes
    assert told is not None
    assert risks["group"].tolist() == ["everybody", "everybody"]
    assert risks["at risk"].tolist() == told.horizons["at_risk"].tolist()
    assert followed["events"].tolist() == told.summary()["events"].tolist()
    assert "Log-rank" not in said(app)


def test_cohorts_are_compared_with_everybody_else(page, store):
    app = page(store, "survival", cohorts="women", rest="true", curve="Kaplan-Meier")
    assert app.toggle(key="rest").value
    told = opened().compare_cohorts(["women"], rest=True, horizons=(365, 730)).outcomes
    assert told is not None
    assert told.test is not None
    risks, followed = tables(app)
    assert followed["events"].tolist() == told.summary()["events"].tolist()
    assert risks["events"].tolist() == told.horizons["events"].tolist()
    assert f"chi² {told.test.chi2:.2f}" in said(app)
    chart = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [each["name"] for each in chart["data"] if "name" in each] == [
        "women",
        "everybody else",
    ]
    assert chart["layout"]["yaxis"]["title"]["text"] == "without the event"


def test_a_model_is_fitted_on_a_click_saved_and_described(page, store, tmp_path, monkeypatch):
    app = page(store, "survival", **MODEL)
    assert not app.metric
    assert "No model is saved yet" in said(app)
    app.button[0].click().run()
    assert not app.exception

    # The same question on the command line gives the same numbers.
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["survival", "mace", "--store", store, "--cohort", "few", "--model", "components"]
    words += ["--horizons", "730", "--predictors", "embeddings", "--json"]
    done = CliRunner().invoke(commands, [str(each) for each in words])
    told = json.loads(done.stdout)
    (row,) = told["summary"]
    shown = {each.label: (each.value, each.delta) for each in app.metric}
    assert shown["Harrell's C"] == (
        f"{row['c']:.2f}",
        f"95 % {row['c_lower']:.2f} to {row['c_upper']:.2f}",
    )
    assert shown["AUC at 730 days"][0] == f"{row['auc']:.2f}"
    assert shown["Brier score"][0] == f"{row['brier']:.3f}"
    log_rank = told["results"]["embeddings"]["log_rank"]
    assert f"chi-squared {log_rank['chi2']:.1f}" in said(app)

    app.text_input[0].input("mace-few")
    next(each for each in app.button if each.label == "Save").click().run()
    assert not app.exception
    assert tables(app)[-2]["name"].tolist() == ["mace-few"]
    card = said(app)
    assert f"{told['results']['embeddings']['events']} events" in card
    assert f"C {row['c']:.2f} ({row['c_lower']:.2f} to {row['c_upper']:.2f})" in card
    assert "angioatlas survival validate" in card
    # What is fitted stays while the page is looked at; another question asks for another click.
    assert app.metric
    app.selectbox(key="endpoint").select("death_any").run()
    assert not app.metric


def test_patients_are_told_of_who_are_like_one(page, store):
    app = page(store, "survival", like="1.1.3")
    told = opened().outcomes_like("1.1.3", horizons=(365, 730))
    answer, participants = tables(app)
    assert answer["at risk"].tolist() == told.horizons["at_risk"].tolist()
    assert participants.equals(told.participants)
    assert f"{told.facts()['neighbours']} patients" in said(app)
    assert told.meaning[:40] in said(app)


def test_who_cannot_be_told_of_is_said(page, store):
    app = page(store, "survival", like="9.9.9")
    assert "No study 9.9.9 with a vector" in app.error[0].value
    app = page(store, "survival", like="1.1.3", cohort="few")
    assert "expected at least 200" in app.error[0].value


def test_leaks_are_told_without_the_patients(page, store):
    app = page(store, "survival", **{**MODEL, "cohort": "with twins"})
    app.button[0].click().run()
    assert "runs that two patients share (1)" in app.error[0].value.replace("\\", "")
    assert "1.1.218" not in app.error[0].value
    assert not app.metric


def test_nothing_is_fitted_to_clinical_predictors_that_are_not_named(page, store):
    app = page(store, "survival", part="Model", sets="clinical")
    assert app.button[0].disabled
    assert "Name clinical predictors" in said(app)


def test_a_store_without_labels_and_an_empty_one_say_the_next_step(page, tmp_path):
    survival_store(tmp_path / "bare", 30, seed=2)
    app = page(tmp_path / "bare", "survival")
    assert "can be followed" in app.info[0].value
    assert "angioatlas labels import" in said(app)
    opened().close()
    opened.clear()
    Store.create(tmp_path / "empty", identity=KeptIdentity().record)
    app = page(tmp_path / "empty", "survival")
    assert "angioatlas embed" in said(app)
