"""What machines handed in to a run that died goes with the next lease."""

import pytest

from core.errors import LeaseHeldError, StoreError
from embedder.cluster.shards import Shards
from store.incoming import INCOMING, clear_incoming, store_url
from tests.support.bucket import keys_holding, new_prefix, object_store, put
from tests.support.store_cases import commit, new_store


def leave(folder):
    left = folder / INCOMING / "run-that-died"
    left.mkdir(parents=True)
    (left / "000001.arrow").write_bytes(b"whole")
    (left / "000002.arrow#1").write_bytes(b"cut sh")  # as `obstore` names what it writes aside


def test_the_next_writer_removes_what_a_dead_run_left(tmp_path):
    store = new_store(tmp_path / "a store")
    commit(store, {"P1.a": ["1"]})
    leave(store.path)
    with store.snapshot() as snapshot:
        assert snapshot.studies().num_rows == 1
    assert (store.path / INCOMING).exists()  # readers leave it alone
    with store.writer("next"):
        assert not (store.path / INCOMING).exists()
        leave(store.path)
        with pytest.raises(LeaseHeldError):
            store.writer("second")
        assert (store.path / INCOMING).exists()  # so does who does not get the lease


def test_a_lease_is_given_back_when_it_cannot_be_removed(tmp_path):
    store = new_store(tmp_path / "store")
    (store.path / INCOMING).write_text("a file where a folder belongs")
    with pytest.raises(StoreError, match="left below incoming/ of the store cannot be removed"):
        store.writer("next")
    (store.path / INCOMING).unlink()
    store.writer("next").close()


def test_an_object_store_is_cleared_of_that_alone():
    with object_store():
        uri = new_prefix("cleared")
        url = store_url(f"{uri}/")
        assert url == uri
        shards = Shards(url, "run-1")
        assert not shards.has_begun()
        shards.begin()
        assert Shards(url, "run-1").has_begun()
        shards.write("000001", [])
        assert Shards(url, "run-1").read("000001") == []
        put(uri, "tables/kept")
        clear_incoming(url)
        clear_incoming(url)
        assert keys_holding("s3://cleared", b"") == [
            f"{uri.removeprefix('s3://cleared/')}/tables/kept"
        ]
