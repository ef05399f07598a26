"""Outcomes of patients like one, on a real store: figures, report, command, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analytics.leakage import LeakageError
from analytics.preparation import EMBEDDING
from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.alike import FarFromAllError
from analytics.survival.times import follow_up
from angioatlas.atlas import Atlas
from core.errors import NotFoundError, UsageError
from core.schema import EMBEDDING_DIM
from core.settings import Settings
from tests.support.cli import angioatlas, as_json
from tests.support.cohorts import world
from tests.support.survival_store import survival_store

UID = "1.1.5"
HORIZONS = (180, 365, 730)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("like")
    drawn = survival_store(folder / "store", 500, seed=1)
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
def found(home):
    return opened(home[0]).outcomes_like(UID, horizons=HORIZONS, cohort="everybody")


def vectors_of(drawn):
    return drawn.x[[name for name in drawn.x if name.startswith(EMBEDDING)]].to_numpy()


def test_the_neighbours_are_those_of_the_vectors(home, found):
    _, drawn = home
    cosine = pd.Series(vectors_of(drawn) @ vectors_of(drawn)[5]).drop(5)
    nearest = cosine.nlargest(found.outcomes.tuned.k + 1)
    assert found.neighbours["study_uid"].tolist() == [f"1.1.{i}" for i in nearest.index[:-1]]
    np.testing.assert_allclose(found.neighbours["similarity"], nearest[:-1], atol=1e-6)
    above = nearest[:-1] - nearest.iloc[-1]
    np.testing.assert_allclose(found.neighbours["weight"], above / above.sum(), atol=1e-5)
    assert found.bandwidth == pytest.approx(1 - nearest.iloc[-1], abs=1e-6)
    assert found.effective_size == pytest.approx(above.sum() ** 2 / (above**2).sum(), rel=1e-4)


def test_the_figures_can_be_worked_out_again_from_the_neighbours(home, found):
    _, drawn = home
    near = found.neighbours
    curve = aalen_johansen(
        follow_up(near["time_days"], near["state"]), weights=near["weight"].to_numpy()
    )
    np.testing.assert_allclose(found.horizons["incidence"], curve.at(HORIZONS)[:, 0], atol=1e-9)
    assert found.horizons["horizon_days"].tolist() == [*HORIZONS]
    others = np.delete(np.arange(500), 5)
    whole = aalen_johansen(drawn.times[others])
    np.testing.assert_allclose(found.horizons["cohort_incidence"], whole.at(HORIZONS)[:, 0])
    assert found.curve["time_days"].max() <= 730
    assert found.cohort_curve["incidence"].iloc[-1] == found.horizons["cohort_incidence"].iloc[-1]
    assert found.provenance["store_version"] == 2


def test_it_prints_what_it_is_and_what_it_is_not(found):
    told = str(found)
    assert "no prediction for this patient" in told
    assert "Research use only" in told
    assert "endpoint: mace" in told


def test_the_report_has_every_part(home, found, tmp_path):
    html, beside = found.write(tmp_path / "like.html")
    page = html.read_text()
    for title in ("Answer", "Neighbours", "Protocol", "Cohort", "Provenance"):
        assert f">{title}</h2>" in page
    assert "Research use only" in page
    assert "no prediction for this patient" in page
    assert page.count('class="plotly-graph-div"') == 1
    assert not [patient for patient in home[1].patient[:50] if patient in page]
    told = json.loads(beside.read_text())
    assert told["query"] == UID
    assert len(told["horizons"]) == 3
    assert told["k"] == found.outcomes.tuned.k


def test_the_figure_shows_neighbours_and_cohort(found):
    names = [each.name for each in found.figure().data if each.name]
    assert names == ["patients like this", "whole cohort"]


def test_a_vector_asks_the_same_of_an_exam_that_is_not_in_the_store(home, atlas, found):
    vector = vectors_of(home[1])[5]
    rest = atlas.choose_cohort(where=f"study_uid != '{UID}'")
    told = atlas.outcomes_like(vector=3 * vector, horizons=HORIZONS, cohort=rest)
    assert told.query_uid is None
    np.testing.assert_allclose(told.horizons["incidence"], found.horizons["incidence"], atol=1e-6)
    for wrong in (vector[:7], np.zeros(EMBEDDING_DIM), np.full(EMBEDDING_DIM, np.nan)):
        with pytest.raises(UsageError, match=r"a vector of shape .*: expected 512 finite numbers"):
            atlas.outcomes_like(vector=wrong)


def test_a_stranger_is_refused(atlas):
    stranger = np.random.default_rng(0).normal(size=EMBEDDING_DIM)
    with pytest.raises(FarFromAllError, match="the exam is far from all"):
        atlas.outcomes_like(vector=stranger)


def test_another_exam_of_the_patient_never_counts(tmp_path):
    drawn = world(401, seed=3, dim=EMBEDDING_DIM)
    drawn.patient[400] = drawn.patient[9]
    columns = [name for name in drawn.x.columns if name.startswith(EMBEDDING)]
    drawn.x.loc[400, columns] = drawn.x.loc[9, columns].to_numpy()
    drawn.times.time[400], drawn.times.state[400] = drawn.times.time[9], drawn.times.state[9]
    survival_store(tmp_path / "store", 401, seed=3, world=drawn)
    atlas = opened(tmp_path)
    labels = tmp_path / "store-labels"
    follow = pd.read_csv(labels / "follow_up.csv").drop_duplicates("patient_id")
    follow.to_csv(labels / "follow_up.csv", index=False)
    atlas.import_labels([labels / "follow_up.csv", labels / "events.csv"])
    for uid in ("1.3.9", "1.3.400"):
        found = atlas.outcomes_like(uid)
        assert not {"1.3.9", "1.3.400"} & set(found.neighbours["study_uid"])
        assert found.outcomes.everybody.at_risk[0] <= 399
    every = atlas.choose_cohort(index="every")
    with pytest.raises(UsageError, match="several exams of one patient"):
        atlas.outcomes_like("1.3.9", cohort=every)


def test_the_same_run_under_another_patients_name_is_refused(tmp_path):
    drawn = world(300, seed=1, dim=EMBEDDING_DIM)
    columns = [name for name in drawn.x.columns if name.startswith(EMBEDDING)]
    drawn.x.loc[7, columns] = drawn.x.loc[3, columns].to_numpy()
    survival_store(tmp_path / "store", 300, seed=1, world=drawn)
    atlas = opened(tmp_path)
    atlas.import_labels([tmp_path / "store-labels"])
    with pytest.raises(LeakageError, match=r"that the exam has as well \(1\): 1.1.7.1"):
        atlas.outcomes_like("1.1.3")
    assert len(atlas.outcomes_like("1.1.4").neighbours) >= 50


def test_what_is_wrong_is_said(atlas):
    with pytest.raises(NotFoundError, match=r"no study 1\.9\.9 with a vector of enc-a in store"):
        atlas.outcomes_like("1.9.9")
    with pytest.raises(NotFoundError, match="there is no endpoint 'mce'"):
        atlas.outcomes_like(UID, endpoint="mce")
    with pytest.raises(UsageError, match="which exam is meant"):
        atlas.outcomes_like()
    with pytest.raises(UsageError, match="which exam is meant"):
        atlas.outcomes_like(UID, vector=np.ones(EMBEDDING_DIM))
    with pytest.raises(UsageError, match="no horizon is supported"):
        atlas.outcomes_like(UID, endpoint="stroke")
    small = atlas.choose_cohort(where="site = 'A' and patient_sex = 'F'")
    with pytest.raises(UsageError, match=r"patients can be compared with: expected at least 200"):
        atlas.outcomes_like(UID, cohort=small)


def test_the_command_tells_the_same(home, found, tmp_path):
    folder, _ = home
    store = ("--store", folder / "store", "--cohort", "everybody")
    told = as_json(tmp_path, "survival", "like", UID, *store, "--horizons", "180,365,730")
    assert told["horizons"] == json.loads(found.document().json())["horizons"]
    assert told["notice"] == found.notice
    page = tmp_path / "like.html"
    done = angioatlas(
        tmp_path, "survival", "like", UID, *store, "--horizons", "365,1990", "--report", page
    )
    assert done.returncode == 0, done.stderr
    for words in ("effective size", "not told: 1990 days", "no prediction", "Research use only"):
        assert words in done.stdout
    assert page.exists()
