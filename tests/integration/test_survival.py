"""Survival studies on a real store: figures, report, models, replay, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pytest

from analytics.leakage import LeakageError
from analytics.preparation import EMBEDDING
from analytics.survival.discrimination import harrell
from angioatlas.atlas import Atlas
from angioatlas.phantom_mini import SHIPPED
from angioatlas.survival.ask import SurvivalQuestion
from core.errors import NotFoundError, UsageError
from core.ids import KeptIdentity
from core.schema import EMBEDDING_DIM
from core.settings import Settings
from embedder.encoders.registry import read_spec
from phantom.ids import patient_id
from phantom.seeds import EVALUATION_SEEDS, TRAINING_SEEDS
from tests.support.cohorts import world
from tests.support.label_tables import add_studies
from tests.support.survival_store import survival_store

QUESTION = SurvivalQuestion(model="components", horizons_days=(180, 365, 730), folds=3)
CLINICAL = ("age_years", "sex", "diabetes")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival")
    drawn = survival_store(folder / "store", 700, seed=1)
    atlas = opened(folder)
    atlas.import_labels([folder / "store-labels"])
    atlas.choose_cohort(name="everybody")
    return folder, drawn


def opened(folder, name="store"):
    settings = Settings(state_dir=folder / "state", encoders_dir=folder / "encoders")
    return Atlas.open(folder / name, settings=settings)


@pytest.fixture
def atlas(home):
    return opened(home[0])


@pytest.fixture(scope="module")
def result(home):
    return opened(home[0]).survival(replace(QUESTION, clinical=CLINICAL), cohort="everybody")


def test_the_figures_are_those_of_the_data(home, result):
    _, drawn = home
    study = result.study
    assert list(study.verdicts) == ["embeddings", "clinical", "both"]
    oracle = harrell(drawn.times, drawn.truth).c
    c = {name: v.measure("harrell_c")["estimate"] for name, v in study.verdicts.items()}
    assert c["clinical"] < c["embeddings"] < oracle + 0.02
    assert c["both"] > oracle - 0.06
    verdict = study.verdicts["embeddings"]
    assert (verdict.subjects, verdict.events) == (700, int(drawn.times.event.sum()))
    assert study.ends["mi"] == drawn.times.event.sum()
    assert study.ends["death_other"] == drawn.times.competing.sum()
    assert study.attrition["studies"].tolist()[-2:] == [700, 700]
    assert set(verdict.subgroups["subgroup"]) == {"sex", "age", "site"}


def test_the_report_has_every_part_and_is_the_same_every_time(home, atlas, result, tmp_path):
    html, beside = result.write(tmp_path / "mace.html")
    page = html.read_text()
    for title in (
        *("Summary", "Participants", "Protocol", "Discrimination", "Calibration", "Risk groups"),
        *("Decision curves", "Subgroups", "Checks", "TRIPOD+AI", "Provenance"),
    ):
        assert f">{title}</h2>" in page
    assert "Research use only" in page
    assert "enc-a" in page
    assert "http" not in page.split("<main>")[1].split("<script>")[0]
    assert page.count('class="plotly-graph-div"') == 3 + 3 + 3 + 3
    assert not [patient for patient in home[1].patient[:50] if patient in page]
    told = json.loads(beside.read_text())
    assert told["results"]["both"]["measures"][0]["measure"] == "harrell_c"
    assert told["provenance"]["store_version"] == 2
    again = atlas.survival(replace(QUESTION, clinical=CLINICAL), cohort="everybody")
    html2, beside2 = again.write(tmp_path / "again.html")
    assert html2.read_bytes() == html.read_bytes()
    assert beside2.read_bytes() == beside.read_bytes()


def test_a_cohort_gives_the_same_numbers_after_later_commits(home, tmp_path):
    folder = tmp_path / "moved"
    survival_store(folder / "store", 400, seed=5)
    atlas = opened(folder)
    atlas.import_labels([folder / "store-labels"])
    atlas.choose_cohort(where="patient_age_years > 50", name="old")
    first = atlas.survival(QUESTION, cohort="old").as_dict()
    add_studies(atlas.store, KeptIdentity(), {"1.9.9": "late"})
    (folder / "events.csv").write_text("patient_id,date,kind\np00000,2015-01-01,mi\n")
    atlas.import_labels([folder / "events.csv"])
    again = atlas.survival(QUESTION, cohort="old").as_dict()
    assert again == first
    assert atlas.store.latest_version > 2


def test_a_model_is_saved_listed_applied_and_validated(home, atlas, result, tmp_path):
    saved = atlas.save_survival_model(result, "mace-both")
    listed = atlas.survival_models().iloc[0]
    assert (listed["name"], listed["endpoint"], listed["predictors"]) == (
        "mace-both",
        "mace",
        "both",
    )
    risks = atlas.predict_survival("mace-both", cohort="everybody").table
    assert risks.columns.tolist() == [
        *("study_uid", "patient_id", "index_date", "score"),
        *("risk_180d", "risk_365d", "risk_730d", "risk_group"),
        *("in_training", "filled_in"),
    ]
    assert len(risks) == 700
    assert set(risks["risk_group"]) == {0, 1, 2}
    with pytest.raises(LeakageError, match="the model was fitted to this very cohort"):
        atlas.validate_survival("mace-both", cohort="everybody")
    some = atlas.choose_cohort(where="patient_sex = 'F'")
    with pytest.raises(LeakageError, match="patients that the model was fitted to"):
        atlas.validate_survival("mace-both", cohort=some)
    drawn = survival_store(tmp_path / "other", 500, seed=2)
    other = opened(tmp_path, "other")
    other.import_labels([tmp_path / "other-labels"])
    verdict = other.validate_survival("mace-both", from_store=home[0] / "store").study
    c = verdict.verdicts["both"].measure("harrell_c")["estimate"]
    assert c > harrell(drawn.times, drawn.truth).c - 0.07
    assert verdict.applied == "mace-both"
    survival_store(tmp_path / "third", 50, seed=3, encoder_id="enc-b")
    third = opened(tmp_path, "third")
    with pytest.raises(UsageError, match="reads embeddings of enc-a, not of enc-b"):
        third.validate_survival("mace-both", from_store=home[0] / "store")
    assert saved.payload
    atlas.drop_model("mace-both")
    with pytest.raises(NotFoundError, match="there is no model 'mace-both'"):
        atlas.predict_survival("mace-both")


def test_hold_outs_by_date_and_by_site(atlas):
    late = atlas.survival(replace(QUESTION, since=dt.date(2018, 1, 1)), cohort="everybody")
    (split,) = late.study.split
    assert 0 < len(split.test) < 350
    assert late.study.verdicts["embeddings"].subjects == len(split.test)
    with pytest.raises(UsageError, match="no model of 'embeddings' fitted to the whole cohort"):
        atlas.save_survival_model(late, "never")
    site = atlas.survival(replace(QUESTION, site="B"), cohort="everybody")
    assert site.study.verdicts["embeddings"].subjects == 350
    with pytest.raises(UsageError, match="site C: nobody is on the test side"):
        atlas.survival(replace(QUESTION, site="C"), cohort="everybody")


def test_planted_leaks_are_refused_and_named(home, atlas, tmp_path):
    _, drawn = home
    index = atlas.cohort("everybody").members.set_index("patient_id")["index_date"]
    late = [f"{p},{index[p] + dt.timedelta(days=9)},troponin,9" for p in ("p00003", "p00008")]
    file = tmp_path / "covariates.csv"
    early = [f"{p},{index[p]},troponin,{i}" for i, p in enumerate(drawn.patient)]
    file.write_text("\n".join(["patient_id,date,name,value", *early, *late]) + "\n")
    asked = replace(QUESTION, clinical=("troponin",), covariates=file)
    with pytest.raises(
        LeakageError, match=r"after the index date \(2\): troponin of p00003, troponin of p00008"
    ):
        atlas.survival(asked, cohort="everybody")
    happened = [
        f"{p},,seen,{int(e)}" for p, e in zip(drawn.patient, drawn.times.event, strict=True)
    ]
    file.write_text("\n".join(["patient_id,date,name,value", *happened]) + "\n")
    with pytest.raises(LeakageError, match=r"predictors made of the outcome \(1\): seen"):
        atlas.survival(replace(QUESTION, clinical=("seen",), covariates=file), cohort="everybody")
    file.write_text("\n".join(["patient_id,date,name,value", *early]) + "\n")
    assert atlas.survival(asked, cohort="everybody").study.verdicts


def test_a_run_that_two_patients_share_is_refused(tmp_path):
    drawn = world(300, seed=1, dim=EMBEDDING_DIM)
    columns = [name for name in drawn.x.columns if name.startswith(EMBEDDING)]
    drawn.x.loc[7, columns] = drawn.x.loc[3, columns].to_numpy()
    survival_store(tmp_path / "store", 300, seed=1, world=drawn)
    atlas = opened(tmp_path)
    atlas.import_labels([tmp_path / "store-labels"])
    with pytest.raises(
        LeakageError, match=r"runs that two patients share \(1\): 1.1.3.1 = 1.1.7.1"
    ):
        atlas.survival(QUESTION)


@pytest.mark.parametrize("seed", [TRAINING_SEEDS[0], EVALUATION_SEEDS[0]])
def test_patients_that_the_encoder_was_trained_on_are_refused(tmp_path, seed):
    drawn = world(200, seed=1, dim=EMBEDDING_DIM, yearly=0.4)
    named = replace(drawn, patient=np.array([patient_id(seed, i) for i in range(200)]))
    encoder = read_spec(SHIPPED).encoder_id
    survival_store(tmp_path / "store", 200, seed=1, world=named, encoder_id=encoder)
    atlas = opened(tmp_path)
    atlas.import_labels([tmp_path / "store-labels"])
    if seed in TRAINING_SEEDS:
        with pytest.raises(
            LeakageError, match=r"the encoder was trained on \(200\): PHANTOM-1000-00000, "
        ):
            atlas.survival(QUESTION)
    else:
        assert atlas.survival(QUESTION).study.verdicts


def test_a_run_that_was_compressed_again_is_refused_unless_told_otherwise(tmp_path):
    drawn = world(300, seed=1, dim=EMBEDDING_DIM)
    columns = [name for name in drawn.x.columns if name.startswith(EMBEDDING)]
    near = drawn.x.loc[3, columns].to_numpy(float)
    near = near + np.random.default_rng(0).normal(size=len(near)) * 0.03 / len(near) ** 0.5
    drawn.x.loc[7, columns] = near / np.linalg.norm(near)  # cosine 0.9995
    survival_store(tmp_path / "store", 300, seed=1, world=drawn)
    atlas = opened(tmp_path)
    atlas.import_labels([tmp_path / "store-labels"])
    with pytest.raises(LeakageError, match=r"1.1.3.1 = 1.1.7.1"):
        atlas.survival(QUESTION)
    told = atlas.survival(replace(QUESTION, same_run_cosine=0.9999)).study
    assert any("cosine of 0.9999 or more" in each for each in told.checks)


def test_what_is_missing_is_said(tmp_path):
    survival_store(tmp_path / "store", 60, seed=1)
    atlas = opened(tmp_path)
    with pytest.raises(UsageError, match=r"nobody of the cohort can be followed: .*no follow-up"):
        atlas.survival(QUESTION)
    with pytest.raises(UsageError, match="no predictor is called bmi"):
        atlas.survival(SurvivalQuestion(clinical=("bmi",)))
    with pytest.raises(UsageError, match="model 'magic': expected one of elastic-net"):
        atlas.survival(SurvivalQuestion(model="magic"))
    with pytest.raises(NotFoundError, match="there is no endpoint 'mce'"):
        atlas.survival("mce")


def test_predictions_do_not_depend_on_who_else_is_asked_about(home, atlas, result):
    atlas.save_survival_model(result, "alone", "embeddings")
    all_ = atlas.predict_survival("alone").table.set_index("study_uid")
    some = atlas.predict_survival("alone", cohort=atlas.choose_cohort(where="site = 'A'"))
    some = some.table.set_index("study_uid")
    np.testing.assert_allclose(some["risk_365d"], all_.loc[some.index, "risk_365d"], rtol=1e-9)
    atlas.drop_model("alone")


def test_what_became_of_a_cohort_needs_no_model(home, atlas):
    _, drawn = home
    told = atlas.cohort_outcomes(endpoint="mi", horizons=(730, 365))
    assert told.name == "everybody"
    assert told.cohort_id == atlas.cohort("everybody").cohort_id
    assert told.outcomes.test is None
    rows = told.outcomes.horizons.set_index("horizon_days")
    for day in (365, 730):
        before = drawn.times.time <= day
        assert rows.loc[day, "at_risk"] == (drawn.times.time >= day).sum()
        assert rows.loc[day, "events"] == (drawn.times.event & before).sum()
        assert rows.loc[day, "competing"] == (drawn.times.competing & before).sum()
    half = atlas.choose_cohort(where="site = 'A'")
    assert atlas.cohort_outcomes(half).outcomes.summary()["patients"].tolist() == [350]


def test_a_cohort_that_nobody_followed_is_said_to_be_one(tmp_path):
    survival_store(tmp_path / "store", 5, seed=2)
    told = opened(tmp_path).cohort_outcomes()
    assert told.outcomes is None
    assert "angioatlas labels import" in told.not_told
    assert told.excluded["exams"].sum() == 5


def test_clinical_predictors_are_named(atlas):
    assert atlas.clinical_predictors() == ["age_years", "sex", "diabetes", "lvef_percent"]
