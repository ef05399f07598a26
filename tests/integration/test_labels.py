"""Labels in a real store: imported, replayed, corrected, hidden and purged."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from angioatlas.atlas import Atlas
from angioatlas.labels import import_labels
from core.errors import IdentityError, LeaseHeldError, NotFoundError, StoreError, UsageError
from core.ids import KeptIdentity, PseudonymisedIdentity
from core.labels import LABELS, LabelKind
from core.settings import load_settings
from store.labels import LabelBatch, LabelRow
from store.maintain import compact, hide_patient, purge_patient
from store.store import Store
from tests.support.label_tables import (
    STUDIES,
    TABLES,
    add_studies,
    labelled_store,
    write_tables,
)
from tests.support.store_cases import batch, files_holding

KEPT = KeptIdentity()
SECRET = PseudonymisedIdentity(b"a key of sixteen", shift_dates=True)
EVENTS, REPORTS = LabelKind.EVENTS, LabelKind.REPORTS


@pytest.fixture
def folder(tmp_path):
    return write_tables(tmp_path / "labels")


@pytest.fixture
def store(tmp_path):
    return labelled_store(tmp_path / "s")


def take(store, *paths, identity=KEPT, **how):
    return import_labels(store, list(paths), identity=identity, **how)


def labels_of(store, version=None):
    """Return all visible labels as plain rows, by table."""
    with store.snapshot(version) as snapshot:
        return {kind.value: snapshot.labels(kind).to_pylist() for kind in LabelKind}


def counts(report, kind):
    return {name: n for name, n in report.as_dict()["tables"][kind].items() if n}


def test_what_is_imported_is_what_the_files_say(store, folder):
    report = take(store, folder)
    seen = labels_of(store)
    assert report.store_version == store.latest_version == 2
    assert {kind: len(rows) for kind, rows in seen.items()} == {
        kind: len(lines) - 1 for kind, lines in TABLES.items()
    }
    assert seen["events"][0] == {
        "patient_id": "P1",
        "date": dt.date(2021, 3, 1),
        "kind": "mi",
        "source": "registry",
    }
    assert seen["events"][2]["source"] is None
    assert [row["status"] for row in seen["follow_up"]] == ["dead", "lost"]
    assert {row["id"] for row in seen["procedures"]} > {"p1"}
    assert seen["procedures"][0]["segments"] == ["prox_lad", "mid_lad"]
    assert seen["procedures"][1]["segments"] == []
    assert seen["reports"][0]["text"] == "Occlusion of the proximal LAD.\nLVEF 48 %."
    assert [row["patient_id"] for row in seen["reports"]] == ["P1", "P2"]
    assert store.versions()[-1].kind == "labels"
    assert counts(report, "events") == {"rows": 3, "new": 3}


def test_the_same_files_again_change_nothing(store, folder):
    take(store, folder)
    before = labels_of(store)
    again = take(store, folder)
    assert again.store_version == store.latest_version == 2
    assert counts(again, "measurements") == {"rows": 3, "unchanged": 3}
    assert labels_of(store) == before


def test_an_older_version_shows_the_labels_of_then(store, folder):
    take(store, folder)
    then = labels_of(store)
    write_tables(folder, follow_up=["patient_id,last_known_date,status", "P2,2025-01-01,alive"])
    report = take(store, folder / "follow_up.csv")
    assert counts(report, "follow_up") == {"rows": 1, "changed": 1}
    assert labels_of(store, 1) == {kind.value: [] for kind in LabelKind}
    assert labels_of(store, 2) == then
    now = labels_of(store)
    assert [row["status"] for row in now["follow_up"]] == ["dead", "alive"]
    assert now | {"follow_up": then["follow_up"]} == then


def test_nothing_is_imported_when_one_cell_is_bad(store, folder):
    write_tables(folder, reports=["study_uid,text", "1.2.1,fine", "none,fine"])
    with pytest.raises(UsageError, match=r"reports\.csv, line 3, column study_uid"):
        take(store, folder)
    assert store.latest_version == 1
    assert store.lease_holder() is None


def test_a_study_of_another_patient_is_refused(store, folder):
    header = TABLES["measurements"][0]
    write_tables(folder, measurements=[header, "m1,P2,1.2.1,2021-03-02,lvef_percent,48,%,echo"])
    with pytest.raises(UsageError, match=r"line 2, column study_uid: .* found one of another pat"):
        take(store, folder)
    assert store.latest_version == 1


def test_two_rows_with_one_key_have_to_be_equal(store, folder):
    header, row = TABLES["follow_up"][:2]
    write_tables(folder, follow_up=[header, row, row])
    assert counts(take(store, folder), "follow_up") == {"rows": 2, "new": 1, "unchanged": 1}
    write_tables(folder, follow_up=[header, row, "P1,2023-01-01,alive"])
    with pytest.raises(UsageError, match=r"line 3, column patient_id: .*differs in .*, line 2"):
        take(store, folder)


def test_labels_may_come_before_the_cines(tmp_path, folder):
    store = labelled_store(tmp_path / "s", studies={"1.3.1": "P2"})
    report = take(store, folder)
    assert counts(report, "events") == {"rows": 3, "new": 3, "not_matched": 2}
    assert counts(report, "measurements") == {"rows": 3, "new": 3, "not_matched": 2}
    # Nobody knows whose a report is: it could not be deleted with its patient.
    assert counts(report, "reports") == {"rows": 2, "new": 1, "unknown_patient": 1}
    add_studies(store, KEPT, STUDIES)
    assert counts(take(store, folder), "reports") == {"rows": 2, "new": 1, "unchanged": 1}
    other = labelled_store(tmp_path / "t", studies={})
    write_tables(folder, reports=["study_uid,text,patient_id", "1.2.1,Occluded.,P1"])
    assert counts(take(other, folder), "reports") == {"rows": 1, "new": 1, "not_matched": 1}


def test_replacing_withdraws_what_the_files_do_not_have(store, folder):
    take(store, folder)
    write_tables(folder, events=[TABLES["events"][0], "P1,2021-03-02,mi,registry"])
    report = take(store, folder / "events.csv", replace=True)
    assert counts(report, "events") == {"rows": 1, "new": 1, "withdrawn": 3}
    assert [row["date"] for row in labels_of(store)["events"]] == [dt.date(2021, 3, 2)]
    assert len(labels_of(store)["reports"]) == 2
    assert len(labels_of(store, 2)["events"]) == 3
    assert counts(take(store, folder / "events.csv", replace=True), "events") == {
        "rows": 1,
        "unchanged": 1,
    }
    write_tables(folder)
    assert counts(take(store, folder / "events.csv"), "events") == {"rows": 3, "new": 3}


def test_compaction_keeps_every_visible_label(store, folder):
    take(store, folder)
    write_tables(folder, events=[TABLES["events"][0], "P1,2021-03-02,mi,registry"])
    take(store, folder / "events.csv", replace=True)
    before = labels_of(store)
    report = compact(store, keep_versions=1, grace=dt.timedelta(0))
    assert report.rows_removed == {"events": 6}
    assert labels_of(store) == before
    again = compact(store, keep_versions=1, grace=dt.timedelta(0))
    assert (again.version, again.rows_removed) == (report.version, {})


@pytest.mark.parametrize("step", range(0, 21, 2))
def test_a_killed_import_leaves_nothing_and_the_next_one_is_whole(store, folder, step):
    done = []

    def fail(name):
        done.append(name)
        if len(done) == step + 1:
            raise KeyboardInterrupt("killed")

    with pytest.raises(KeyboardInterrupt, match="killed"):
        take(store, folder, on_step=fail)
    assert labels_of(store) == {kind.value: [] for kind in LabelKind}
    take(store, folder)
    once = labels_of(store)
    compact(store, keep_versions=1, grace=dt.timedelta(0))
    assert labels_of(store) == once
    assert {kind: len(rows) for kind, rows in once.items()} == {
        kind: len(lines) - 1 for kind, lines in TABLES.items()
    }


def test_a_table_that_only_a_killed_import_made_is_emptied(store, folder):
    def fail(name):
        if name == "events":
            raise KeyboardInterrupt("killed")

    with pytest.raises(KeyboardInterrupt, match="killed"):
        take(store, folder, on_step=fail)
    report = compact(store, keep_versions=1, grace=dt.timedelta(0))
    assert report.rows_removed == {"events": 3}
    assert "events" not in store.versions()[-1].table_versions
    assert files_holding(store.path, b"death_cardiovascular") == []


def test_identifiers_and_dates_become_those_of_the_store(tmp_path, folder):
    store = labelled_store(tmp_path / "s", SECRET)
    report = take(store, folder, identity=SECRET)
    assert not any(table.not_matched for table in report.tables.values())
    seen = labels_of(store)
    patient = SECRET.patient("P1")
    shift = dt.timedelta(days=SECRET.shift_days(patient))
    assert abs(shift.days) >= 1
    mine = [row for row in seen["events"] if row["patient_id"] == patient]
    assert [row["date"] - shift for row in mine] == [dt.date(2021, 3, 1), dt.date(2022, 8, 9)]
    with store.snapshot() as snapshot:
        dates = {row["study_uid"]: row["study_date"] for row in snapshot.studies().to_pylist()}
    # What lies between a label and a study stays as it was.
    assert dates[SECRET.uid("1.2.1")] == mine[0]["date"]
    by_id = {row["id"]: row for row in seen["measurements"]}
    assert by_id[SECRET.label("m1")]["study_uid"] == SECRET.uid("1.2.1")
    for needle in (b"1.2.1", b"P1,", b"m1"):
        assert needle not in repr({**seen, "reports": []}).encode()
    assert files_holding(store.path / "tables/events.lance", b"P1") == []
    assert take(store, folder, identity=SECRET).store_version == report.store_version


def test_a_deleted_patient_has_no_labels_and_gets_none(store, folder):
    take(store, folder)
    hide_patient(store, "P1")
    seen = labels_of(store)
    assert {row["patient_id"] for rows in seen.values() for row in rows} == {"P2"}
    assert labels_of(store, 2) == seen
    report = take(store, folder)
    assert counts(report, "events") == {"rows": 3, "unchanged": 1, "deleted_patient": 2}
    assert report.store_version == 2
    row = LabelRow("r", {"patient_id": "P1", "date": None, "kind": "mi", "source": None})
    with (
        store.writer("run") as writer,
        pytest.raises(StoreError, match="a label of a patient who was deleted"),
    ):
        writer.commit_labels(LabelBatch({EVENTS: [row]}))


def test_a_purge_removes_the_labels_from_all_versions(store, folder):
    take(store, folder)
    write_tables(folder, events=[TABLES["events"][0], "P1,2021-03-02,mi,registry"])
    take(store, folder / "events.csv", replace=True)
    assert files_holding(store.path, b"Occlusion of the proximal LAD")
    others = {
        kind: [row for row in rows if row["patient_id"] != "P1"]
        for kind, rows in labels_of(store).items()
    }
    report = purge_patient(store, "P1")
    assert labels_of(store) == others
    assert report.oldest_readable == report.version
    assert files_holding(store.path, b"Occlusion of the proximal LAD") == []
    assert files_holding(store.path, b"P1") == []
    assert files_holding(store.path, b"Normal coronary arteries")
    # The store has forgotten whose study 1.2.1 was; its report comes from nobody known.
    report = take(store, write_tables(folder))
    assert counts(report, "reports") == {"rows": 2, "unchanged": 1, "unknown_patient": 1}
    assert counts(report, "follow_up") == {"rows": 2, "unchanged": 1, "deleted_patient": 1}


def test_a_patient_who_has_only_labels_can_be_deleted(tmp_path, folder):
    store = labelled_store(tmp_path / "s", studies={"1.3.1": "P2"})
    take(store, folder)
    atlas = Atlas(store, load_settings())
    atlas.purge_patient("P1")
    assert files_holding(store.path, b"P1") == []
    assert len(atlas.labels("events")) == 1
    with pytest.raises(NotFoundError, match="no such patient"):
        atlas.purge_patient("P3")


def test_a_store_from_before_there_were_labels(tmp_path, store):
    assert not any(store.tables.exists(kind.value) for kind in LabelKind)
    reopened = Store.open(store.path)
    assert labels_of(reopened) == {kind.value: [] for kind in LabelKind}
    with reopened.snapshot() as snapshot:
        assert snapshot.sql("SELECT count(*) AS n FROM events")["n"].to_pylist() == [0]
    compact(reopened, keep_versions=1, grace=dt.timedelta(0))
    assert not any(store.tables.exists(kind.value) for kind in LabelKind)


def test_sql_joins_labels_but_reaches_no_report(store, folder):
    take(store, folder)
    with store.snapshot() as snapshot:
        found = snapshot.sql(
            "SELECT study_uid, value FROM studies JOIN measurements USING (study_uid)"
            " WHERE name = 'lvef_percent'"
        )
        assert found.to_pylist() == [{"study_uid": "1.2.1", "value": 48.0}]
        with pytest.raises(UsageError, match="reports does not exist"):
            snapshot.sql("SELECT * FROM reports")


def test_an_import_needs_the_lease_and_the_key(store, folder, tmp_path):
    with store.writer("embeds"), pytest.raises(LeaseHeldError, match="writing"):
        take(store, folder)
    secret = Atlas(labelled_store(tmp_path / "t", SECRET), load_settings())
    with pytest.raises(IdentityError, match="none is given"):
        secret.import_labels([folder])


@pytest.mark.parametrize("asked", [False, True])
def test_an_export_has_the_labels_and_reports_only_when_asked(tmp_path, folder, asked):
    store = Store.create(tmp_path / "s", identity=KEPT.record)
    with store.writer("run") as writer:
        writer.commit(batch({"1.2": ["1"]}))
    header = TABLES["events"][0]
    write_tables(
        folder,
        events=[header, "1,2021-03-01,mi,", "9,2021-03-01,mi,"],
        reports=["study_uid,text", "1.2,Nothing to see."],
    )
    take(store, folder / "events.csv", folder / "reports.csv")
    atlas = Atlas(store, load_settings())
    report = atlas.export(tmp_path / "out.duckdb", reports=asked)
    assert report.labels == {
        **{kind.value: 0 for kind in LabelKind if kind not in {EVENTS, REPORTS}},
        "events": 2,
        **({"reports": 1} if asked else {}),
    }
    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as connection:
        tables = {name for (name,) in connection.execute("show tables").fetchall()}
        comments = connection.execute(
            "select table_name, column_name from duckdb_columns()"
            " where comment is null and not internal"
        ).fetchall()
    assert ("reports" in tables) == asked
    assert tables - {"reports"} == {
        *("studies", "videos", "findings", "cohorts", "projections", "progression"),
        *("provenance", "labels", "exams", "timeline"),
        *(kind.value for kind in LabelKind if kind is not REPORTS),
    }
    assert comments == []
    atlas.export(tmp_path / "out", format="csv", reports=asked)
    assert (tmp_path / "out/reports.csv").exists() == asked
    assert not (tmp_path / "out/labels.csv").exists(), "views are DuckDB's"
    assert (tmp_path / "out/events.csv").read_text().startswith("patient_id,date,kind,source\n")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({}, "nothing in this batch"),
        ({EVENTS: []}, "nothing in this batch"),
        ({EVENTS: [LabelRow("r", {"patient_id": "P"})]}, "has not the columns"),
        ({EVENTS: [LabelRow("r", dict.fromkeys(LABELS[EVENTS].names))]}, "has no patient"),
        (
            {EVENTS: [LabelRow("r", dict.fromkeys(LABELS[EVENTS].names, "P"))] * 2},
            "occurs twice in one batch",
        ),
    ],
)
def test_a_batch_that_contradicts_itself_is_refused(store, rows, words):
    with store.writer("run") as writer, pytest.raises(StoreError, match=words):
        writer.commit_labels(LabelBatch(rows))
    assert store.latest_version == 1
