"""Serial exams of a real store: gathered with labels, told apart, reported, patient by patient."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from analytics.maps.projection import MapSpec
from analytics.progression.study import Plan
from angioatlas.atlas import Atlas
from angioatlas.progression.study import scored_pairs
from core.errors import NotFoundError, UsageError
from tests.support.serial_store import serial_store
from tests.support.survival_store import ENCODER


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial") / "atlas"
    drawn = serial_store(folder, 120, seed=5)
    atlas = Atlas.open(folder)
    atlas.import_labels([folder.with_name("atlas-labels")])
    return atlas, drawn


def test_pairs_are_joined_with_what_was_done_and_found(made):
    atlas, drawn = made
    study = atlas.progression(Plan(repeats=50)).study
    pairs = study.pairs
    truth = drawn.inputs.pairs.assign(moved=drawn.moved, treated=drawn.treated)
    both = pairs.merge(truth[["study_uid", "moved", "treated"]], on="study_uid")
    assert len(both) == 120
    assert (both["treatment"] == "pci").tolist() == both["treated"].tolist()
    assert study.floor.source == "unchanged pairs"
    # What was treated is never called progression; what grew by more than 20 points always is.
    progressed = both["progressed"].astype(bool)
    assert not progressed[both["treated"]].any()
    assert progressed[both["moved"] > 0.4].all()
    named = study.comparisons.set_index("comparison")["auc"]
    assert named["progressed against stable, natural course"] > 0.9
    natural, _ = study.correlations.to_dict("records")
    assert natural["what"] == "score and absolute change of stenoses"
    assert natural["spearman"] > 0.7
    assert study.inputs.notes[0] == "stenoses of segments are from measurements"


def test_findings_can_be_left_out_or_are_asked_for_in_vain(made):
    atlas, _ = made
    assert "progressed" not in atlas.progression(findings="none").study.pairs
    with pytest.raises(UsageError, match="findings of 0 sets of heads of enc-a"):
        atlas.progression(findings="heads")
    with pytest.raises(UsageError, match="findings 'report': expected one of auto, heads"):
        atlas.progression(findings="report")


def test_without_text_the_direction_is_fitted_to_stenoses(made):
    atlas, drawn = made
    study = atlas.progression(Plan(repeats=20)).study
    assert study.inputs.notes[1].startswith("toward disease leads the sum of stenoses")
    natural = ~drawn.treated
    moved = study.pairs.set_index("study_uid").loc[drawn.inputs.pairs["study_uid"]]
    toward = moved["toward_disease"].to_numpy()
    assert np.corrcoef(toward[natural], drawn.moved[natural])[0, 1] > 0.5
    assert set(study.steps["axis"]) == {"disease"}
    with pytest.raises(UsageError, match="no text encoder of this space is here"):
        atlas.progression(direction="text")
    with pytest.raises(UsageError, match="the stenoses of fewer than 50 patients are known"):
        atlas.progression(findings="none", direction="fitted")


def test_a_cohort_of_first_exams_has_no_pairs(made):
    atlas, _ = made
    with pytest.raises(UsageError, match="no patient of the cohort has two exams") as refused:
        atlas.progression(cohort=atlas.choose_cohort())
    assert "--index every" in refused.value.hint


def test_the_report_holds_the_figures(made, tmp_path):
    atlas, _ = made
    result = atlas.progression(Plan(repeats=20))
    page, beside = result.write(tmp_path / "progression.html")
    text = page.read_text(encoding="utf-8")
    assert "Research use only" in text
    titles = ("Summary", "Protocol", "Change", "Disease", "Before and after PCI", "Trajectories")
    for title in (*titles, "Provenance"):
        assert f">{title}</h2>" in text
    told = json.loads(beside.read_text(encoding="utf-8"))
    assert told["floor"]["threshold"] == pytest.approx(result.study.floor.threshold, rel=1e-5)
    assert len(told["rates"]) == 4
    table = result.pairs()
    assert set(table["treated_segments"]) == {"", "mid_lad"}


def test_the_timeline_of_a_patient(made):
    atlas, drawn = made
    pair = drawn.inputs.pairs[drawn.treated].iloc[0]
    found = atlas.timeline(pair["patient_id"])
    assert found["kind"].tolist() == [
        "exam",
        "measurement",
        "procedure",
        "exam",
        "change",
        "measurement",
    ]
    assert found["what"][2] == "pci mid_lad"
    score = atlas.progression().study.pairs.set_index("study_uid")["score"]
    assert found["value"][4] == pytest.approx(score[pair["study_uid"]])
    with pytest.raises(NotFoundError, match="the store has no such patient"):
        atlas.timeline("nobody")


def test_patients_are_followed_on_a_map(made):
    atlas, drawn = made
    dots = atlas.draw_map("followed", spec=MapSpec("pca")).dots.set_index("uid")
    found = atlas.progression(Plan(repeats=20), on_map="followed").trajectories()
    assert found["number"].tolist() == [1, 2] * 120
    np.testing.assert_allclose(found["x"], dots.loc[found["study_uid"], "x"])
    treated = set(drawn.inputs.pairs["study_uid"][drawn.treated])
    assert set(found.loc[found["treatment"] == "pci", "study_uid"]) == treated
    atlas.draw_map("views", spec=MapSpec("pca"), level="video")
    with pytest.raises(UsageError, match="shows video embeddings of enc-a, expected studies"):
        atlas.progression(on_map="views")


def test_what_pci_changed_is_told(made):
    atlas, drawn = made
    score, toward = atlas.progression(Plan(repeats=200)).study.treated.to_dict("records")
    assert score["treated"] == drawn.treated.sum()
    assert score["treated"] + score["untreated"] == 120
    assert score["lower"] > 0, "who was treated moved further than others did"
    assert toward["upper"] < 0, "and the other way"


def test_an_export_has_the_pairs_and_what_is_known_by_date(made, tmp_path):
    atlas, drawn = made
    out = tmp_path / "out.duckdb"
    assert atlas.export(out).saved["progression"] == 120
    result = atlas.progression()
    document = (Path(__file__).parents[2] / "docs/export.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", document, flags=re.DOTALL)
    patient = drawn.inputs.pairs["patient_id"].iloc[0]
    with duckdb.connect(str(out), read_only=True) as connection:
        told = connection.sql("select * from progression").df()
        dated = connection.sql(f"select * from timeline where patient_id = '{patient}'").df()
        labels = connection.sql("select label, count(*) from labels group by all").fetchall()
        (courses,) = (connection.sql(block).df() for block in blocks if "from progression" in block)
        (done,) = (connection.sql(block).df() for block in blocks if "from exams" in block)
        exams = connection.sql("select exam_number, n_exams from exams").fetchall()
    pairs = result.pairs()
    assert told["study_uid"].tolist() == pairs["study_uid"].tolist()
    for column in ("score", "toward_disease", "net_change"):
        np.testing.assert_allclose(told[column], pairs[column].astype(float), equal_nan=True)
    assert told["progressed"].tolist() == pairs["progressed"].tolist()
    assert set(told["threshold"]) == {result.study.floor.threshold}
    assert dated["what"].tolist() == atlas.timeline(patient)["what"].tolist()
    assert dict(labels) == {"measurement": 240, "procedure": int(drawn.treated.sum())}
    rates = result.study.rates.set_index("group")
    assert courses["pairs"].sum() == rates.loc["natural course", "pairs"]
    assert set(done["done"]) == {"pci"}
    assert len(done) == drawn.treated.sum(), "each was done three days after a first exam"
    assert sorted(set(exams)) == [(1, 2), (2, 2)]
    atlas.choose_cohort(members=[patient], index="every", name="one")
    some = atlas.export(tmp_path / "one.duckdb", cohort="one")
    assert (some.studies, some.saved["progression"]) == (2, 1)
    atlas.drop_cohort("one")


def test_an_export_of_too_few_exams_has_no_pairs(tmp_path):
    serial_store(tmp_path / "atlas", 3, seed=1)
    out = tmp_path / "out.duckdb"
    assert Atlas.open(tmp_path / "atlas").export(out).saved["progression"] == 0
    with duckdb.connect(str(out), read_only=True) as connection:
        kinds = connection.sql("select kind, count(*) from timeline group by all").fetchall()
    assert kinds == [("exam", 6)]


def test_one_patient_has_the_scores_of_a_study_of_everybody(tmp_path):
    """Also where the floor is of halves of exams, which those who came once have, too."""
    serial_store(tmp_path / "atlas", 30, seed=5, once=8)
    atlas = Atlas.open(tmp_path / "atlas")
    members = atlas.choose_cohort(index="every")
    floor, pairs = scored_pairs(atlas.store, members, encoder_id=ENCODER)
    assert floor.source == "split halves"
    assert (floor.patients, len(pairs)) == (30, 22)
    for uid, score in pairs[["study_uid", "score"]].itertuples(index=False):
        assert atlas.patient_progression(uid).compared.pairs["score"].tolist() == [score]
    again = atlas.came_again()
    assert again["score"].tolist() == sorted(pairs["score"], reverse=True)
    assert again.set_index("study_uid")["beyond"].to_dict() == dict(
        pairs[["study_uid", "beyond"]].itertuples(index=False)
    )


def test_who_came_again_is_known_without_a_floor(tmp_path):
    serial_store(tmp_path / "atlas", 4, seed=5, once=1)
    again = Atlas.open(tmp_path / "atlas").came_again()
    assert again["exams"].tolist() == [2, 2, 2]
    assert again[["score", "beyond", "changes_beyond"]].isna().all(axis=None)
    assert (again["first"] < again["last"]).all()


def test_the_report_of_a_patient_shows_the_course_and_no_name(made, tmp_path):
    atlas, drawn = made
    pair = drawn.inputs.pairs[drawn.treated].iloc[0]
    found = atlas.patient_progression(pair["study_uid"])
    pd.testing.assert_frame_equal(found.dated, atlas.timeline(pair["patient_id"]))
    page, beside = found.write(tmp_path / "course.html")
    told = json.loads(beside.read_text(encoding="utf-8"))
    assert told["changes"][0]["score"] == pytest.approx(found.compared.pairs["score"][0], rel=1e-5)
    assert [row["kind"] for row in told["dated"]].count("exam") == 2
    text = page.read_text(encoding="utf-8")
    assert "PCI mid LAD" in text
    assert "Research use only" in text
    written = {*re.findall(r"[\w-]+", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))}
    written |= {*re.findall(r"[\w-]+", beside.read_text(encoding="utf-8"))}
    assert pair["study_uid"] in text
    assert pair["patient_id"] not in written
