"""Compaction, retention and purge on real tables; what stays is compared row by row."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import LeaseHeldError, NotFoundError, StoreError
from core.schema import Level
from store.maintain import compact, folder_bytes, hide_patient, purge_patient
from store.store import Position, Store
from tests.support.store_cases import (
    batch,
    commit,
    files_holding,
    findings,
    new_store,
    patient_of,
    seen,
    seen_by,
    vectors,
)
from tests.support.store_child import BEFORE, CHANGE, act

ROOT = Path(__file__).parents[2]
NO_GRACE = dt.timedelta(0)


def grown(folder: Path) -> Store:
    """Return a store with superseded rows, two spaces, and the orphans of a failed commit."""
    store = new_store(folder)
    commit(store, BEFORE, skipped=["/archive/x"])
    commit(store, BEFORE, heads_id="heads-2", facts=False)
    commit(store, BEFORE, encoder_id="enc-b", facts=False)
    commit(store, CHANGE)
    for i in range(6):
        commit(store, {f"P{10 + i}.a": [str(100 + i)]})

    def fail(step):
        if step == "studies":
            raise KeyboardInterrupt("killed")

    with (
        pytest.raises(KeyboardInterrupt, match="killed"),
        store.writer("fails", on_step=fail) as writer,
    ):
        writer.commit(batch({"P77.a": ["777"]}))
    return store


def test_compaction_keeps_every_visible_row(tmp_path):
    store = grown(tmp_path / "s")
    before = seen(store, keys=True)
    assert files_holding(store.path, b"P77.a")
    report = compact(store, keep_versions=1, grace=NO_GRACE)
    assert seen(store, keys=True) == before
    # Superseded rows of P1.a and P3.a, and the orphans; P3.a has lost its videos altogether.
    # The vectors of enc-a came twice, with two sets of heads, whose findings both stay.
    assert report.rows_removed["spaces/enc-a/video_vectors"] == 5 + 2 + 2 + 1
    assert report.rows_removed["spaces/enc-a/findings"] == 2 * (1 + 1) + 1
    assert report.rows_removed["studies"] == 1 + 2 + 1
    assert report.version == report.oldest_readable == store.latest_version
    assert store.versions()[0].version == report.oldest_readable
    assert files_holding(store.path, b"P77.a") == []
    assert folder_bytes(store) < report.bytes_before
    assert len(list((store.path / "tables/studies.lance/data").iterdir())) == 1
    commit(store, {"P1.a": ["1", "2"]})
    assert store.snapshot().videos().num_rows == len(before["videos"])


def test_compacting_twice_changes_nothing_more(tmp_path):
    store = grown(tmp_path / "s")
    first = compact(store, grace=NO_GRACE)
    again = compact(store, grace=NO_GRACE)
    assert again.version == first.version
    assert again.rows_removed == {}
    assert again.oldest_readable == first.oldest_readable == first.version - 1


def test_retention_keeps_what_is_young_or_pinned_and_all_after_it(tmp_path):
    store = grown(tmp_path / "s")
    compact(store)
    assert [record.version for record in store.versions()] == list(range(12))[1:]
    expected = seen(store, 4)
    other = Store.open(store.path)
    with other.snapshot(4) as pinned:
        for _ in range(2):
            time.sleep(0.6)  # so that cleaning, which is by time, has something to clean
            report = compact(store, keep_versions=1, grace=NO_GRACE)
            assert report.oldest_readable == 4
            assert seen_by(pinned) == expected
            assert seen(store, 4) == expected
        with pytest.raises(NotFoundError, match=r"no version 3 to read; it has 4 to"):
            store.snapshot(3)
    report = compact(store, keep_versions=1, grace=NO_GRACE)
    assert report.oldest_readable == report.version
    with pytest.raises(NotFoundError, match="no version 4 to read"):
        store.snapshot(4)


def test_grace_is_counted_from_the_commit(tmp_path):
    store = new_store(tmp_path / "s")
    for i in range(4):
        commit(store, {f"P{i}.a": [str(i)]})
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=6)
    assert compact(store, now=later).oldest_readable == 1
    later += dt.timedelta(days=2)
    report = compact(store, now=later)
    assert report.version - report.oldest_readable == 1


@pytest.mark.parametrize(("keep_versions", "days"), [(0, 7), (2, -1)])
def test_senseless_retention_is_refused(tmp_path, keep_versions, days):
    store = new_store(tmp_path / "s")
    with pytest.raises(StoreError, match="at least one version and no negative grace"):
        compact(store, keep_versions=keep_versions, grace=dt.timedelta(days=days))


def test_a_study_that_came_back_after_compaction(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, {"P1.a": ["1"]})
    commit(store, {"P1.a": []})
    compact(store, keep_versions=1, grace=NO_GRACE)
    assert seen(store)["studies"] == []
    commit(store, {"P1.a": ["1"]})
    assert [row["sop_uid"] for row in seen(store)["videos"]] == ["1"]


PURGED = {
    "PTX-PURGE.study-one": ["sop-purge-1", "sop-purge-2"],
    "PTX-PURGE.study-two": ["sop-purge-3"],
}
NEEDLES = {
    "patient id": b"PTX-PURGE",
    "study uid": b"study-one",
    "sop uid": b"sop-purge-3",
    "vector": vectors(("enc-a", "sop-purge-1"))[0].tobytes(),
    "part of a vector": vectors(("enc-b", "sop-purge-3"))[0, 100:104].tobytes(),
    "pooled": vectors(("enc-a", "pooled", "sop-purge-2"), unit=False)[0].tobytes(),
    "study vector": vectors(("enc-a", "PTX-PURGE.study-two", ("sop-purge-3",)))[0].tobytes(),
    "findings": findings(PURGED, encoder_id="enc-a").raw[:, 0].tobytes(),
    "part of a finding vector": findings(PURGED, encoder_id="enc-a").pooled[1, 2:7].tobytes(),
}


def with_patient(folder: Path) -> Store:
    store = grown(folder)
    commit(store, PURGED)
    commit(store, PURGED, encoder_id="enc-b", facts=False)
    commit(store, {"PTX-PURGE.study-one": ["sop-purge-1"], "P20.a": ["200"]})
    commit(store, {"PTX-PURGE.study-one": ["sop-purge-1", "sop-purge-2"]})
    commit(store, PURGED, encoder_id="enc-b", facts=False)
    return store


def without(rows, patient: str):
    """Drop a patient's rows from what `seen` returns; vectors are compared elsewhere."""
    mine = ("sop-purge", f"{patient}.")
    return {
        name: [row for row in part if not any(str(v).startswith(mine) for v in row.values())]
        for name, part in rows.items()
        if isinstance(part, list)
    }


def vectors_by_key(store: Store):
    out = {}
    with store.snapshot() as snapshot:
        for encoder_id in snapshot.spaces():
            for level in Level:
                keys, found = snapshot.vectors(encoder_id, level)
                for uid, vector in zip(keys["uid"].to_pylist(), found, strict=True):
                    out[encoder_id, level, uid] = vector.tobytes()
    return out


def test_purge_removes_every_byte_and_nothing_else(tmp_path):
    store = with_patient(tmp_path / "s")
    compact(store)
    rows, found = seen(store, keys=True), vectors_by_key(store)
    for what, needle in NEEDLES.items():
        assert files_holding(store.path, needle), f"the scan does not find the {what}"
    report = purge_patient(store, "PTX-PURGE")
    for what, needle in NEEDLES.items():
        assert files_holding(store.path, needle) == [], what
    after = seen(store, keys=True)
    assert {name: after[name] for name in without(rows, "PTX-PURGE")} == without(rows, "PTX-PURGE")
    gone = {key for key in found if "purge" in key[2].lower()}
    assert len(gone) == 2 * 5
    assert vectors_by_key(store) == {key: v for key, v in found.items() if key not in gone}
    assert report.oldest_readable == report.version
    assert [record.version for record in store.versions()] == [report.version]
    assert store.is_deleted("PTX-PURGE")
    assert not store.is_deleted("P1")
    assert store.tombstones().unfinished() == 0


def test_a_hidden_patient_is_gone_from_new_snapshots_of_every_version(tmp_path):
    store = with_patient(tmp_path / "s")
    rows, position = seen(store), store.position()
    with store.snapshot() as old, store.writer("a run that goes on"):
        with pytest.raises(LeaseHeldError, match="the patient is hidden, but the bytes stay"):
            purge_patient(store, "PTX-PURGE")
        assert store.position() == Position(position.version, 1)
        for version in (None, 10, 12):
            shown = seen(store, version)
            assert without(shown, "PTX-PURGE") == {
                name: part for name, part in shown.items() if isinstance(part, list)
            }
        assert without(rows, "PTX-PURGE") == without(seen(store), "PTX-PURGE")
        assert seen_by(old) == rows  # opened before, so it stays as it was
    assert store.tombstones().unfinished() == 1
    assert files_holding(store.path, NEEDLES["study uid"])


def test_a_hidden_patient_leaves_the_sql_views_too(tmp_path):
    store = with_patient(tmp_path / "s")
    count = (
        "SELECT (SELECT count(*) FROM studies WHERE patient_id = $p)"
        " + (SELECT count(*) FROM videos WHERE patient_id = $p)"
        " + (SELECT count(*) FROM inputs WHERE sop_uid LIKE 'sop-purge%') AS n"
    )
    with store.snapshot() as snapshot:
        assert snapshot.sql(count, {"p": "PTX-PURGE"}).to_pylist() == [{"n": 2 + 3 + 3}]
    hide_patient(store, "PTX-PURGE")
    hide_patient(store, "PTX-PURGE")
    assert len(store.tombstones()) == 1
    with store.snapshot() as snapshot:
        assert snapshot.sql(count, {"p": "PTX-PURGE"}).to_pylist() == [{"n": 0}]


def test_purge_is_refused_while_an_old_version_is_read_and_then_completes(tmp_path):
    store = with_patient(tmp_path / "s")
    with Store.open(store.path).snapshot(11) as reader:
        expected = seen_by(reader)
        with pytest.raises(StoreError, match="still reading version 11"):
            purge_patient(store, "PTX-PURGE")
        assert seen_by(reader) == expected
    purge_patient(store, "PTX-PURGE")
    assert files_holding(store.path, NEEDLES["study uid"]) == []


def test_a_reader_who_comes_while_a_purge_rewrites(tmp_path):
    store = with_patient(tmp_path / "s")
    late = []

    def come(step):
        if step == "rewrite studies":
            late.append(store.snapshot())

    with pytest.raises(StoreError, match=f"still reading version {store.latest_version}"):
        purge_patient(store, "PTX-PURGE", on_step=come)
    assert "PTX-PURGE" not in str(seen_by(late[0]))
    late[0].close()
    purge_patient(store, "PTX-PURGE")
    assert files_holding(store.path, NEEDLES["study uid"]) == []


def test_purge_of_the_former_owner_of_a_study(tmp_path):
    """A study whose PatientID was corrected: the old rows go, the study stays."""
    store = new_store(tmp_path / "s")
    wrong = batch({"P1.a": ["1"]})
    commit(store, {"P2.a": ["3"]})
    with store.writer("wrong") as writer:
        writer.commit(
            dataclasses.replace(
                wrong,
                cines=[dataclasses.replace(c, patient_id="WRONG-OWNER") for c in wrong.cines],
                studies=[dataclasses.replace(s, patient_id="WRONG-OWNER") for s in wrong.studies],
            )
        )
    commit(store, {"P1.a": ["1"]})
    before = seen(store, keys=True)
    assert [row["study_uid"] for row in before["studies"]] == ["P1.a", "P2.a"]
    hide_patient(store, "WRONG-OWNER")
    assert seen(store, keys=True) == before
    purge_patient(store, "WRONG-OWNER")
    assert seen(store, keys=True) == before
    assert files_holding(store.path, b"WRONG-OWNER") == []


def test_a_deleted_patient_is_not_let_in_again(tmp_path):
    store = with_patient(tmp_path / "s")
    purge_patient(store, "PTX-PURGE")
    with store.writer("again") as writer, pytest.raises(StoreError, match="who was deleted"):
        writer.commit(batch(PURGED))
    assert files_holding(store.path, NEEDLES["patient id"]) == []
    # Purging again is harmless.
    rows = seen(store, keys=True)
    purge_patient(store, "PTX-PURGE")
    assert seen(store, keys=True) == rows


def test_purge_of_the_only_patient_leaves_an_empty_store_that_works(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, PURGED)
    purge_patient(store, "PTX-PURGE")
    for what, needle in NEEDLES.items():
        assert files_holding(store.path, needle) == [], what
    assert seen(store)["studies"] == []
    commit(store, {"P1.a": ["1"]})
    assert [row["study_uid"] for row in seen(store)["studies"]] == ["P1.a"]


@pytest.mark.parametrize("what", ["compact", "purge"])
@pytest.mark.parametrize("which", ["some", pytest.param("all", marks=pytest.mark.slow)])
def test_maintenance_killed_between_any_two_writes(tmp_path, what, which):
    start = tmp_path / "start"
    before = seen(grown(start))
    shutil.copytree(start, tmp_path / "whole")
    steps: list[str] = []
    act(Store.open(tmp_path / "whole"), what, steps.append)
    expected = seen(Store.open(tmp_path / "whole"))
    assert (expected == before) is (what == "compact")
    assert len(steps) > 25
    turning_point = steps.index("commits")
    some = [turning_point - 1, turning_point, turning_point + 4]
    for step in some if which == "some" else range(len(steps)):
        folder = tmp_path / f"killed-{step}"
        shutil.copytree(start, folder)
        command = [sys.executable, "-m", "tests.support.store_child", folder, what, str(step)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert ended.returncode == -9, ended.stderr
        store = Store.open(folder)
        assert seen(store) == expected, steps[step]
        act(store, what, None)
        assert seen(store) == expected, steps[step]
        if what == "purge":
            assert files_holding(folder, b"P1.a") == [], steps[step]
        commit(store, {"P5.a": ["500"]})
        assert patient_of("P5.a") in {row["patient_id"] for row in seen(store)["studies"]}
        shutil.rmtree(folder)


def test_a_copy_of_the_folder_is_a_backup(tmp_path):
    store = grown(tmp_path / "s")
    shutil.copytree(store.path, tmp_path / "copy")
    expected = seen(store, keys=True)
    shutil.rmtree(store.path)
    assert seen(Store.open(tmp_path / "copy"), keys=True) == expected
