"""Opening stores, and asking snapshots."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from core.errors import NotFoundError, StoreError, UsageError
from core.ids import IdentityMode, IdentityRecord, PseudonymisedIdentity
from core.schema import Level
from store.store import FORMAT_VERSION, Store, place_of
from store.tables import SCHEMAS, Tables
from tests.support.store_cases import KEPT, batch, commit, new_store, seen

FEW = {"P1.a": ["1", "2"], "P2.a": ["3"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = new_store(tmp_path_factory.mktemp("store") / "s")
    commit(made, FEW)
    return made


def test_a_store_remembers_how_it_was_made(tmp_path):
    identity = PseudonymisedIdentity(b"k" * 32, shift_dates=True).record
    made = Store.create(tmp_path / "deep" / "s", identity=identity)
    opened = Store.open(f"file://{tmp_path}/deep/s")
    assert opened.identity == made.identity == identity
    assert opened.uuid == made.uuid
    assert opened.identity.mode is IdentityMode.PSEUDONYMISED
    assert b"k" * 32 not in b"".join(p.read_bytes() for p in opened.path.rglob("*") if p.is_file())


def test_creation_is_all_or_nothing_and_never_over_something(tmp_path):
    (tmp_path / "empty").mkdir()
    Store.create(tmp_path / "empty", identity=KEPT)
    with pytest.raises(StoreError, match="exists already and is not an empty folder"):
        Store.create(tmp_path / "empty", identity=KEPT)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="exists already"):
        Store.create(tmp_path / "file", identity=KEPT)
    with pytest.raises(StoreError, match="cannot be made"):
        Store.create(tmp_path / "file" / "s", identity=KEPT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://h/s", "cannot lie in http://"),
        ("file://host/s", "cannot lie in file://"),
        ("s3://bucket", "does not name a bucket and a prefix"),
        ("s3:///atlas", "does not name a bucket and a prefix"),
        ("s3://bucket/a/../b", "does not name a bucket and a prefix"),
        ("s3://key:secret@bucket/atlas", r"holds no credentials and options: s3://…$"),
        ("az://container/atlas?sig=secret", r"holds no credentials and options: az://…$"),
    ],
)
def test_uris_that_name_no_place_for_a_store(uri, words):
    with pytest.raises(StoreError, match=words):
        Store.open(uri)
    with pytest.raises(StoreError, match=words):
        Store.create(uri, identity=KEPT)


def test_uris(tmp_path):
    assert str(place_of("file:///a%20b/c").folder) == "/a b/c"
    assert str(place_of("a/b").folder) == "a/b"
    assert place_of("s3://bucket/a/b/").uri == "s3://bucket/a/b"
    assert place_of("s3://bucket/a").folder is None
    with pytest.raises(NotFoundError, match="there is no store in"):
        Store.open(tmp_path)


def test_another_format_is_refused(tmp_path):
    made = new_store(tmp_path / "s")
    meta = made.tables.read("meta").to_pylist()[0]
    meta["format_version"] = FORMAT_VERSION + 1
    rows = SCHEMAS["meta"].empty_table().from_pylist([meta], schema=SCHEMAS["meta"])
    made.tables.rewrite("meta", rows.to_batches())
    with pytest.raises(StoreError, match="has format 2; this software reads format 1"):
        Store.open(made.path)
    made.tables.append("meta", rows)
    with pytest.raises(StoreError, match="damaged: meta has 2 rows"):
        Store.open(made.path)


def test_sql_joins_the_views(store):
    query = """
        SELECT patient_id, count(*) AS n, any_value(view) AS view
        FROM studies JOIN videos USING (study_uid, patient_id)
        JOIN inputs ON inputs.sop_uid = videos.sop_uid
        WHERE n_videos >= $least GROUP BY patient_id ORDER BY patient_id
    """
    with store.snapshot() as snapshot:
        rows = snapshot.sql(query, {"least": 1}).to_pylist()
        assert rows == [
            {"patient_id": "P1", "n": 2, "view": "RAO Caudal"},
            {"patient_id": "P2", "n": 1, "view": "RAO Caudal"},
        ]
        assert snapshot.sql("SELECT ? + 1 AS n", [41]).to_pylist() == [{"n": 42}]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("DELETE FROM studies", "not one SELECT"),
        ("SELECT 1; SELECT 2", "not one SELECT"),
        ("COPY studies TO '/tmp/stolen.csv'", "not one SELECT"),
        ("ATTACH '/tmp/x.db'", "not one SELECT"),
        ("SET memory_limit = '1GB'", "not one SELECT"),
        ("", "not one SELECT"),
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM studies", "nothing"),
        ("SELECT * FROM '/etc/passwd'", "failed"),
        ("SELECT * FROM read_text('/etc/passwd')", "failed"),
        ("SELECT * FROM glob('/etc/*')", "failed"),
        ("SELECT getenv('HOME')", "failed"),
    ],
)
def test_sql_reaches_nothing_but_its_views(store, query, words):
    with store.snapshot() as snapshot:
        with pytest.raises(UsageError, match=words):
            snapshot.sql(query)
        assert snapshot.sql("SELECT count(*) AS n FROM studies").to_pylist() == [{"n": 2}]


def test_errors_of_values_do_not_quote_them(store):
    whole = r"^the query failed: ConversionException$"
    with store.snapshot() as snapshot, pytest.raises(UsageError, match=whole):
        snapshot.sql("SELECT CAST(patient_id AS INTEGER) FROM studies")


def test_keys_are_ordered_and_complete(store):
    with store.snapshot() as snapshot:
        keys = snapshot.keys("enc-a", Level.VIDEO)
        assert keys.column_names == ["uid", "study_uid", "patient_id", "commit_id"]
        assert keys["uid"].to_pylist() == ["1", "2", "3"]
        assert keys["patient_id"].to_pylist() == ["P1", "P1", "P2"]
        assert snapshot.keys("enc-a", Level.STUDY)["uid"].to_pylist() == ["P1.a", "P2.a"]
        with pytest.raises(NotFoundError, match="no space enc-z; it has: enc-a"):
            snapshot.keys("enc-z", Level.STUDY)
        with pytest.raises(NotFoundError, match="no space enc-z"):
            snapshot.vectors("enc-z", Level.VIDEO, keys=keys)


def test_vectors_are_those_committed(store):
    given = batch(FEW).video_vectors
    assert given is not None
    with store.snapshot() as snapshot:
        _, embedding = snapshot.vectors("enc-a", Level.VIDEO)
        _, pooled = snapshot.vectors("enc-a", Level.VIDEO, kind="pooled")
        assert embedding.dtype == np.float32
        assert (embedding == given.embedding).all()
        assert (pooled == given.pooled).all()
        with pytest.raises(UsageError, match="only videos have a pooled vector"):
            snapshot.vectors("enc-a", Level.STUDY, kind="pooled")
        none = snapshot.keys("enc-a", Level.VIDEO).slice(0, 0)
        assert snapshot.vectors("enc-a", Level.VIDEO, keys=none)[1].shape == (0, 512)


def test_a_closed_snapshot_says_so(store):
    snapshot = store.snapshot()
    snapshot.sql("SELECT 1")
    snapshot.close()
    with pytest.raises(StoreError, match="snapshot of version 1 is closed"):
        snapshot.vectors("enc-a", Level.VIDEO)
    fresh = store.snapshot()
    fresh.close()
    with pytest.raises(StoreError, match="is closed"):
        fresh.studies()
    assert repr(fresh) == "Snapshot(version=1)"


def test_one_snapshot_serves_several_threads(store):
    expected = seen(store)
    answers = []

    def ask(snapshot):
        n = snapshot.sql("SELECT count(*) AS n FROM videos").to_pylist()
        keys, found = snapshot.vectors("enc-a", Level.VIDEO)
        answers.append((n, keys.num_rows, found.tobytes()))

    with store.snapshot() as snapshot:
        threads = [threading.Thread(target=ask, args=(snapshot,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [([{"n": 3}], 3, expected["enc-a video embedding"])] * 8


def test_nothing_of_a_patient_is_in_a_repr(store):
    with store.snapshot() as snapshot:
        for thing in (store, snapshot, store.tombstones()):
            assert "P1" not in repr(thing)


def test_identity_record_defaults():
    assert IdentityRecord(IdentityMode.KEPT) == IdentityRecord(IdentityMode.KEPT, None, False)


def test_one_that_follows_another_reads_no_more_than_what_changed(tmp_path, monkeypatch):
    store = new_store(tmp_path / "s")
    read: Counter[str] = Counter()
    commit(store, {f"P{i}.a": [f"{i}.{n}" for n in range(3)] for i in range(50)})
    real = Tables.scan

    def counted(self, name, version=None, **how):
        for rows in real(self, name, version, **how):
            read[name] += rows.num_rows
            yield rows

    with store.snapshot() as older:
        read_all(older)
    commit(store, {"P7.a": ["7.0"], "P99.a": ["99.0"]})
    monkeypatch.setattr(Tables, "scan", counted)
    with store.snapshot(after=older) as newer:
        read_all(newer)
        taken, read_taken = read_all(newer), dict(read)
    assert read_taken["videos"] == 5  # three that study P7.a had, one that it has, one of P99.a
    assert max(read_taken.values()) == 5
    with store.snapshot() as alone:
        assert read_all(alone) == taken
    assert read["videos"] == 5 + 152


def read_all(snapshot):
    levels = [snapshot.keys("enc-a", level).to_pylist() for level in Level]
    found = snapshot.finding_keys("enc-a").to_pylist()
    return snapshot.studies().to_pylist(), snapshot.videos().to_pylist(), levels, found
