"""The page of LVEF: its figures are those of the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app as commands
from core.settings import Settings
from dashboard.session import opened
from tests.support.survival_store import survival_store

QUESTION = {"sets": "clinical", "clinical": "age_years", "below": "50"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("lvef")
    survival_store(home / "store", 80, seed=1)
    atlas = Atlas.open(home / "store", settings=Settings(state_dir=home / "state"))
    atlas.import_labels([home / "store-labels"])
    return home / "store"


def said(app):
    return " ".join(each.value for each in (*app.markdown, *app.caption, *app.info, *app.warning))


def test_a_model_is_fitted_on_a_click_saved_and_asked(page, store, tmp_path, monkeypatch):
    monkeypatch.setattr("analytics.lvef.models._RIDGE", (100.0,))  # nothing to choose
    app = page(store, "lvef", **QUESTION)
    assert not app.metric
    app.button[0].click().run()
    assert not app.exception

    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["lvef", "--store", str(store), "--clinical", "age_years", "--thresholds", "50"]
    done = CliRunner().invoke(commands, [*words, "--predictors", "clinical", "--json"])
    told = json.loads(done.stdout)
    (row,) = told["summary"]
    shown = {each.label: (each.value, each.delta) for each in app.metric}
    assert shown["Mean absolute error"] == (
        f"{row['mae']:.1f} %",
        f"95 % {row['mae_lower']:.1f} to {row['mae_upper']:.1f} %",
    )
    assert shown["Error of the mean"][0] == f"{row['mae_of_mean']:.1f} %"
    assert shown["AUC below 50 %"][0] == f"{row['auc_below_50']:.2f}"
    assert shown["In the 90 % interval"][0] == f"{100 * row['coverage_90']:.0f} %"

    app.text_input[-1].input("by-age")
    next(each for each in app.button if each.label == "Save").click().run()
    assert not app.exception
    assert app.dataframe[-2].value["name"].tolist() == ["by-age"]
    assert f"mean absolute error {row['mae']:.1f} (" in said(app)

    asked = page(store, "lvef", study="1.1.3")
    row = opened().predict_lvef("by-age", studies=["1.1.3"]).table.iloc[0]
    (metric,) = asked.metric
    assert metric.value == f"{row['lvef_percent']:.0f} %"
    assert metric.delta == f"90 % interval {row['lower_90']:.0f} to {row['upper_90']:.0f} %"
    assert row["in_training"] is None
    assert "its cohort was never saved" in said(asked)


def test_an_answer_is_no_predictor_of_itself(page, store):
    app = page(store, "lvef")
    assert "lvef_percent" not in app.multiselect(key="clinical").options
    assert "diabetes" in app.multiselect(key="clinical").options


def test_a_store_without_measurements_says_the_next_step(page, tmp_path):
    survival_store(tmp_path / "bare", 3, seed=2)
    app = page(tmp_path / "bare", "lvef", study="1.2.1")
    assert "No ejection fraction is in the store" in said(app)
    assert "angioatlas labels import" in said(app)
    assert "No model of LVEF is saved yet" in said(app)
