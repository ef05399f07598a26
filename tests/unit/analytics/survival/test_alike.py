"""What became of patients like one, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.survival.aalen_johansen import aalen_johansen
from analytics.survival.alike import FarFromAllError, ask, outcomes_of_alike
from analytics.survival.leave_one_out import tune
from analytics.survival.times import follow_up
from benchmarks.outcomes_like import draw
from core.errors import UsageError

DAYS = (365.0, 1095.0)


@pytest.fixture(scope="module")
def drawn():
    return draw(np.random.default_rng(7), 800, 0.3)


@pytest.fixture(scope="module")
def query():
    return draw(np.random.default_rng(8), 1, 0.3).vectors[0]


def test_the_table_tells_neighbours_and_cohort(drawn, query):
    found = outcomes_of_alike(query, drawn.vectors, drawn.times, horizons=DAYS, k=100)
    similarity = drawn.vectors @ query
    assert set(found.neighbours.rows) == set(np.argsort(-similarity)[:100])
    assert found.nearness == pytest.approx(np.sort(similarity)[-100])
    year = found.horizons.iloc[0]
    own = drawn.times[found.neighbours.rows]
    assert year["events"] == (own.event & (own.time <= 365)).sum()
    assert year["competing"] == (own.competing & (own.time <= 365)).sum()
    assert year["at_risk"] == (own.time >= 365).sum()
    assert year["effective_at_risk"] < found.neighbours.effective < 100
    assert year["lower"] < year["incidence"] < year["upper"]
    assert year["cohort_incidence"] == aalen_johansen(drawn.times).at([365])[0, 0]
    steps = found.steps()
    assert steps["time_days"].max() <= found.until == 1095
    assert (np.diff(steps["incidence"]) >= 0).all()
    last = steps[steps["time_days"] <= 365].iloc[-1]
    assert last["incidence"] == year["incidence"]


def test_an_exam_that_is_far_from_all_is_refused(drawn):
    directions = np.random.default_rng(99).normal(size=(4, 32))
    away = np.linalg.svd(directions)[2][-1]  # across everything that tells patients apart
    with pytest.raises(
        FarFromAllError,
        match=r"far from all: the 100th most similar patient has a cosine of 0\.\d+ with it; of "
        r"the cohort's own patients, 99 in 100 have one of 0\.\d+ or more",
    ) as refused:
        outcomes_of_alike(away, drawn.vectors, drawn.times, horizons=DAYS, k=100)
    assert refused.value.exit_code == 1
    assert "pictures of the exam" in refused.value.hint


def test_too_small_an_effective_size_is_refused(drawn, query):
    with pytest.raises(UsageError, match=r"the 8 most similar patients count as much as [3-7]\.\d"):
        outcomes_of_alike(query, drawn.vectors, drawn.times, horizons=DAYS, k=8)


def test_horizons_that_the_cohort_does_not_support_are_not_told(drawn, query):
    found = outcomes_of_alike(query, drawn.vectors, drawn.times, horizons=(365, 1990), k=100)
    assert found.horizons["horizon_days"].tolist() == [365]
    (cut,) = found.cut
    assert cut.startswith("1990 days: in the cohort ")
    with pytest.raises(UsageError, match=r"no horizon is supported by the data: 1990 days: in the"):
        outcomes_of_alike(query, drawn.vectors, drawn.times, horizons=(1990,), k=100)


def test_too_few_events_in_the_cohort_are_refused(drawn, query):
    first = np.cumsum(drawn.times.event) <= 9
    times = follow_up(drawn.times.time, np.where(drawn.times.event & ~first, 0, drawn.times.state))
    with pytest.raises(UsageError, match=r"9 events \(at least 10\)"):
        outcomes_of_alike(query, drawn.vectors, times, horizons=(1800.0,), k=100)


def test_a_horizon_that_censoring_hides_from_the_neighbours_is_not_told(drawn, query):
    near = np.argsort(-(drawn.vectors @ query))[:60]
    time, state = drawn.times.time.copy(), drawn.times.state.copy()
    time[near], state[near] = (
        np.minimum(time[near], 700),
        np.where(time[near] > 700, 0, state[near]),
    )
    found = outcomes_of_alike(query, drawn.vectors, follow_up(time, state), horizons=DAYS, k=50)
    assert found.horizons["horizon_days"].tolist() == [365]
    assert found.cut == (
        "1095 days: had nothing happened, 0 of the neighbours would be followed until then (at "
        "least 10)",
    )


def test_a_horizon_before_which_the_neighbours_had_events_is_told(drawn, query):
    # None of them is at risk, and yet all is known.
    near = np.argsort(-(drawn.vectors @ query))[:60]
    time, state = drawn.times.time.copy(), drawn.times.state.copy()
    time[near], state[near] = np.linspace(10, 90, 60), 1
    found = outcomes_of_alike(query, drawn.vectors, follow_up(time, state), horizons=DAYS, k=50)
    assert found.horizons["at_risk"].tolist() == [0, 0]
    assert found.horizons["incidence"].tolist() == pytest.approx([1, 1])
    assert (found.horizons["lower"] > 0.85).all()
    assert found.horizons["effective_at_risk"].tolist() == [0, 0]


def test_a_direction_that_drives_the_hazard_is_found(drawn):
    asked = draw(np.random.default_rng(9), 40, 0.3)
    tuned = tune(drawn.vectors, drawn.times, DAYS)
    near, whole = [], []
    for vector, truth in zip(asked.vectors, asked.truth, strict=True):
        try:
            found = ask(vector, drawn.vectors, drawn.times, tuned, horizons=DAYS)
        except FarFromAllError:
            continue
        near.append(np.abs(found.horizons["incidence"] - truth).mean())
        whole.append(np.abs(found.horizons["cohort_incidence"] - truth).mean())
    assert len(near) > 35
    assert np.mean(near) < 0.65 * np.mean(whole)
