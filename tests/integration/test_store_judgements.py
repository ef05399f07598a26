"""Judgements in a store: the last one counts, and none outlives its patient."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import NotFoundError
from store.judgements import Judgement, Judgements
from store.maintain import compact, hide_patient, purge_patient
from store.store import Store
from tests.support.store_cases import batch, files_holding, new_store

OF_A_TEXT = Judgement("LAD occlusion", None, "study", "P1.a", 2, "P1", None, "enc-a", 1, 3, 0.25)
OF_A_CASE = Judgement(None, "P1.a", "study", "P2.a", 0, "P2", "P1", "enc-a", 1)
OTHER = replace(OF_A_TEXT, uid="P2.a", patient_id="P2", relevance=1)


@pytest.fixture
def store(tmp_path):
    made = new_store(tmp_path / "store")
    with made.writer("run-1") as writer:
        writer.commit(batch({"P1.a": ["P1.a.1"], "P2.a": ["P2.a.1"]}))
    return made


def test_a_store_without_any_has_none(store):
    assert Judgements(store).current() == []
    Judgements(store).forget_patient("P1")
    assert not store.tables.exists("judgements")


def test_the_last_judgement_of_a_query_and_a_row_counts(store):
    first = Judgements(store).add(OF_A_TEXT)
    assert replace(first, created_at=None) == OF_A_TEXT
    other = Judgements(store).add(replace(OF_A_TEXT, level="video", uid="P1.a.1"))
    later = Judgements(Store.open(store.path)).add(replace(OF_A_TEXT, relevance=0))
    assert Judgements(store).current() == [other, later]
    assert store.tables.count("judgements") == 3


def test_who_is_hidden_has_no_judgement_and_gets_none(store):
    for each in (OF_A_TEXT, OF_A_CASE, OTHER):
        Judgements(store).add(each)
    hide_patient(store, "P1")
    assert [each.about for each in Judgements(store).current()] == [OTHER.about]
    for each in (OF_A_TEXT, OF_A_CASE):
        with pytest.raises(NotFoundError, match="the patient of this study was deleted"):
            Judgements(store).add(each)


def test_a_purge_removes_judgements_of_and_by_a_patient_from_every_file(store):
    for each in (OF_A_TEXT, OF_A_CASE, OTHER, replace(OF_A_TEXT, relevance=1)):
        Judgements(store).add(each)
    purge_patient(store, "P1")
    assert [each.about for each in Judgements(store).current()] == [OTHER.about]
    assert store.tables.count("judgements") == 1
    folder = store.path / "tables" / "judgements.lance"
    assert files_holding(folder, b"P2.a")
    assert not files_holding(folder, b"P1")


def test_a_purge_that_died_before_it_cleaned_is_finished_by_the_next(store, monkeypatch):
    for each in (OF_A_TEXT, OTHER):
        Judgements(store).add(each)
    judgements = Judgements(store)
    with monkeypatch.context() as patch:
        patch.setattr(type(store.tables), "clean_all_but_latest", lambda *_: None)
        judgements.forget_patient("P1")
    folder = store.path / "tables" / "judgements.lance"
    assert files_holding(folder, b"P1")
    judgements.forget_patient("P1")
    assert not files_holding(folder, b"P1")


def test_compaction_keeps_every_judgement(store):
    for number in range(4):
        Judgements(store).add(replace(OF_A_TEXT, text=f"text {number}"))
    compact(store)
    assert [each.text for each in Judgements(store).current()] == [f"text {i}" for i in range(4)]
