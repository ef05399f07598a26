"""Runs, outcomes and quarantine as those who run an atlas see them, from Python and a terminal."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from angioatlas.access.principal import Principal, Scope
from angioatlas.atlas import Atlas
from core.errors import ForbiddenError
from core.outcomes import OUTCOMES, Code, Status
from core.settings import Settings
from store.inputs import InputRow
from store.lease import INFO_FILE
from tests.support.cli import angioatlas, as_json
from tests.support.store_cases import batch, commit, new_store

PATH = "file:///archive/DOE^JANE/1.dcm"
FIRST, SECOND, NAMELESS = "20260102T030405-aaaa", "20260203T040506-bbbb", "0-by-hand"


@pytest.fixture
def atlas(tmp_path):
    store = new_store(tmp_path / "atlas")
    bad = [
        InputRow(PATH, 1, 2, Status.QUARANTINED, Code.TRUNCATED, "it ends early", "9", "P9.a"),
        InputRow("file:///b", 1, 2, Status.QUARANTINED, Code.BAD_HEADER, "no preamble"),
    ]
    with store.writer(FIRST) as writer:
        made = batch({"P1.a": ["1", "2"], "P2.a": ["3"]}, skipped=["/archive/x", "/archive/y"])
        writer.commit(dataclasses.replace(made, inputs=[*made.inputs, *bad]))
    with store.writer(SECOND) as writer:
        writer.commit(batch({"P2.a": ["3", "4"]}))
    with store.writer(NAMELESS) as writer:
        writer.commit(batch({"P3.a": ["5"]}))
    return Atlas.open(store.path, settings=Settings(state_dir=tmp_path / "state"))


def test_runs_say_what_stands_where_they_put_it(atlas):
    runs = atlas.runs().set_index("run_id")
    assert [*runs.index] == [SECOND, FIRST, NAMELESS]
    assert runs.loc[FIRST, "started_at"] == dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert runs["started_at"].isna().tolist() == [False, False, True]
    assert runs["encoder_id"].tolist() == ["enc-a"] * 3
    assert runs["versions"].tolist() == [1, 1, 1]
    # Video 3 was offered again: the second run has the last word on it.
    assert runs["embedded"].tolist() == [2, 2, 1]
    assert runs["skipped"].tolist() == [0, 2, 0]
    assert runs["quarantined"].tolist() == [0, 2, 0]
    assert runs["duplicate"].tolist() == [0, 0, 0]
    whole = runs[[status.value for status in Status]].to_numpy().sum()
    assert whole == len(atlas.inputs()) == atlas.info()["inputs"]


def test_a_labels_run_has_put_no_input_anywhere(atlas, tmp_path):
    labels = tmp_path / "follow_up.csv"
    labels.write_text("patient_id,last_known_date,status\nP1,2023-01-01,alive\n")
    atlas.import_labels([labels])
    newest = atlas.runs().iloc[0]
    assert (newest["kinds"], newest["embedded"], newest["versions"]) == ("labels", 0, 1)
    assert newest["encoder_id"] is None


def test_an_older_version_has_no_later_runs(atlas):
    older = Atlas.open(atlas.store.path, settings=atlas.settings, version=1)
    assert older.runs()["run_id"].tolist() == [FIRST]


def test_outcomes_count_every_input_and_say_what_to_do(atlas):
    table = atlas.outcomes()
    assert table["inputs"].sum() == len(atlas.inputs())
    counts = {(row.status, row.code): row.inputs for row in table.itertuples()}
    assert counts == {
        ("embedded", None): 5,
        ("skipped", "not_dicom"): 2,
        ("quarantined", "bad_header"): 1,
        ("quarantined", "truncated"): 1,
    }
    of = table.set_index("code").loc["truncated"]
    assert (of["meaning"], of["hint"]) == (
        OUTCOMES[Code.TRUNCATED].meaning,
        OUTCOMES[Code.TRUNCATED].hint,
    )


def test_quarantine_says_why_without_a_path(atlas):
    rows = atlas.quarantine()
    assert rows["code"].tolist() == ["bad_header", "truncated"]
    assert rows["message"].tolist() == ["no preamble", "it ends early"]
    assert rows["study_uid"].tolist() == [None, "P9.a"]
    assert "DOE" not in rows.to_csv()
    assert atlas.quarantine(limit=1)["code"].tolist() == ["bad_header"]


def test_who_writes_is_said_also_of_one_who_died(atlas):
    assert atlas.writing() is None
    with atlas.store.writer("run-7"):
        assert atlas.writing().run_id == "run-7"
        told = (atlas.store.path / INFO_FILE).read_text()
    assert atlas.writing() is None
    (atlas.store.path / INFO_FILE).write_text(told)
    assert atlas.writing().run_id == "run-7"


def test_an_empty_store_has_tables_with_no_rows(tmp_path):
    atlas = Atlas.open(
        new_store(tmp_path / "empty").path, settings=Settings(state_dir=tmp_path / "state")
    )
    for table in (atlas.runs(), atlas.outcomes(), atlas.quarantine()):
        assert table.empty
        assert len(table.columns) >= 5


def test_who_may_not_read_is_told_nothing(atlas):
    searcher = atlas.acting_as(Principal("s", frozenset({Scope.SEARCH}), "key"))
    for use_case in (searcher.runs, searcher.outcomes, searcher.quarantine, searcher.writing):
        with pytest.raises(ForbiddenError, match="needs the scope 'read'"):
            use_case()


def test_a_terminal_shows_the_same(atlas, tmp_path):
    runs = as_json(tmp_path, "store", "runs", "--store", atlas.store.path)
    assert [row["run_id"] for row in runs] == [SECOND, FIRST, NAMELESS]
    outcomes = as_json(tmp_path, "store", "outcomes", "--store", atlas.store.path)
    assert [row["inputs"] for row in outcomes] == [5, 2, 1, 1]
    said = angioatlas(tmp_path, "store", "outcomes", "--store", atlas.store.path).stdout
    assert "truncated" in said
    commit(atlas.store, {"P4.a": ["6"]})
    assert len(as_json(tmp_path, "store", "runs", "--store", atlas.store.path)) == 4
