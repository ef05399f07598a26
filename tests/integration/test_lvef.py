"""A study of LVEF over a real store: done, reported, refused, saved, applied elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analytics.leakage import LeakageError
from angioatlas.atlas import Atlas
from angioatlas.lvef.ask import LvefQuestion
from core.errors import UsageError
from tests.support.cohorts import world
from tests.support.survival_store import survival_store


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lvef") / "atlas"
    survival_store(folder, 300, seed=1)
    atlas = Atlas.open(folder)
    atlas.import_labels([folder.with_name("atlas-labels")])
    return atlas


@pytest.fixture(scope="module")
def result(atlas):
    return atlas.lvef(LvefQuestion(clinical=("age_years", "sex"), folds=3))


def test_people_it_has_not_seen_are_predicted(result):
    table = result.study.summary().set_index("predictors")
    assert list(table.index) == ["embeddings", "clinical", "both"]
    assert table.loc["both", "mae"] < 0.85 * table.loc["both", "mae_of_mean"]
    assert table.loc["clinical", "mae"] > table.loc["both", "mae"]
    assert 0.8 < table.loc["both", "coverage_90"] < 0.98
    assert table.loc["both", "auc_below_50"] > 0.75


def test_who_was_analysed_is_told(result):
    inputs = result.study.inputs
    assert inputs.attrition.iloc[-1].tolist() == [
        "with lvef_percent within 30 days",
        300,
        300,
    ]
    assert inputs.table["apart_days"].between(-20, 20).all()
    assert any("runs that two patients share" in check for check in inputs.checks)


def test_a_narrow_window_leaves_out_who_was_measured_outside_it(atlas):
    found = atlas.lvef(LvefQuestion(window_days=5, folds=3))
    assert found.study.inputs.table["apart_days"].abs().max() <= 5
    assert found.study.first.rows < 150
    with pytest.raises(UsageError, match="measured by 'mri'; methods are echo"):
        atlas.lvef(LvefQuestion(method="mri"))


def test_the_report_holds_the_figures(result, tmp_path):
    page, beside = result.write(tmp_path / "lvef.html")
    text = page.read_text(encoding="utf-8")
    told = json.loads(beside.read_text(encoding="utf-8"))
    assert "Research use only" in text
    for title in ("Agreement", "Calibration", "Prediction intervals", "Thresholds", "TRIPOD+AI"):
        assert f">{title}</h2>" in text
    mae = result.study.verdicts["both"].measure("mae")["estimate"]
    assert f"{mae:.3f} (" in text
    rows = {row["measure"]: row["estimate"] for row in told["results"]["both"]["measures"]}
    assert rows["mae"] == pytest.approx(mae, rel=1e-5)
    assert told["provenance"]["encoder_id"] == "enc-a"


def test_predictors_that_are_the_measurement_are_refused(atlas):
    with pytest.raises(LeakageError, match=r"are lvef_percent itself .1.: lvef_percent"):
        atlas.lvef(LvefQuestion(clinical=("lvef_percent",)))


def test_a_saved_model_says_the_same_and_is_judged_elsewhere(atlas, result, tmp_path):
    atlas.save_lvef_model(result, "lvef-a")
    assert atlas.lvef_models()["name"].tolist() == ["lvef-a"]
    assert atlas.survival_models().empty
    said = atlas.predict_lvef("lvef-a").table
    model = result.study.models["both"]
    np.testing.assert_allclose(
        said["lvef_percent"], model.predict(result.study.inputs.sets["both"]), rtol=1e-12
    )
    assert (said["lower_90"] <= said["lvef_percent"]).all()
    assert (said["upper_80"] <= said["upper_95"]).all()
    with pytest.raises(LeakageError, match="fitted to this very cohort"):
        atlas.validate_lvef("lvef-a")
    with pytest.raises(UsageError, match="is one of lvef, not of survival"):
        atlas.predict_survival("lvef-a")

    folder = tmp_path / "other"
    survival_store(folder, 200, seed=7, world=world(200, seed=7, dim=512))
    other = Atlas.open(folder)
    other.import_labels([folder.with_name("other-labels")])
    external = other.validate_lvef("lvef-a", from_store=atlas.store.path).study
    assert external.applied == "lvef-a"
    assert external.models == {}
    own = result.study.verdicts["both"].measure("mae")["estimate"]
    assert external.first.measure("mae")["estimate"] == pytest.approx(own, rel=0.35)


def test_patients_of_the_encoder_are_refused(atlas, monkeypatch):
    known = pd.Series(atlas.studies()["patient_id"])[:1]
    monkeypatch.setattr(atlas, "_trained_on", lambda space, members: frozenset(known))
    with pytest.raises(LeakageError, match=f"the encoder was trained on .1.: {known[0]}"):
        atlas.lvef()


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (LvefQuestion(model="forest"), "model 'forest': expected one of ridge"),
        (LvefQuestion(thresholds=(40, 140)), r"no LVEF can be on both sides of: \[140\]"),
        (LvefQuestion(window_days=-1), "a window of -1 days"),
        (LvefQuestion(site="C"), "nobody is on the test side"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(atlas, question, message):
    with pytest.raises(UsageError, match=message):
        atlas.lvef(question)


def test_a_site_is_held_out(atlas):
    study = atlas.lvef(LvefQuestion(site="B")).study
    assert study.first.rows == 150
    assert study.models == {}
    with pytest.raises(UsageError, match="no model of 'embeddings' fitted to the whole cohort"):
        atlas.save_lvef_model(atlas.lvef(LvefQuestion(site="B")), "none")
