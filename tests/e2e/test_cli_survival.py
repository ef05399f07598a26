"""`angioatlas survival` as a person runs it."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.support.cli import angioatlas, as_json
from tests.support.survival_store import survival_store


def test_a_study_is_done_reported_saved_applied_and_refused(clean_environment, tmp_path):
    home, store = clean_environment, tmp_path / "atlas"
    survival_store(store, 400, seed=1)
    asked = ["survival", "mace", "--model", "components", "--folds", "3", "--horizons", "365,730"]
    done = angioatlas(home, *asked, "--store", store)
    assert done.returncode == 2
    assert "nobody of the cohort can be followed" in done.stderr
    labels = tmp_path / "atlas-labels"
    assert angioatlas(home, "labels", "import", labels, "--store", store).returncode == 0
    page = tmp_path / "mace.html"
    done = angioatlas(
        home, *asked, "--clinical", "sex", "--report", page, "--save", "first", "--store", store
    )
    assert done.returncode == 0, done.stderr
    assert "embeddings" in done.stdout
    assert "clinical" in done.stdout
    assert "Research use only" in done.stdout
    assert "model 'first' saved" in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    told = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert set(told["results"]) == {"embeddings", "clinical", "both"}
    (model,) = as_json(home, "survival", "models", "--store", store)
    assert (model["name"], model["endpoint"], model["predictors"]) == ("first", "mace", "both")
    risks = tmp_path / "risks.csv"
    done = angioatlas(home, "survival", "predict", "first", "--out", risks, "--store", store)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(risks)
    assert len(found) == 400
    assert found["risk_730d"].between(0, 1).all()
    assert (found["risk_365d"] <= found["risk_730d"]).all()
    alone = as_json(home, "survival", "predict", "first", "--study", "1.1.7", "--store", store)
    (one,) = alone["rows"]
    expected = found.set_index("study_uid").loc["1.1.7", "risk_365d"]
    assert one["risk_365d"] == pytest.approx(expected, rel=1e-9)
    assert one["in_training"] is None, "it was fitted to a cohort without a name"
    done = angioatlas(home, "survival", "validate", "first", "--store", store)
    assert done.returncode == 1
    assert "the model was fitted to this very cohort" in done.stderr
    assert (
        angioatlas(home, "survival", "delete", "first", "--yes", "--store", store).returncode == 0
    )
    assert as_json(home, "survival", "models", "--store", store) == []


def test_endpoints_are_listed_and_unknown_ones_refused(clean_environment, tmp_path):
    home = clean_environment
    rows = {row["endpoint"]: row["events"] for row in as_json(home, "survival", "endpoints")}
    assert "hf_hospitalisation" in rows["mace"]
    assert set(rows["mace"]) < set(rows["mace_wide"])
    survival_store(tmp_path / "atlas", 20, seed=1)
    done = angioatlas(home, "survival", "mcae", "--store", tmp_path / "atlas")
    assert done.returncode != 0
    assert "there is no endpoint 'mcae'" in done.stderr
