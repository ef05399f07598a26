"""`angioatlas progression` as a person runs it."""

from __future__ import annotations

import pandas as pd

from tests.support.cli import angioatlas, as_json
from tests.support.serial_store import serial_store


def test_serial_exams_are_compared_reported_and_told(clean_environment, tmp_path):
    home, store = clean_environment, tmp_path / "atlas"
    drawn = serial_store(store, 80, seed=2)
    labels = tmp_path / "atlas-labels"
    assert angioatlas(home, "labels", "import", labels, "--store", store).returncode == 0
    page, out = tmp_path / "p.html", tmp_path / "pairs.csv"
    paths = tmp_path / "exams.csv"
    wanted = ("--report", page, "--out", out, "--trajectories", paths)
    done = angioatlas(home, "progression", *wanted, "--store", store)
    assert done.returncode == 0, done.stderr
    assert "unchanged pairs of" in done.stdout
    assert "treated in between" in done.stdout
    assert "Research use only" in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = pd.read_csv(out)
    assert len(found) == 80
    assert pd.read_csv(paths)["study_uid"].nunique() == 160
    assert (found["treatment"] == "pci").sum() == drawn.treated.sum()
    who = found["patient_id"][0]
    rows = as_json(home, "progression", "timeline", who, "--store", store)["rows"]
    assert [row["kind"] for row in rows].count("exam") == 2
    uid = found["study_uid"][0]
    told = as_json(home, "progression", "patient", uid, "--store", store)
    assert [exam["number"] for exam in told["exams"]] == [1, 2]
    (change,) = told["changes"]
    assert (change["study_uid"], round(change["score"], 9)) == (uid, round(found["score"][0], 9))
    course = tmp_path / "course.html"
    done = angioatlas(home, "progression", "patient", uid, "--report", course, "--store", store)
    assert f"{course} written" in done.stdout
    assert course.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert uid in done.stdout
    assert "Research use only" in done.stdout
    done = angioatlas(home, "progression", "--floor", "none", "--store", store)
    assert done.returncode == 2
    assert "floor 'none': expected one of auto, unchanged, halves" in done.stderr
