"""Probes of findings over a real store, held against measurements."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analytics.leakage import LeakageError
from angioatlas.atlas import Atlas
from angioatlas.probes.targets import by_text, sentence, truths
from core.errors import UsageError
from embedder.encoders.registry import load_text_encoder
from tests.support.cli import angioatlas
from tests.support.compact import write_untrained
from tests.support.survival_store import survival_store

EXAMS = 160


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes") / "atlas"
    drawn = survival_store(folder, EXAMS, seed=1)
    labels = folder.with_name("findings")
    labels.mkdir()
    rng = np.random.default_rng(0)
    narrow = np.clip(np.round(62 + 25 * drawn.truth + rng.normal(0, 6, EXAMS)), 20, 99)
    rows = [
        (f"{i}-{name}", drawn.patient[i], f"1.1.{i}", f"2018-01-0{1 + i % 9}", name, value)
        for i in range(EXAMS)
        for name, value in (
            ("stenosis_percent@prox_lad", int(narrow[i])),
            ("stenosis_percent@om1", int(rng.integers(20, 99))),
            ("cto@mid_rca", int(drawn.truth[i] > 1)),
        )
    ]
    columns = ["id", "patient_id", "study_uid", "date", "name", "value"]
    table = pd.DataFrame(rows, columns=columns).assign(unit="%", method="qca")
    lesions = table[table["name"] == "stenosis_percent@prox_lad"]
    # Reports round to tens, and say more than was measured.
    told = (lesions["value"] / 10).round() * 10 + 10
    reports = lesions.assign(id=lesions["id"] + "-r", method="Report", value=told.clip(upper=100))
    table = pd.concat([table, reports])
    table.to_csv(labels / "measurements.csv", index=False)
    atlas = Atlas.open(folder)
    atlas.import_labels([labels])
    return atlas


@pytest.fixture(scope="module")
def result(atlas):
    return atlas.probe_findings()


def test_what_the_embedding_knows_is_told_and_chance_is_not(result):
    # There are no heads here, and nobody reads text.
    assert set(result.table["method"]) == {"probe", "views"}
    views = result.table[result.table["method"] == "views"].set_index("finding")
    assert views.loc["prox_lad > 70 %", "auc"] > 0.7
    table = result.table[result.table["method"] == "probe"].set_index("finding")
    assert table.loc["prox_lad > 70 %", "auc"] > 0.8
    assert table.loc["LAD > 70 %", "auc"] == table.loc["prox_lad > 70 %", "auc"]
    assert table.loc["mid_rca cto", "auc"] > 0.8
    assert table.loc["om1 > 70 %", "auc_lower"] < 0.6
    assert table.loc["prox_lad > 70 %", "cases"] > 30
    errors = result.errors.set_index(["truth", "place"])
    assert set(result.errors["truth"]) == {"any", "qca", "report"}
    qca = errors.loc["qca"]
    assert qca.loc["prox_lad", "mae"] < 0.8 * qca.loc["om1", "mae"]
    assert qca.loc["prox_lad", "mae_lower"] < qca.loc["prox_lad", "mae"]
    assert qca.loc["every segment", "exams"] == 18 * EXAMS
    assert qca.loc["every segment", "lesions"] == 2 * EXAMS
    assert qca.loc["every segment", "lesion_mae"] > 3 * qca.loc["every segment", "mae"]
    # What was said beside reports is not what was said beside QCA: the lesions of om1 are none.
    assert np.isnan(errors.loc[("report", "om1"), "lesion_mae"])
    bias = errors.loc["report"].loc["prox_lad", "bias"] - qca.loc["prox_lad", "bias"]
    assert bias < -5
    assert (result.exams, result.patients) == (EXAMS, EXAMS)
    assert set(result.differences["other"]) == {"views"}
    assert result.differences["p_delong"].between(0, 1).all(), "each patient has one exam here"


def test_truth_is_what_was_measured(atlas):
    with atlas.snapshot() as snapshot:
        found = truths(snapshot, ["1.1.3", "1.1.4", "none"])
        measured = snapshot.labels("measurements").to_pandas()
    own = measured[(measured["study_uid"] == "1.1.3") & (measured["name"].str.endswith("prox_lad"))]
    assert found["prox_lad > 70 %"][0] == float(own["value"].iloc[0] > 70)
    assert found["prox_rca > 70 %"].tolist()[:2] == [0, 0]
    assert found.loc[2].isna().all()


def test_the_report_and_the_command(atlas, result, clean_environment, tmp_path):
    page, beside = result.write(tmp_path / "probes.html")
    assert "Research use only" in page.read_text(encoding="utf-8")
    told = json.loads(beside.read_text(encoding="utf-8"))
    assert len(told["table"]) == len(result.table)
    done = angioatlas(
        clean_environment, "probes", "--out", tmp_path / "t.csv", "--store", atlas.store.path
    )
    assert done.returncode == 0, done.stderr
    assert "prox_lad > 70 %" in done.stdout
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(result.table)


def test_text_is_asked_in_words_of_the_field(tmp_path):
    assert sentence("mid_rca > 70 %") == "severe stenosis of the mid RCA"
    assert sentence("LAD > 70 %") == "severe stenosis of the LAD"
    assert sentence("om1 cto") == "chronic total occlusion in the first obtuse marginal"
    write_untrained(tmp_path / "phantom-mini")
    reader = load_text_encoder(tmp_path / "phantom-mini", device="cpu")
    vectors = np.eye(512, dtype=np.float32)[:3]
    found = by_text(vectors, reader, ["mid_rca > 70 %", "om1 cto"])
    expected = reader.encode(["severe stenosis of the mid RCA"])[0][:3]
    np.testing.assert_allclose(found["mid_rca > 70 %"], expected, atol=1e-6)


def test_too_little_and_known_patients_are_refused(atlas, monkeypatch, tmp_path):
    few = atlas.choose_cohort(members=[f"1.1.{i}" for i in range(12)])
    with pytest.raises(UsageError, match="12 exams of the cohort have measured findings"):
        atlas.probe_findings(cohort=few)
    known = frozenset(atlas.studies()["patient_id"][:1])
    monkeypatch.setattr(atlas, "_trained_on", lambda space, members: known)
    with pytest.raises(LeakageError, match="the encoder was trained on"):
        atlas.probe_findings()
