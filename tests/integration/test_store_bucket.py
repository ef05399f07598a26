"""A store in an object store: the same rows, one writer, and no writer that is late."""

from __future__ import annotations

import pytest

from store.bucket import Bucket
from store.store import Store
from tests.support.bucket import new_prefix, object_store
from tests.support.store_cases import KEPT, batch, commit, new_store, seen

pytestmark = pytest.mark.xdist_group("bucket")

BEFORE = {"P1.a": ["1", "2"], "P2.a": ["3"], "P3.a": ["4", "5"]}
CHANGE = {"P1.a": ["1", "6"], "P3.a": [], "P4.a": ["7"]}


@pytest.fixture(scope="module", autouse=True)
def server():
    with object_store() as endpoint:
        yield endpoint


def test_what_is_written_is_what_a_folder_shows(tmp_path):
    uri = new_prefix()
    there, here = Store.create(uri, identity=KEPT), new_store(tmp_path / "s")
    for store in (there, here):
        commit(store, BEFORE)
        commit(store, CHANGE, skipped=["/archive/readme.txt"])
    again = Store.open(uri)
    assert again.uuid == there.uuid
    assert again.latest_version == 2
    assert seen(again) == seen(here)
    assert seen(again, 1) == seen(here, 1)
    assert seen(again) != seen(again, 1)
