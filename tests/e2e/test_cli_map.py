"""`angioatlas map` as a person runs it."""

from __future__ import annotations

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
    (row,) = as_json(home, "map", "list", "--store", store)
    assert (row["name"], row["method"], row["dots"]) == ("all", "umap", 60)
    done = angioatlas(home, "map", "draw", "b", "--method", "tsne", "--store", store)
    assert done.returncode == 2
    assert "method 'tsne': expected one of umap, pca" in done.stderr
    assert angioatlas(home, "map", "delete", "all", "--yes", "--store", store).returncode == 0
    assert as_json(home, "map", "list", "--store", store) == []
