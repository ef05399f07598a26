"""Cohorts and models in a store: saved once, found by name and id, forgotten with a patient."""

from __future__ import annotations

import datetime as dt
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from core.errors import NotFoundError, UsageError
from store.maintain import compact, purge_patient
from store.registry import COHORTS, MODELS, Registry, SavedCohort, SavedModel
from store.store import Store
from tests.support.store_cases import batch, new_store

COHORT = SavedCohort(
    "women",
    "c0ffee" + "0" * 58,
    '{"where": "patient_id <> \'P1\'"}',
    "[]",
    1,
    ("P1.a", "P2.a"),
    ("P1", "P2"),
)
MODEL = SavedModel("mace", "beef" * 16, "survival", COHORT.cohort_id, "enc-1", "{}", b"\x00payload")


@pytest.fixture
def store(tmp_path):
    made = new_store(tmp_path / "store")
    with made.writer("run-1") as writer:
        writer.commit(batch({"P1.a": ["P1.a.1"], "P2.a": ["P2.a.1"]}))
    return made


def test_a_cohort_is_found_by_its_name_and_by_its_id(store):
    registry = Registry(store.tables)
    assert registry.cohorts() == []
    saved = registry.save_cohort(COHORT)
    assert saved.created_at is not None
    assert registry.cohort("women") == registry.cohort("c0ffee") == saved
    assert registry.save_cohort(COHORT) == saved, "again is the same"
    with pytest.raises(NotFoundError, match="there is no cohort 'men'; there are women"):
        registry.cohort("men")


def test_who_is_of_a_cohort_is_known_as_long_as_it_names_them(store):
    registry = Registry(store.tables)
    assert registry.in_cohort(COHORT.cohort_id, ["P1"]) is None
    registry.save_cohort(COHORT)
    assert registry.in_cohort(COHORT.cohort_id, ["P3", "P2", "P1"]) == frozenset({"P1", "P2"})
    assert registry.in_cohort("d" * 64, ["P1"]) is None
    registry.drop(COHORTS, "women")
    assert registry.in_cohort(COHORT.cohort_id, ["P1", "P3"]) == frozenset({"P1"}), (
        "whatever it is called"
    )
    purge_patient(store, "P1")
    assert registry.in_cohort(COHORT.cohort_id, ["P1", "P2"]) == frozenset({"P2"})


def test_a_name_is_not_given_twice_until_it_is_free(store):
    registry = Registry(store.tables)
    registry.save_cohort(COHORT)
    other = replace(COHORT, cohort_id="d" * 64)
    with pytest.raises(UsageError, match="'women' is the name of another one"):
        registry.save_cohort(other)
    registry.drop(COHORTS, "women")
    assert registry.cohorts() == []
    with pytest.raises(NotFoundError, match="there is no cohort 'women'"):
        registry.drop(COHORTS, "women")
    assert registry.save_cohort(other).cohort_id == "d" * 64
    with pytest.raises(UsageError, match="is no name"):
        registry.save_cohort(replace(COHORT, name=""))


def test_two_ids_that_begin_alike_are_not_mixed_up(store):
    registry = Registry(store.tables)
    registry.save_cohort(COHORT)
    registry.save_cohort(replace(COHORT, name="more", cohort_id="c0ffee" + "1" * 58))
    with pytest.raises(NotFoundError, match="several ids begin with 'c0ffee'"):
        registry.cohort("c0ffee")
    assert registry.cohort("c0ffee1").name == "more"


def test_a_model_keeps_its_bytes(store):
    registry = Registry(store.tables)
    saved = registry.save_model(MODEL)
    assert Registry(Store.open(store.path).tables).model("mace") == saved
    assert saved.payload == MODEL.payload
    registry.drop(MODELS, "mace")
    assert registry.models() == []


def test_a_deleted_patient_is_in_no_cohort_and_in_no_file(store):
    registry = Registry(store.tables)
    registry.save_cohort(COHORT)
    purge_patient(store, "P1")
    left = registry.cohort("women")
    assert (left.study_uids, left.patient_ids, left.removed) == (("P2.a",), ("P2",), 1)
    assert left.definition == '{"where": "patient_id <> \'(deleted)\'"}'
    folder = store.path / "tables" / "cohorts.lance"
    held = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert b"P1" not in held
    assert b"P2.a" in held


def test_the_version_of_a_cohort_is_kept_readable_until_it_is_dropped(store):
    Registry(store.tables).save_cohort(COHORT)
    for number in range(3):
        with store.writer(f"run-{number + 2}") as writer:
            writer.commit(batch({f"P{number + 5}.a": [f"P{number + 5}.a.1"]}))
    compact(store, keep_versions=1, grace=dt.timedelta(0))
    assert store.versions()[0].version == 1
    with store.snapshot(1) as snapshot:
        assert snapshot.studies()["study_uid"].to_pylist() == ["P1.a", "P2.a"]
    Registry(store.tables).drop(COHORTS, "women")
    compact(store, keep_versions=1, grace=dt.timedelta(0))
    assert store.versions()[0].version > 1


def save(path, number):
    cohort = replace(COHORT, name=f"cohort {number}", cohort_id=f"{number:064d}")
    Registry(Store.open(path).tables).save_cohort(cohort)


def test_many_processes_save_at_once(store):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        list(pool.map(save, [store.path] * 8, range(8)))
    assert len(Registry(store.tables).cohorts()) == 8
