"""The page of one exam: its facts, its findings on the tree, and why others are like it."""

from __future__ import annotations

import json

import pytest

from angioatlas.atlas import Atlas
from core.schema import Level
from tests.support.clinical_store import clinical_store
from tests.support.store_cases import commit, new_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return clinical_store(tmp_path_factory.mktemp("case") / "atlas").store.path


def tree(app):
    """Return what the drawing of the tree says, by the words on it."""
    (chart,) = app.get("plotly_chart")
    figure = json.loads(chart.proto.spec)
    (words,) = [each for each in figure["data"] if each.get("mode") == "markers+text"]
    return words["hovertext"]


def metrics(app):
    return {each.label: each.value for each in app.metric}


def test_the_facts_are_those_of_the_store(page, store):
    app = page(store, "case", study="P1.a")
    row = Atlas.open(store).row(Level.STUDY, "P1.a")
    assert metrics(app) == {
        "Exam": str(row["study_date"]),
        "Age, years": f"{row['patient_age_years']:.0f}",
        "Sex": row["patient_sex"],
        "Cines": str(row["n_videos"]),
        "Exam of this patient": "1 of 1",
    }


def test_the_tree_says_what_the_heads_say(page, store):
    told = tree(page(store, "case", study="P1.a"))
    assert "mid RCA: 90 %" in told
    assert "proximal LAD: 0 %" in told
    assert "mid RCA: 0 %" in tree(page(store, "case", study="P0.a"))


def test_what_was_measured_is_told_apart(page, tmp_path):
    store = new_store(tmp_path / "atlas")
    commit(store, {"1.1": ["1.1.1"], "2.1": ["2.1.1"]})
    labels = tmp_path / "measurements.csv"
    labels.write_text(
        "id,patient_id,study_uid,date,name,value,unit,method\n"
        "q1,1,1.1,2021-05-04,stenosis_percent@prox_lad,64,%,qca\n"
        "q2,1,1.1,2021-05-04,lvef_percent,35,%,echo\n"
    )
    Atlas.open(store.path).import_labels([labels])
    app = page(store.path, "case", study="1.1")
    assert metrics(app)["LVEF, measured"] == "35 %"
    (source,) = [each for each in app.button_group if "Measured" in each.options]
    source.set_value("Measured").run()
    told = tree(app)
    assert "proximal LAD: 64 %" in told
    assert "mid RCA: 0 %" in told
    assert any("counts as free" in each.value for each in app.caption)
    # Of the other exam nothing was measured.
    other = page(store.path, "case", study="2.1")
    assert not [each for each in other.button_group if "Measured" in each.options]


def test_similar_cases_and_why_are_the_atlas(page, store):
    app = page(store, "case", study="P4.a")
    found = Atlas.open(store).similar("P4.a", k=5, explain=True)
    badges = [each.value for each in app.markdown if each.value.startswith(":blue-badge[")]
    assert badges == [f":blue-badge[{score:.3f}]" for score in found.hits["score"]]
    whys = [each.value for each in app.dataframe if "Part of the score" in each.value.columns]
    assert len(whys) == len(found.hits) == 5
    for table, uid in zip(whys, found.hits["study_uid"], strict=True):
        expected = sorted((each.contribution for each in found.why(uid).matched), reverse=True)
        assert table["Part of the score"].tolist() == pytest.approx(expected)


def test_a_filter_leaves_out(page, store):
    app = page(store, "case", study="P4.a", where="lvef_percent > 50", k="3")
    found = Atlas.open(store).similar("P4.a", k=3, where="lvef_percent > 50")
    badges = [each for each in app.markdown if each.value.startswith(":blue-badge[")]
    assert len(badges) == len(found.hits) == 2


def test_a_bad_filter_keeps_the_case(page, store):
    app = page(store, "case", study="P4.a", where="nothing = 1")
    assert "nothing" in app.error[0].value
    assert metrics(app)["Cines"] == "1"


def test_a_similar_case_is_judged(page, store):
    app = page(store, "case", study="P4.a")
    best = Atlas.open(store).similar("P4.a", k=5).hits.iloc[0]
    app.feedback(key=f"judge P4.a {best['study_uid']}").set_value(0).run()
    said = Atlas.open(store).judgements()
    assert said[["query", "uid", "relevance"]].values.tolist() == [["P4.a", best["study_uid"], 0]]


def test_exams_of_one_patient_lead_to_each_other(page, tmp_path):
    store = new_store(tmp_path / "atlas")
    commit(store, {"P1.a": ["1"], "P1.b": ["2"], "P2.a": ["3"]})
    app = page(store.path, "case", study="P1.a")
    assert metrics(app)["Exam of this patient"] == "1 of 2"
    links = [each.proto.label for each in app.get("page_link")]
    assert "Next exam" in links
    assert "Follow this patient" in links
    assert "Exam before" not in links


def test_a_study_that_is_not_there_is_told(page, store):
    app = page(store, "case", study="9.9.9")
    assert "no study 9.9.9" in app.error[0].value.lower()


def test_without_a_study_one_is_asked_for(page, store):
    app = page(store, "case")
    (offered,) = [each.value for each in app.dataframe]
    assert len(offered) == 6
    assert "patient_id" not in offered.columns
    app.text_input[0].set_value("P3.a").run()
    assert app.query_params["study"] == "P3.a"
    assert metrics(app)["Cines"] == "1"


def test_an_empty_store_says_what_comes_first(page, tmp_path):
    app = page(new_store(tmp_path / "empty").path, "case")
    assert any("angioatlas embed" in each.value for each in app.caption)


def test_a_store_without_heads_and_labels_says_so(page, tmp_path):
    store = new_store(tmp_path / "atlas")
    commit(store, {"P1.a": ["1"]}, heads_id=None)
    app = page(store.path, "case", study="P1.a")
    assert any("Neither finding heads nor measurements" in each.value for each in app.info)
    assert any("No other case can be compared" in each.value for each in app.info)
