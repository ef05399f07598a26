"""Net benefit is that of dcurves where no event competes, and right where one does."""

from __future__ import annotations

import dcurves
import numpy as np
import pytest

from analytics.survival.discrimination import auc
from analytics.survival.times import follow_up
from analytics.survival.utility import decision_curve
from core.errors import UsageError
from tests.support.survival import censored, competing, reference, subjects

HORIZON = 730
AT = (0.1, 0.3, 0.5)
RISK = 1 - np.exp(-np.exp(np.array(reference()["linear_predictor"])) * 0.25)


def test_without_competing_events_it_is_that_of_dcurves():
    rows = subjects()
    found = decision_curve(censored(rows), {"model": RISK}, HORIZON, thresholds=AT)
    frame = rows.assign(event=rows["state"] == 1, model=RISK)
    told = dcurves.dca(
        data=frame,
        outcome="event",
        modelnames=["model"],
        thresholds=AT,
        time=HORIZON,
        time_to_outcome_col="time",
    ).replace({"model": {"all": "everybody", "none": "nobody"}})
    both = found.merge(told, on=["model", "threshold"], suffixes=("", "_told"))
    assert len(both) == len(found) == 9
    np.testing.assert_allclose(both["net_benefit"], both["net_benefit_told"], atol=1e-12)


def test_competing_events_are_no_events():
    rows = subjects()
    alone = decision_curve(censored(rows), {"model": RISK}, HORIZON, thresholds=AT)
    both = decision_curve(competing(rows), {"model": RISK}, HORIZON, thresholds=AT)
    treated = (alone["treated"] > 0).to_numpy()
    assert (both["net_benefit"] < alone["net_benefit"])[treated].all()


def test_treating_nobody_gains_nothing_and_knowing_all_gains_the_incidence():
    times = follow_up([1, 1, 5, 5], [1, 1, 0, 0])
    known = decision_curve(times, {"oracle": [0.9, 0.9, 0.1, 0.1]}, 2, thresholds=[0.5])
    gained = known.set_index("model")["net_benefit"]
    assert gained["oracle"] == pytest.approx(0.5)
    assert gained["nobody"] == 0
    assert gained["everybody"] == pytest.approx(0.0)
    assert auc(times, [0.9, 0.9, 0.1, 0.1], 2) == 1


def test_a_threshold_outside_zero_and_one_is_refused():
    with pytest.raises(UsageError, match="threshold is not between 0 and 1"):
        decision_curve(follow_up([1, 2], [1, 0]), {}, 1, thresholds=[1.0])
