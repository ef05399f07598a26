"""Cohorts of a store with labels: chosen by predicate and list, repeated later, never mixed up."""

from __future__ import annotations

import datetime as dt

import pytest

from analytics.cohort import IndexRule
from angioatlas.access.principal import Principal, Scope
from angioatlas.atlas import Atlas
from core.errors import NotFoundError, UsageError
from core.ids import KeptIdentity, PseudonymisedIdentity, create_key_file, load_key_file
from core.settings import Settings
from store.maintain import compact, hide_patient, purge_patient
from store.registry import Registry
from tests.support.label_tables import add_studies, labelled_store, write_tables

KEPT = {"1.2.1": "P1", "1.2.2": "P1", "1.3.1": "P2", "1.4.1": "P3"}


@pytest.fixture
def atlas(tmp_path):
    labelled_store(tmp_path / "store", studies=KEPT)
    made = Atlas.open(tmp_path / "store", settings=Settings(state_dir=tmp_path / "state"))
    made.import_labels([write_tables(tmp_path / "labels")])
    return made


def uids(cohort):
    return cohort.members["study_uid"].tolist()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("patient_age_years > 60", ["1.2.1", "1.3.1", "1.4.1"]),
        ("lvef_percent < 50", ["1.2.1"]),
        ("lvef_percent is null", ["1.3.1", "1.4.1"]),
        ("n_exams = 1", ["1.3.1", "1.4.1"]),
        ("patient_id in (select patient_id from procedures where kind = 'pci')", ["1.2.1"]),
        (
            "study_uid in (select study_uid from videos where view = 'LAO Cranial')",
            ["1.2.1", "1.3.1", "1.4.1"],
        ),
        ("exam_number = 2", ["1.2.2"]),
        ("age > 60 and date > '2021-01-01'", ["1.2.1", "1.3.1", "1.4.1"]),
    ],
)
def test_a_predicate_speaks_of_studies_measurements_and_labels(atlas, where, expected):
    assert uids(atlas.choose_cohort(where=where)) == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("lvef < 40", 'Referenced column "lvef" not found'),
        ("1 = 1; drop table studies", "the predicate failed"),
        ("study_uid in (select study_uid from reports)", "reports does not exist"),
        ("study_uid in (select * from read_csv('/etc/passwd'))", "the predicate failed"),
        ("patient_age_years > 200", "nobody is left in the cohort after the step 'where"),
    ],
)
def test_anything_else_is_refused(atlas, where, message):
    with pytest.raises(UsageError, match=message) as refused:
        atlas.choose_cohort(where=where, name="never")
    assert "lvef_percent" in refused.value.hint or "nobody" in message
    assert atlas.cohorts().empty


def test_a_cohort_is_repeated_after_later_commits(atlas):
    chosen = atlas.choose_cohort(where="patient_age_years > 60", name="old")
    assert not atlas.cohort_staleness(chosen).is_stale
    add_studies(atlas.store, KeptIdentity(), {"1.5.1": "P4", "1.3.0": "P2"})
    again = atlas.cohort("old")
    assert again.cohort_id == chosen.cohort_id
    assert again.members.equals(chosen.members)
    assert again.attrition.equals(chosen.attrition)
    assert atlas.cohort(chosen.cohort_id[:8]).members.equals(chosen.members)
    stale = atlas.cohort_staleness(again)
    assert stale.is_stale
    # P4 is new, and of P2's two exams of one day the other one sorts first.
    assert (stale.joined, stale.left) == (2, 1)
    listed = atlas.cohorts().iloc[0]
    assert (listed["name"], listed["stale"], listed["studies"]) == ("old", True, 3)
    compact(atlas.store, keep_versions=1, grace=dt.timedelta(0))
    assert atlas.cohort("old").members.equals(chosen.members)
    newer = atlas.choose_cohort(where=atlas.cohort_definition("old").where, name="new")
    assert len(newer.members) == 4


def test_a_definition_that_chooses_nobody_any_more_is_stale(atlas, tmp_path):
    chosen = atlas.choose_cohort(where="lvef_percent < 50", name="weak")
    tables = {"measurements": ["id,patient_id,study_uid,date,name,value,unit,method"]}
    better = "m1,P1,1.2.1,2021-03-02,lvef_percent,60,%,echo"
    tables["measurements"].append(better)
    atlas.import_labels([write_tables(tmp_path / "later", tables)])
    stale = atlas.cohort_staleness(chosen)
    assert (stale.is_stale, stale.joined, stale.left) == (True, 0, 1)


def test_a_cohort_is_like_another_and_goes_with_all_its_names(atlas):
    rule = IndexRule("last", since=dt.date(1, 1, 1), until=dt.date(9999, 12, 31))
    one = atlas.choose_cohort(where="age > 60", index=rule, name="one")
    two = atlas.choose_cohort(like="one", name="two")
    assert two.cohort_id == one.cohort_id
    for beside in ({"where": "true"}, {"index": "first"}):
        with pytest.raises(UsageError, match="has its predicate and its index rule"):
            atlas.choose_cohort(like="one", **beside)
    atlas.choose_cohort(members=["P1"], name="listed")
    with pytest.raises(UsageError, match="from a list, which is not kept"):
        atlas.choose_cohort(like="listed", name="no")
    with pytest.raises(UsageError, match="64 hexadecimal digits are no name"):
        atlas.choose_cohort(name="0" * 64)
    atlas.drop_cohort(one.cohort_id)
    assert [*atlas.cohorts()["name"]] == ["listed"]
    with pytest.raises(NotFoundError, match=f"no cohort with the id {one.cohort_id}$"):
        atlas.cohort(one.cohort_id)


def test_who_is_not_at_this_machine_may_use_no_sql(atlas):
    scopes = frozenset({Scope.READ, Scope.WRITE})
    other = atlas.acting_as(Principal("other", scopes, "key"))
    assert len(other.choose_cohort(where="age > 60 or sex is null").members) == 3
    with pytest.raises(UsageError, match="not part of the language"):
        other.choose_cohort(where="(select count(*) from range(1000000000000)) > 0")


def test_the_same_choice_has_the_same_id_and_another_has_another(atlas):
    ids = {
        atlas.choose_cohort(where=where, index=index).cohort_id
        for where in ("patient_age_years > 60", "patient_age_years > 50")
        for index in ("first", "last", IndexRule(min_views=1))
    }
    assert len(ids) == 4
    assert atlas.choose_cohort().cohort_id == atlas.choose_cohort().cohort_id


def test_a_deleted_patient_leaves_the_cohort(atlas):
    atlas.choose_cohort(name="all")
    with pytest.raises(UsageError, match="'all' is the name of another one"):
        atlas.choose_cohort(index="last", name="all")
    atlas.choose_cohort(where="patient_id <> 'P2' or true", name="named")
    purge_patient(atlas.store, "P2")
    assert "P2" not in str(Registry(atlas.store.tables).cohorts())
    atlas.drop_cohort("named")
    with pytest.raises(NotFoundError, match="can no longer be read: deleting a patient"):
        atlas.cohort("all")
    assert atlas.cohorts().iloc[0]["studies"] == 2
    definition = atlas.cohort_definition("all")
    assert uids(atlas.choose_cohort(index=definition.index)) == ["1.2.1", "1.4.1"]
    atlas.drop_cohort("all")
    assert atlas.cohorts().empty


def test_a_hidden_patient_leaves_the_cohort_at_once(atlas):
    atlas.choose_cohort(name="all")
    assert len(atlas.cohort("all").members) == 3
    hide_patient(atlas.store, "P2")
    atlas.cohort("all").members.drop(columns="study_uid", inplace=True)
    left = atlas.cohort("all")
    assert uids(left) == ["1.2.1", "1.4.1"]
    assert left.removed == 1


def test_a_list_may_hold_original_identifiers(tmp_path):
    settings = Settings(state_dir=tmp_path / "state", identity_key=tmp_path / "key")
    create_key_file(settings.identity_key)
    identity = PseudonymisedIdentity(load_key_file(settings.identity_key), shift_dates=False)
    labelled_store(tmp_path / "store", identity, KEPT)
    atlas = Atlas.open(tmp_path / "store", settings=settings)
    file = tmp_path / "lasso.csv"
    file.write_text("study_uid,x\n1.2.2,0.5\n\n" + identity.patient("P3") + ",1\n")
    chosen = atlas.choose_cohort(members=file)
    assert sorted(uids(chosen)) == sorted([identity.uid("1.2.2"), identity.uid("1.4.1")])
    assert chosen.about()["definition"]["listed"] == 2
    assert atlas.cohort_staleness(chosen).joined is None
    with pytest.raises(UsageError, match="1 of 1 names on the list are no study and no patient"):
        atlas.choose_cohort(members=["P9"])
    file.write_text("\n")
    with pytest.raises(UsageError, match="names nobody"):
        atlas.choose_cohort(members=file)
