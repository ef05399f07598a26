"""`angioatlas lvef` as a person runs it."""

from __future__ import annotations

import json

import pandas as pd

from tests.support.cli import angioatlas, as_json
from tests.support.survival_store import survival_store


def test_a_study_is_done_reported_saved_applied_and_refused(clean_environment, tmp_path):
    home, store = clean_environment, tmp_path / "atlas"
    survival_store(store, 200, seed=1)
    asked = ["lvef", "--folds", "3", "--store", store]
    done = angioatlas(home, *asked)
    assert done.returncode == 2
    assert "there is no measurement 'lvef_percent'; there are none" in done.stderr
    assert "angioatlas labels import PATH" in done.stderr
    labels = tmp_path / "atlas-labels"
    assert angioatlas(home, "labels", "import", labels, "--store", store).returncode == 0
    page = tmp_path / "lvef.html"
    done = angioatlas(home, *asked, "--report", page, "--save", "first", "--method", "echo")
    assert done.returncode == 0, done.stderr
    assert "mae" in done.stdout
    assert "Research use only" in done.stdout
    assert "model 'first' saved" in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    told = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    (model,) = as_json(home, "lvef", "models", "--store", store)
    assert model["name"] == "first"
    assert model["mae"] == told["summary"][0]["mae"]
    out = tmp_path / "lvef.csv"
    done = angioatlas(home, "lvef", "predict", "first", "--out", out, "--store", store)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(out)
    assert len(found) == 200
    assert found["lvef_percent"].between(0, 100).all()
    few = ("--study", "1.1.7", "--study", "1.1.3")
    done = angioatlas(home, "lvef", "predict", "first", *few, "--store", store)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("1.1.7") < done.stdout.index("1.1.3")
    assert "1.1.4 " not in done.stdout
    done = angioatlas(home, "lvef", "predict", "first", *few, "-c", "all", "--store", store)
    assert done.returncode == 2
    assert "a cohort and single studies are asked about" in done.stderr
    done = angioatlas(home, "lvef", "validate", "first", "--store", store)
    assert done.returncode == 1
    assert "the model was fitted to this very cohort" in done.stderr
    assert angioatlas(home, "lvef", "delete", "first", "--yes", "--store", store).returncode == 0
    assert as_json(home, "lvef", "models", "--store", store) == []


def test_help_and_words_that_are_none(clean_environment, tmp_path):
    home = clean_environment
    done = angioatlas(home, "lvef", "--help")
    assert done.returncode == 0
    assert "predict" in done.stdout
    survival_store(tmp_path / "atlas", 20, seed=1)
    done = angioatlas(home, "lvef", "--thresholds", "low", "--store", tmp_path / "atlas")
    assert done.returncode == 2
    assert "expected numbers such as 40,50" in done.stderr
