"""Several groups: curves and test against lifelines, numbers at risk by counting."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import median_survival_times

from analytics.survival.groups import compare_groups
from analytics.survival.times import Times, follow_up
from core.errors import UsageError

HORIZONS = (100.0, 365.0, 700.0)


def drawn(seed: int, n: int, scale: float) -> Times:
    """Draw follow-up with ties, censoring and competing events."""
    rng = np.random.default_rng(seed)
    return follow_up(
        np.ceil(rng.exponential(scale, n) / 10) * 10, rng.choice([0, 1, 2], n, p=[0.4, 0.4, 0.2])
    )


GROUPS = {"a": drawn(1, 80, 500.0), "b": drawn(2, 50, 300.0), "c": drawn(3, 60, 800.0)}


def test_every_group_has_the_curves_of_lifelines():
    found = compare_groups(GROUPS, horizons=HORIZONS)
    assert [*found.groups] == ["a", "b", "c"]
    for name, times in GROUPS.items():
        own = found.groups[name]
        theirs = KaplanMeierFitter().fit(times.time, times.event)
        at = own.survival.time
        np.testing.assert_allclose(own.survival.estimate, theirs.survival_function_at_times(at))
        ended = KaplanMeierFitter().fit(times.time, times.state == 0)
        assert own.follow_up.median == ended.median_survival_time_
        # Where a curve has fallen to 0, lifelines has an upper limit; R and we have none.
        lower = median_survival_times(ended.confidence_interval_).to_numpy()[0, 0]
        assert own.follow_up.lower == lower
        spread = np.random.default_rng(0).uniform(0, 1e-6, len(times))  # lifelines takes no ties
        theirs = AalenJohansenFitter(calculate_variance=False).fit(
            times.time + spread, times.state, event_of_interest=1
        )
        last = float(theirs.cumulative_density_.iloc[-1, 0])
        assert own.incidence.estimate[-1] == pytest.approx(last, abs=0.01)


def test_the_test_is_that_of_lifelines_and_needs_separate_patients():
    time = np.concatenate([each.time for each in GROUPS.values()])
    event = np.concatenate([each.event for each in GROUPS.values()])
    group = np.repeat([*GROUPS], [len(each) for each in GROUPS.values()])
    theirs = multivariate_logrank_test(time, group, event)
    found = compare_groups(GROUPS, horizons=HORIZONS)
    assert found.test is not None
    assert found.test.chi2 == pytest.approx(theirs.test_statistic)
    assert found.test.p == pytest.approx(theirs.p_value)
    assert found.test.df == 2
    summary = found.summary().set_index("group")
    assert summary["expected_events"].sum() == pytest.approx(summary["events"].sum())
    sharing = compare_groups(GROUPS, horizons=HORIZONS, shared=3)
    assert sharing.test is None
    assert sharing.notes == (
        "groups that share patients (3 here) are not independent: no log-rank test is given",
    )
    assert sharing.summary()["expected_events"].isna().all()


def test_counts_at_the_horizons_are_those_of_a_count():
    found = compare_groups(GROUPS, horizons=HORIZONS)
    for row in found.horizons.to_dict("records"):
        times = GROUPS[row["group"]]
        until = times.time <= row["horizon_days"]
        assert row["at_risk"] == (times.time >= row["horizon_days"]).sum()
        assert row["events"] == (until & (times.state == 1)).sum()
        assert row["competing"] == (until & (times.state == 2)).sum()
    steps = found.steps()
    for name, times in GROUPS.items():
        own = steps[steps["group"] == name]
        counted = [(times.time >= each).sum() for each in own["time_days"]]
        assert own["at_risk"].tolist() == counted


def test_what_nobody_is_followed_for_is_not_told():
    groups = {
        "lost": follow_up([10, 20, 30], [1, 0, 0]),
        "ended": follow_up([10, 20, 30], [1, 2, 1]),
        "competed": follow_up([10, 20, 30], [1, 1, 2]),
    }
    rows = compare_groups(groups, horizons=(30, 31)).horizons.set_index(["group", "horizon_days"])
    known = rows[["survival", "incidence"]].notna().apply(list, axis=1)
    assert known[:, 30].tolist() == [[True, True]] * 3
    assert known["lost", 31] == [False, False]
    assert known["ended", 31] == [True, True]
    # Of a world without what competed nothing is known any more.
    assert known["competed", 31] == [False, True]
    assert rows.loc[("ended", 31), "incidence"] == pytest.approx(2 / 3)
    assert rows.loc[("ended", 31), "survival"] == 0


def test_curves_are_drawn_while_a_tenth_is_followed():
    one, other = follow_up(np.arange(1, 21), np.ones(20)), follow_up([200.0] * 20, [0] * 20)
    assert compare_groups({"a": one, "b": other}, horizons=(5,)).until == 200
    assert compare_groups({"a": one, "b": one}, horizons=(5,)).until == 19
    assert compare_groups({"a": one, "b": one}, horizons=(50,)).until == 50


@pytest.mark.parametrize("states", [[0, 0], [1, 1]])
def test_there_is_no_test_where_nothing_varies(states):
    times = follow_up([5, 5], states)
    found = compare_groups({"a": times, "b": times}, horizons=(5,))
    assert found.test is None
    assert found.notes == ("no event tells the groups apart: no log-rank test is given",)


def test_nobody_and_one_group_are_refused():
    with pytest.raises(UsageError, match="1 groups to compare, 0 of them without follow-up"):
        compare_groups({"a": GROUPS["a"]}, horizons=HORIZONS)
    with pytest.raises(UsageError, match="2 groups to compare, 1 of them without follow-up"):
        compare_groups({"a": GROUPS["a"], "b": GROUPS["a"][:0]}, horizons=HORIZONS)
