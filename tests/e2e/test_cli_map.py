"""`angioatlas map` as a person runs it."""

from __future__ import annotations

import json

import pandas as pd

from tests.support.cli import angioatlas, as_json
from tests.support.survival_store import survival_store


def test_a_map_is_drawn_shown_and_deleted(clean_environment, tmp_path):
    home, store = clean_environment, tmp_path / "atlas"
    survival_store(store, 60, seed=1)
    page, dots = tmp_path / "map.html", tmp_path / "dots.csv"
    done = angioatlas(home, "map", "draw", "all", "--report", page, "--store", store)
    assert done.returncode == 0, done.stderr
    assert "trustworthiness" in done.stdout
    assert "Research use only" in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    done = angioatlas(home, "map", "show", "all", "--out", dots, "--store", store)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(dots)) == 60
    coloured = tmp_path / "coloured.html"
    words = ("map", "show", "all", "--colour", "patient_age_years", "--report", coloured)
    done = angioatlas(home, *words, "--store", store)
    assert done.returncode == 0, done.stderr
    assert json.loads(coloured.with_suffix(".json").read_text())["colour"] == {
        "name": "patient_age_years",
        "counts": {"known": 55, "not known": 5},
    }
    listed = as_json(home, "map", "colours", "all", "--store", store)["colours"]
    assert [each["colour"] for each in listed][:2] == ["island", "patient_age_years"]
    done = angioatlas(home, "map", "show", "all", "--colour", "lvef_percent", "--store", store)
    assert done.returncode == 1
    assert "nothing is known of 'lvef_percent'" in done.stderr
    assert "angioatlas map colours all" in done.stderr
    (row,) = as_json(home, "map", "list", "--store", store)
    assert (row["name"], row["method"], row["dots"]) == ("all", "umap", 60)
    done = angioatlas(home, "map", "draw", "b", "--method", "tsne", "--store", store)
    assert done.returncode == 2
    assert "method 'tsne': expected one of umap, pca" in done.stderr
    assert angioatlas(home, "map", "delete", "all", "--yes", "--store", store).returncode == 0
    assert as_json(home, "map", "list", "--store", store) == []
