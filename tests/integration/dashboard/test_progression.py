"""The page of serial exams: what it says is what the Atlas says."""

from __future__ import annotations

import re

import pytest

from angioatlas.atlas import Atlas
from core.ids import KeptIdentity
from store.store import Store
from tests.support.cli import as_json
from tests.support.serial_store import serial_store
from tests.support.survival_store import survival_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial") / "atlas"
    serial_store(folder, 30, seed=5)
    Atlas.open(folder).import_labels([folder.with_name("atlas-labels")])
    return folder


def _text(app):
    parts = (app.markdown, app.caption, app.info, app.error)
    return " ".join(each.value for part in parts for each in part)


def test_who_came_again_is_listed_by_no_name(page, store):
    shown = page(store, "progression").dataframe[0].value
    again = Atlas.open(store).came_again()
    assert shown["score"].tolist() == again["score"].tolist()
    assert shown["who"][0] == f"Patient with 2 exams, {again['first'][0]} … {again['last'][0]}"
    assert (shown["beyond"] == "beyond").tolist() == again["beyond"].tolist()
    assert set(shown["treatment"]) == {"PCI", "none"}
    assert not {"patient_id", "study_uid"} & {*shown.columns}


def test_one_patient_is_told_as_by_the_command(page, store, clean_environment):
    atlas = Atlas.open(store)
    again = atlas.came_again()
    uid = again["study_uid"][again["treatment"] == "pci"].iloc[0]
    told = as_json(clean_environment, "progression", "patient", uid, "--store", store)
    (change,) = told["changes"]
    app = page(store, "progression", study=uid)
    (row,) = app.dataframe[0].value.to_dict("records")
    assert row["score"] == pytest.approx(change["score"])
    assert row["beyond"] == ("beyond" if change["beyond"] else "within")
    assert row["treatment"] == "PCI mid LAD"
    assert (row["days"], row["new_disease"]) == (change["days"], change["new_disease"])
    assert [each.value for each in app.selectbox[:2]] == ["1", "2"]
    patient = atlas.row("study", uid)["patient_id"]
    words = _text(app) + " ".join(each.proto.alt for each in app.get("plotly_chart"))
    assert f"change of {change['score']:.2f}" in words
    assert patient not in re.findall(r"\w+", words)


def test_exams_are_chosen_by_the_address(page, store):
    uid = Atlas.open(store).came_again()["study_uid"][0]
    app = page(store, "progression", study=uid, first="2", then="1")
    assert [each.value for each in app.selectbox[:2]] == ["2", "1"]
    app.button[0].click().run()
    assert not app.exception
    assert "study" not in app.query_params
    assert "Who came again" in _text(app)


def test_a_link_to_a_patient_leads_there_from_a_population(page, store):
    app = page(store, "progression", part="Population")
    assert app.button[0].label == "Measure"
    del app.query_params["part"]
    app.query_params["study"] = Atlas.open(store).came_again()["study_uid"][0]
    app.run()
    assert not app.exception
    assert "Exams side by side" in [each.value for each in app.header]


def test_a_population_has_the_numbers_of_the_command(page, store, clean_environment):
    app = page(store, "progression", part="Population")
    assert not app.dataframe, "nothing long begins before it is asked for"
    app.button[0].click().run()
    assert not app.exception
    told = as_json(clean_environment, "progression", "--store", store)
    assert [each.value for each in app.metric] == ["30", "30", f"{told['floor']['threshold']:.3f}"]
    rates, comparisons = (app.dataframe[i].value for i in range(2))
    assert rates["median_score"].tolist() == pytest.approx(
        [row["median_score"] for row in told["rates"]], rel=1e-5
    )
    assert rates["beyond"].tolist() == [f"{row['beyond']:.0%}" for row in told["rates"]]
    assert comparisons["auc"].tolist() == [
        f"{row['auc']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})"
        for row in told["comparisons"]
    ]


def test_what_cannot_be_measured_is_said_with_the_next_step(page, store, tmp_path):
    Atlas.open(store).choose_cohort(name="first")
    app = page(store, "progression", part="Population", cohort="first")
    app.button[0].click().run()
    assert not app.exception
    assert "No patient of the cohort has two exams" in app.error[0].value
    assert "Next step" in _text(app)
    assert "index every" in _text(app)


def test_without_second_exams_or_any_there_is_a_next_step(page, tmp_path):
    survival_store(tmp_path / "once", 5, seed=1)
    app = page(tmp_path / "once", "progression")
    assert "No patient has two exams" in _text(app)
    assert "Next step" in _text(app)


def test_without_a_noise_floor_a_patient_is_shown_and_why_nothing_is_scored(page, tmp_path):
    serial_store(tmp_path / "few", 4, seed=5, once=1)
    atlas = Atlas.open(tmp_path / "few")
    uid = atlas.came_again()["study_uid"][0]
    app = page(tmp_path / "few", "progression", study=uid)
    assert "are too few for a noise floor" in app.info[0].value
    assert "score" not in app.dataframe[0].value
    once = set(atlas.studies()["study_uid"]) - set(atlas.came_again()["study_uid"])
    last = max(once, key=lambda each: int(each.split(".")[2]))
    app = page(tmp_path / "few", "progression", study=last)
    assert "Of this patient no two exams are known" in app.info[0].value
    assert not app.dataframe
    assert len(app.get("plotly_chart")) == 1


def test_an_empty_store_has_a_next_step(page, tmp_path):
    Store.create(tmp_path / "empty", identity=KeptIdentity().record)
    words = _text(page(tmp_path / "empty", "progression"))
    assert "Nothing is in the store yet." in words
    assert "Next step" in words


def test_a_study_that_is_not_there_is_said(page, store):
    app = page(store, "progression", study="1.2.3")
    assert [each.value for each in app.error] == ["No such study in store version 2."]
