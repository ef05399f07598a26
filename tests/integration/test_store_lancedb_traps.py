"""What LanceDB does that the store is built around.

If one of these fails after an upgrade, LanceDB has changed and the reason in `store/tables.py` or
`store/maintain.py` is to be looked at again.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest

from core.errors import StoreError
from store.folder import Folder
from store.tables import SCHEMAS, Tables, space_table
from tests.support.store_cases import commit, files_holding, new_store, seen

SCHEMA = pa.schema([("uid", pa.string())])
ALL = dt.timedelta(milliseconds=1)


@pytest.fixture
def table(tmp_path):
    made = lancedb.connect(tmp_path / "db").create_table("t", schema=SCHEMA)
    for name in ("needle-one", "two", "three"):
        made.add(pa.table({"uid": [name] + [f"{name}-{i}" for i in range(99)]}, schema=SCHEMA))
    return made


def reopened(tmp_path: Path):
    return lancedb.connect(tmp_path / "db").open_table("t")


def test_a_table_name_may_not_hold_a_slash(tmp_path):
    with pytest.raises(ValueError, match="Invalid table name"):
        lancedb.connect(tmp_path).create_table("spaces/x", schema=SCHEMA)
    tables = Tables(Folder(tmp_path))
    tables.create(space_table("enc-a", "video_vectors"))
    assert tables.exists("spaces/enc-a/video_vectors")
    assert tables.space_tables() == ["spaces/enc-a/video_vectors"]


@pytest.mark.parametrize("encoder_id", ["", "a/b", "../x", ".hidden", "a b", "x" * 129, "a\n"])
def test_what_cannot_be_a_folder_is_no_encoder_id(encoder_id):
    with pytest.raises(StoreError, match="cannot name an encoder space"):
        space_table(encoder_id, "video_vectors")


ELSEWHERE = """
import sys, lancedb, pyarrow as pa
table = lancedb.connect(sys.argv[1]).open_table("t")
table.add(pa.table({"uid": ["from elsewhere"]}))
"""


def test_a_handle_does_not_see_what_another_process_writes(table, tmp_path):
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "db")]
    subprocess.run(command, check=True)
    assert table.count_rows() == 300
    assert reopened(tmp_path).count_rows() == 301
    table.checkout_latest()
    assert table.count_rows() == 301


def test_cleaning_breaks_a_reader_of_an_old_version(table, tmp_path):
    reader = reopened(tmp_path)
    reader.checkout(2)
    table.add(reader.to_arrow(), mode="overwrite")
    time.sleep(0.01)
    table.optimize(cleanup_older_than=ALL, delete_unverified=True)
    with pytest.raises(RuntimeError, match="Not found"):
        reader.to_arrow()
    with pytest.raises(ValueError, match="no longer exists"):
        reopened(tmp_path).checkout(2)


def test_cleaning_refuses_altogether_while_a_version_in_its_range_is_tagged(table, tmp_path):
    table.tags.create("keep", 3)
    time.sleep(0.01)
    with pytest.raises(RuntimeError, match="tagged version"):
        table.optimize(cleanup_older_than=ALL)
    reopened(tmp_path).checkout(2)  # untagged, and there all the same


def test_delete_writes_its_predicate_to_disk_and_optimize_keeps_the_bytes(table, tmp_path):
    table.delete("uid = 'needle-one'")
    assert any(path.suffix == ".txn" for path in files_holding(tmp_path, b"needle-one'"))
    time.sleep(0.01)
    table.optimize(cleanup_older_than=ALL, delete_unverified=True)
    # Compaction merged the three files and so dropped the row; a lone file keeps it:
    table.delete("uid = 'two'")
    time.sleep(0.01)
    table.optimize(cleanup_older_than=ALL, delete_unverified=True)
    assert table.count_rows() == 298
    data = files_holding(tmp_path / "db" / "t.lance" / "data", b"two" + b"two-0")
    assert data, "one deleted row in a hundred is no reason for LanceDB to rewrite a file"


def test_an_append_never_compacts(table, tmp_path):
    assert table.stats()["fragment_stats"]["num_fragments"] == 3
    assert len(list((tmp_path / "db/t.lance/_versions").glob("*.manifest"))) == 4


def test_version_times_are_local_and_without_zone(table):
    made = table.list_versions()[-1]["timestamp"]
    assert made.tzinfo is None
    assert abs(made.astimezone(dt.UTC) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_the_store_reads_what_another_process_committed(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, {"P1.a": ["1"]})
    with store.snapshot() as held:
        code = (
            "import sys; from pathlib import Path; from store.store import Store;"
            "from tests.support.store_cases import commit;"
            "commit(Store.open(Path(sys.argv[1])), {'P2.a': ['2']})"
        )
        root = Path(__file__).parents[2]
        subprocess.run([sys.executable, "-c", code, str(store.path)], check=True, cwd=root)
        assert held.studies().num_rows == 1
        assert held.sql("SELECT count(*) AS n FROM videos").to_pylist() == [{"n": 1}]
        assert store.latest_version == 2
        assert len(seen(store)["studies"]) == 2


def test_a_rewrite_that_fails_leaves_the_table_as_it_was(tmp_path):
    tables = Tables(Folder(tmp_path))
    tables.create("tombstones")
    row = {"patient_hash": "h", "state": "hidden", "created_at": dt.datetime.now(dt.UTC)}
    rows = pa.Table.from_pylist([row], schema=SCHEMAS["tombstones"])
    version = tables.append("tombstones", rows)

    def batches():
        yield rows.to_batches()[0]
        raise StoreError("stop")

    with pytest.raises(StoreError, match="rewriting tombstones failed"):
        tables.rewrite("tombstones", batches())
    assert tables.version("tombstones") == version
    assert tables.read("tombstones").num_rows == 1


def test_a_missing_table_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="opening the table videos failed"):
        Tables(Folder(tmp_path)).read("videos")


def test_cleaning_leaves_tagged_versions_and_retries_when_the_clock_moves(tmp_path):
    tables = Tables(Folder(tmp_path))
    tables.create("tombstones")
    row = {"patient_hash": "h", "state": "hidden", "created_at": dt.datetime.now(dt.UTC)}
    rows = pa.Table.from_pylist([row], schema=SCHEMAS["tombstones"])
    versions = [tables.append("tombstones", rows) for _ in range(3)]
    # Tagged, although it is older than what is to be kept: asked for less and less, then nothing.
    tables.tag("tombstones", "kept", versions[0])
    time.sleep(1.2)
    last = tables.append("tombstones", rows)
    tables.append("tombstones", rows)
    tables.clean_before("tombstones", last)
    assert tables.read("tombstones", versions[0]).num_rows == 1
    tables.keep_only_tags("tombstones", set())
    tables.clean_before("tombstones", last)
    with pytest.raises(StoreError, match="that was being read is retired"):
        tables.read("tombstones", versions[0])
    assert tables.read("tombstones", last).num_rows == 4
