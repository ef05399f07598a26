"""The page of operations: the same tables as the Atlas's, and no path on it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from angioatlas.atlas import Atlas
from core.outcomes import Code, Status
from store.inputs import InputRow
from store.lease import INFO_FILE
from tests.support.clinical_store import clinical_store
from tests.support.store_cases import batch, new_store

RUNS, INDEXES, JUDGED = "Runs and versions", "Indexes", "Judgements"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = new_store(tmp_path_factory.mktemp("operations") / "atlas")
    made = batch({"P1.a": ["1"], "P2.a": ["2"]}, skipped=["/archive/x"])
    bad = InputRow(
        "file:///archive/DOE/1.dcm", 1, 2, Status.QUARANTINED, Code.TRUNCATED, "it ends early"
    )
    with store.writer("20260102T030405-aaaa") as writer:
        writer.commit(dataclasses.replace(made, inputs=[*made.inputs, bad]))
    return store.path


def test_inputs_are_counted_with_their_reasons(page, store):
    app = page(store, "operations")
    shown = {each.label: each.value for each in app.metric}
    assert shown == {
        "Inputs": "4", "Embedded": "2", "Skipped": "1", "Quarantined": "1", "Duplicate": "0",
    }  # fmt: skip
    outcomes, quarantine = (each.value for each in app.dataframe)
    expected = Atlas.open(store).outcomes().dropna(subset=["code"])
    assert outcomes["code"].tolist() == expected["code"].tolist()
    assert outcomes["inputs"].tolist() == expected["inputs"].tolist()
    assert quarantine["message"].tolist() == ["it ends early"]
    assert "DOE" not in quarantine.to_csv()
    (chart,) = app.get("plotly_chart")
    assert {each["name"] for each in json.loads(chart.proto.spec)["data"]} == {
        "skipped", "quarantined",
    }  # fmt: skip


def test_runs_and_versions_are_listed(page, store):
    runs, versions = (each.value for each in page(store, "operations", part=RUNS).dataframe)
    assert runs["run_id"].tolist() == ["20260102T030405-aaaa"]
    assert runs["quarantined"].tolist() == [1]
    assert versions["version"].tolist() == [1]


def test_who_writes_or_died_is_told(page, store):
    told = {"host": "h", "pid": 1, "run_id": "run-7", "started_at": "s", "heartbeat_at": "b"}
    (store / INFO_FILE).write_text(json.dumps(told))
    try:
        app = page(store, "operations", part=RUNS)
    finally:
        (store / INFO_FILE).unlink()
    assert "run-7" in app.warning[0].value


def test_an_index_is_held_against_a_full_scan(page, store):
    app = page(store, "operations", part=INDEXES)
    assert any("Held against" in each.value for each in app.header)
    (measure,) = [each for each in app.button if each.label == "Measure"]
    measure.click().run()
    table = app.dataframe[-1].value
    assert table["recall"].tolist() == [1.0] * len(table)
    assert len(table) > 0


def test_judgements_are_measured(page, tmp_path):
    atlas = clinical_store(tmp_path / "atlas")
    app = page(atlas.store.path, "operations", part=JUDGED)
    assert any("Nobody has judged" in each.value for each in app.info)
    for uid, relevance in (("P4.a", 3), ("P5.a", 3), ("P0.a", 0)):
        atlas.judge("calcified RCA", uid, relevance)
    app.run()
    measures, said = (each.value for each in app.dataframe)
    expected = atlas.evaluate(level="study").table
    assert measures["value"].tolist() == pytest.approx(expected["value"].tolist(), nan_ok=True)
    assert said["relevance"].tolist() == [3, 3, 0]


def test_an_empty_store_says_what_comes_first(page, tmp_path):
    store = new_store(tmp_path / "empty").path
    for part in ("Inputs", RUNS, INDEXES):
        app = page(store, "operations", part=part)
        assert any("Next step" in each.value for each in app.caption)
