"""Cohorts compared on a real store: who is in them, what became of them, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test

from analytics.balance import difference
from analytics.endpoints import Rules
from angioatlas.access.principal import Principal, Scope
from angioatlas.atlas import Atlas
from core.errors import ForbiddenError, NotFoundError, UsageError
from core.ids import KeptIdentity
from core.settings import Settings
from tests.support.label_tables import add_studies, labelled_store, write_tables
from tests.support.survival_store import survival_store

PATIENTS = 120
EXAMS = {"1.2.1": "P1", "1.2.2": "P1", "1.3.1": "P2", "1.4.1": "P3", "1.5.1": "P4"}
TABLES = {
    "events": ["patient_id,date,kind", "P1,2021-06-09,mi", "P3,2021-09-01,death_other"],
    "follow_up": [
        "patient_id,last_known_date,status",
        "P1,2022-08-09,alive",
        "P2,2024-01-01,lost",
        "P3,2021-09-01,dead",
        "P4,2024-01-01,alive",
    ],
    "measurements": [
        "id,patient_id,study_uid,date,name,value,unit,method",
        "m1,P1,1.2.1,2021-03-02,lvef_percent,48,%,echo",
        "m2,P1,1.2.1,2021-03-01,stenosis_percent@D1,99.5,%,qca",
        "m3,P2,1.3.1,2021-03-01,stenosis_percent@left_main,70,%,qca",
        "m4,P3,,2021-02-01,creatinine,80,,",
        "m5,P3,,2021-02-20,creatinine,90,,",
        "m6,P3,,2021-03-05,creatinine,300,,",
    ],
    "procedures": [
        "id,patient_id,date,kind,segments",
        "p1,P1,2021-03-01,pci,mid_lad",
        "p2,P2,2019-05-05,pci,",
    ],
    "covariates": [
        "id,patient_id,date,name,value",
        ",P1,2021-03-01,diabetes,yes",
        ",P2,,diabetes,no",
        ",P4,,nyha,III",
        ",P4,,prior_cabg,yes",
        ",P4,,group,control",
        ",P4,,patient_id,other",
    ],
}


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return an Atlas of followed patients with labels, and what they are made of."""
    folder = tmp_path_factory.mktemp("compared")
    drawn = survival_store(folder / "store", PATIENTS, seed=1)
    atlas = Atlas.open(folder / "store", settings=Settings(state_dir=folder / "state"))
    atlas.import_labels([folder / "store-labels"])
    atlas.choose_cohort(where="site = 'A' and patient_age_years > 60", name="old A")
    atlas.choose_cohort(where="site = 'B'", name="B")
    return atlas, drawn


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return an Atlas of four patients, whose store no test changes."""
    return four_patients(tmp_path_factory.mktemp("small"))


def four_patients(folder):
    labelled_store(folder / "store", studies=EXAMS)
    made = Atlas.open(folder / "store", settings=Settings(state_dir=folder / "state"))
    made.import_labels([write_tables(folder / "labels", TABLES)])
    return made


def test_an_unsaved_cohort_and_everybody_else(followed):
    atlas, drawn = followed
    lasso = atlas.choose_cohort(members=[f"1.1.{i}" for i in range(50)])
    found = atlas.compare_cohorts([lasso], names=["island"], rest=True, horizons=(730, 365))
    island, rest = found.groups
    assert (island.name, island.cohort_id, island.patients) == ("island", lasso.cohort_id, 50)
    assert (rest.name, rest.cohort_id, rest.studies) == ("everybody else", None, 70)
    assert set(rest.exams["study_uid"]) == {f"1.1.{i}" for i in range(50, PATIENTS)}
    assert found.notes == ()
    times, inside = drawn.times, np.arange(PATIENTS) < 50
    theirs = multivariate_logrank_test(times.time, inside, times.event)
    assert found.outcomes.test.chi2 == pytest.approx(theirs.test_statistic)
    assert found.outcomes.test.p == pytest.approx(theirs.p_value)
    for row in found.outcomes.horizons.to_dict("records"):
        own = times[inside if row["group"] == "island" else ~inside]
        assert row["at_risk"] == (own.time >= row["horizon_days"]).sum()
        assert row["events"] == (own.until(row["horizon_days"]).event).sum()
    assert found.outcomes.horizons["horizon_days"].tolist() == [365, 730] * 2
    age = drawn.x["age"]
    pairs = found.balance.differences.set_index("variable")["smd"]
    assert pairs["age_years"] == pytest.approx(difference(age[inside], age[~inside]))
    diabetes = found.balance.rows[found.balance.rows["variable"] == "diabetes"]
    assert diabetes["level"].tolist() == ["yes", "yes"]
    assert {"sex: F", "site: A", "lvef percent"} <= {*found.characteristics["characteristic"]}


def test_saved_cohorts_are_drawn_and_written(followed, tmp_path):
    atlas, _ = followed
    found = atlas.compare_cohorts(["old A", "B"], rest=True, endpoint="death_any")
    assert [each.name for each in found.groups] == ["old A", "B", "everybody else"]
    assert sum(each.patients for each in found.groups) == PATIENTS
    assert found.outcomes.test.df == 2
    html, beside = found.write(tmp_path / "compared.html")
    told = json.loads(beside.read_text())
    assert told == found.as_dict()
    assert [each["patients"] for each in told["groups"]] == [each.patients for each in found.groups]
    assert told["outcomes"]["log_rank"]["df"] == 2
    text = html.read_text()
    assert "Log-rank test that all groups have one hazard" in text
    assert "Research use only" in text
    assert "p00001" not in text + beside.read_text()
    for figure in (found.survival_figure(), found.incidence_figure()):
        lines = [each for each in figure.data if each.name]
        assert [each.name for each in lines] == ["old A", "B", "everybody else"]
        below = [note.text for note in figure.layout.annotations if note.x == 365]
        curves = found.outcomes.groups.values()
        assert below == [f"{each.survival.left([365])[0]:,}" for each in curves]
    assert found.survival_figure().data[2].y[0] == 1
    assert found.incidence_figure().data[2].y[0] == 0


def test_characteristics_are_as_of_the_exam(small):
    found = small.compare_cohorts([small.choose_cohort(members=["P1", "P3"])], rest=True)
    rows = found.balance.rows.set_index(["variable", "group"])
    one, rest = "cohort 1", "everybody else"
    assert rows.loc[("lvef_percent", one), ["known", "missing", "mean"]].tolist() == [1, 1, 48]
    # The last before the exam, not the one from four days after it.
    assert rows.loc[("creatinine", one), ["known", "mean"]].tolist() == [1, 90]
    # More than 70 %, where anything was measured; D1 is of the LAD.
    lad, main = "significant_stenosis_LAD", "significant_stenosis_left_main"
    assert rows.loc[(lad, one), ["known", "count"]].tolist() == [1, 1]
    assert rows.loc[(main, rest), ["known", "count"]].tolist() == [1, 0]
    # What was done on the day of the exam was not there before.
    assert rows.loc[("prior_pci", one), ["known", "count"]].tolist() == [2, 0]
    assert rows.loc[("prior_pci", rest), ["known", "count"]].tolist() == [2, 1]
    # What is said of a patient goes before what was found among procedures.
    assert rows.loc[("prior_cabg", rest), ["known", "count"]].tolist() == [1, 1]
    assert rows.loc[("group", rest), ["level", "count"]].tolist() == ["control", 1]
    assert "patient_id" not in rows.index.levels[0]
    assert rows.loc[("nyha", rest), ["level", "count"]].tolist() == ["iii", 1]
    assert rows.loc[("n_videos", one), "mean"] == 1
    assert found.outcomes.summary()["events"].tolist() == [1, 0]
    assert found.outcomes.summary()["competing"].tolist() == [1, 0]


def test_a_patient_counts_once_and_groups_that_share_one_are_not_tested(small):
    every = small.choose_cohort(members=["P1", "P2"], index="every")
    other = small.choose_cohort(members=["P2", "P3"])
    found = small.compare_cohorts([every, other], names=["one", "two"], rest=True)
    assert [(each.studies, each.patients) for each in found.groups] == [(3, 2), (2, 2), (1, 1)]
    assert found.groups[0].exams["study_uid"].tolist() == ["1.2.1", "1.3.1"]
    assert found.groups[2].exams["patient_id"].tolist() == ["P4"]
    assert found.notes == (
        "one: of 3 exams the first of each patient counts",
        "patients in more than one group: 1",
    )
    assert found.outcomes.test is None
    assert "not independent" in found.tested()


def test_rules_say_how_follow_up_is_read_and_who_is_left_out_is_told(small):
    cohort = small.choose_cohort(members=["P1", "P2"])
    found = small.compare_cohorts([cohort], names=["x"], rest=True, rules=Rules(blanking_days=200))
    told = found.excluded.to_dict("records")
    died = {"group": "everybody else", "reason": "dead within the blanking period", "patients": 1}
    assert told == [died]
    assert found.outcomes.summary()["events"].tolist() == [0, 0]
    assert found.outcomes.test is None


def test_without_follow_up_characteristics_are_given_and_the_next_step(tmp_path):
    labelled_store(tmp_path / "store", studies=EXAMS)
    atlas = Atlas.open(tmp_path / "store", settings=Settings(state_dir=tmp_path / "state"))
    found = atlas.compare_cohorts([atlas.choose_cohort(members=["P1"])], names=["x"], rest=True)
    assert found.outcomes is None
    assert found.not_told is not None
    assert "nobody of x and everybody else can be followed" in found.not_told
    assert "angioatlas labels import" in found.not_told
    assert found.characteristics["characteristic"].str.contains("age years").any()
    assert "Not told: nobody of x" in found.document().html()
    with pytest.raises(UsageError, match="there are no curves to draw"):
        found.survival_figure()


def test_each_cohort_is_read_as_of_its_own_version(tmp_path):
    small = four_patients(tmp_path)
    old = small.choose_cohort(members=["P1"])
    add_studies(small.store, KeptIdentity(), {"1.9.1": "P9"})
    new = small.choose_cohort(members=["P3"])
    small.import_labels(
        [write_tables(tmp_path / "later", {"covariates": ["patient_id,name,value", "P1,new,yes"]})]
    )
    found = small.compare_cohorts([old, new], names=["old", "new"], rest=True)
    assert found.store_versions == (old.store_version, new.store_version)
    assert found.groups[2].store_version == new.store_version
    assert found.groups[2].exams["patient_id"].tolist() == ["P2", "P4", "P9"]
    assert "new" not in {*found.balance.rows["variable"]}
    assert any("different store versions" in each for each in found.notes)
    assert found.excluded["patients"].tolist() == [1]


def test_what_cannot_be_compared_is_refused(small):
    one, all_ = small.choose_cohort(members=["P1"], name="one"), small.choose_cohort()
    for cohorts, options, message in (
        ([one], {}, "1 groups to compare: expected 2 to 4"),
        ([], {"rest": True}, "1 groups to compare"),
        ([one] * 4, {"rest": True}, "5 groups to compare"),
        ([one, "one"], {}, "two cannot be told apart"),
        ([one], {"rest": True, "names": ["smd"]}, "two cannot be told apart"),
        ([one], {"rest": True, "names": ["a", "b"]}, "2 names for 1 cohorts"),
        ([all_], {"rest": True}, "there is nobody else"),
        ([one], {"rest": True, "horizons": ()}, "horizons are days"),
    ):
        with pytest.raises(UsageError, match=message):
            small.compare_cohorts(cohorts, **options)
    with pytest.raises(NotFoundError, match="no endpoint 'luck'"):
        small.compare_cohorts([one], rest=True, endpoint="luck")
    with pytest.raises(NotFoundError, match="no cohort"):
        small.compare_cohorts(["none"], rest=True)


def test_who_may_read_may_compare_and_it_is_on_record(small):
    one = small.choose_cohort(members=["P1"], name="one")
    searcher, reader = (
        small.acting_as(Principal("somebody", frozenset({scope}), "key"))
        for scope in (Scope.SEARCH, Scope.READ)
    )
    with pytest.raises(ForbiddenError):
        searcher.compare_cohorts(["one"], rest=True)
    reader.compare_cohorts(["one"], rest=True)
    refused, entry = small.trail.entries()[-2:]
    assert refused.outcome == "forbidden"
    assert entry.object["use_case"] == "compare_cohorts"
    assert entry.object["cohort_id"] == one.cohort_id
    assert (entry.object["endpoint"], entry.action) == ("mace", "analyse")
