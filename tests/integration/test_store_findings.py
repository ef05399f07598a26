"""Findings in the store: which are visible, what they hold, and stores that have none."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pytest

from core.errors import NotFoundError, StoreError
from core.segments import HEADS
from store.maintain import compact
from store.tables import space_table
from tests.support.store_cases import batch, commit, findings, new_store, seen, vectors

FEW = {"P1.a": ["1", "2"], "P2.a": ["3"]}
TABLE = space_table("enc-a", "findings")
NO_GRACE = dt.timedelta(0)


@pytest.fixture
def store(tmp_path):
    return new_store(tmp_path / "s")


def studies_with_findings(store, heads_id="heads-1", encoder_id="enc-a"):
    with store.snapshot() as snapshot:
        return snapshot.findings(encoder_id, heads_id)["study_uid"].to_pylist()


def test_findings_are_those_committed(store):
    commit(store, FEW)
    given = findings(FEW, encoder_id="enc-a")
    with store.snapshot() as snapshot:
        rows = snapshot.findings("enc-a", "heads-1")
        keys, read = snapshot.finding_vectors("enc-a", "heads-1")
        assert snapshot.heads("enc-a") == ["heads-1"]
    assert rows.column_names == ["study_uid", "commit_id", *HEADS]
    assert rows["study_uid"].to_pylist() == keys["study_uid"].to_pylist() == ["P1.a", "P2.a"]
    matrix = np.column_stack([rows[head].to_numpy() for head in HEADS])
    np.testing.assert_array_equal(matrix, given.raw)
    absent = [head for head in HEADS if rows[head].null_count]
    assert absent == [head for head in HEADS if "calcif" in head]
    assert all(rows[head].null_count == 2 for head in absent)
    np.testing.assert_array_equal(read, given.pooled)
    assert read.dtype == np.float32


@pytest.mark.parametrize("length", [1, 512, 1024])
def test_the_vectors_that_heads_read_may_have_any_length(store, length):
    made = batch(FEW)
    assert made.findings is not None
    wide = np.concatenate([vectors("P1.a", "P2.a"), vectors("x", "y")], axis=1)[:, :length]
    with store.writer("run") as writer:
        writer.commit(
            dataclasses.replace(made, findings=dataclasses.replace(made.findings, pooled=wide))
        )
    with store.snapshot() as snapshot:
        np.testing.assert_array_equal(snapshot.finding_vectors("enc-a", "heads-1")[1], wide)


def test_vectors_of_several_lengths_under_one_name_are_refused_when_read(store):
    commit(store, FEW)
    made = batch({"P3.a": ["9"]})
    assert made.findings is not None
    longer = dataclasses.replace(made.findings, pooled=vectors("P3.a"))
    with store.writer("run") as writer:
        writer.commit(dataclasses.replace(made, findings=longer))
    with store.snapshot() as snapshot:
        assert snapshot.findings("enc-a", "heads-1").num_rows == 3
        with pytest.raises(StoreError, match="vectors of heads-1 have several lengths"):
            snapshot.finding_vectors("enc-a", "heads-1")


def test_the_last_findings_of_each_set_of_heads_count(store):
    commit(store, FEW)
    commit(store, FEW, heads_id="heads-2", facts=False)
    again = batch({"P1.a": FEW["P1.a"]}, facts=False)
    assert again.findings is not None
    newer = dataclasses.replace(again.findings, raw=again.findings.raw + np.float32(1))
    with store.writer("run") as writer:
        writer.commit(dataclasses.replace(again, findings=newer))
    given = findings(FEW, encoder_id="enc-a").raw
    other = findings(FEW, encoder_id="enc-a", heads_id="heads-2").raw
    for _ in range(2):
        with store.snapshot() as snapshot:
            assert snapshot.heads("enc-a") == ["heads-1", "heads-2"]
            first = snapshot.findings("enc-a", "heads-1")[HEADS[0]].to_numpy()
            second = snapshot.findings("enc-a", "heads-2")[HEADS[0]].to_numpy()
        np.testing.assert_array_equal(first, [newer.raw[0, 0], given[1, 0]])
        np.testing.assert_array_equal(second, other[:, 0])
        compact(store, keep_versions=1, grace=NO_GRACE)
    assert store.tables.count(TABLE) == 4


def test_findings_of_other_inputs_are_never_shown(store):
    commit(store, FEW)
    commit(store, {"P1.a": ["1", "2", "7"]}, heads_id=None)
    assert studies_with_findings(store) == ["P2.a"]
    commit(store, {"P1.a": ["1", "2", "7"]}, encoder_id="enc-b", facts=False)
    assert studies_with_findings(store) == ["P2.a"]
    assert studies_with_findings(store, encoder_id="enc-b") == ["P1.a"]
    commit(store, {"P1.a": ["1", "2", "7"]}, facts=False)
    assert studies_with_findings(store) == ["P1.a", "P2.a"]
    commit(store, {"P2.a": []})
    assert studies_with_findings(store) == ["P1.a"]


def test_findings_stay_when_the_same_inputs_are_embedded_without_heads(store):
    commit(store, FEW)
    commit(store, FEW, heads_id=None)
    assert studies_with_findings(store) == ["P1.a", "P2.a"]


def test_a_snapshot_keeps_the_findings_of_its_version(store):
    commit(store, FEW)
    with store.snapshot() as old:
        before = old.findings("enc-a", "heads-1")
        commit(store, {"P1.a": ["8"]})
        compact(store, keep_versions=1, grace=NO_GRACE)
        assert old.findings("enc-a", "heads-1") == before
    with pytest.raises(StoreError, match="snapshot of version 1 is closed"):
        old.findings("enc-a", "heads-1")


def test_a_store_from_before_there_were_findings(store):
    commit(store, FEW, heads_id=None)
    assert store.tables.space_tables() == [
        space_table("enc-a", "study_vectors"),
        space_table("enc-a", "video_vectors"),
    ]
    with store.snapshot() as snapshot:
        assert snapshot.heads("enc-a") == []
        with pytest.raises(NotFoundError, match=r"no findings of heads-1 .*; it has .*: none"):
            snapshot.findings("enc-a", "heads-1")
        with pytest.raises(NotFoundError, match="no space enc-z; it has: enc-a"):
            snapshot.heads("enc-z")
    before = seen(store, keys=True)
    compact(store, keep_versions=1, grace=NO_GRACE)
    assert seen(store, keys=True) == before
    commit(store, {"P3.a": ["9"]})
    assert studies_with_findings(store) == ["P3.a"]
    compact(store, keep_versions=1, grace=NO_GRACE)
    assert studies_with_findings(store) == ["P3.a"]


def test_a_table_that_only_a_killed_run_made_is_emptied_and_then_used(store):
    commit(store, FEW, heads_id=None)
    before = seen(store, keys=True)

    def fail(step):
        if step == TABLE:
            raise KeyboardInterrupt("killed")

    with (
        pytest.raises(KeyboardInterrupt, match="killed"),
        store.writer("fails", on_step=fail) as writer,
    ):
        writer.commit(batch(FEW))
    assert store.tables.count(TABLE) == 2
    assert seen(store, keys=True) == before
    report = compact(store, keep_versions=1, grace=NO_GRACE)
    assert report.rows_removed[TABLE] == 2
    assert TABLE not in store.versions()[-1].table_versions
    assert seen(store, keys=True) == before
    commit(store, FEW)
    assert studies_with_findings(store) == ["P1.a", "P2.a"]
