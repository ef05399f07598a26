"""Before and after an intervention: who is compared with whom, and by how much they differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analytics.progression.treatment import before_and_after, difference_limits, one_pair_each


def pairs(*rows):
    return pd.DataFrame(rows, columns=["patient_id", "study_uid", "treatment"])


def test_each_patient_counts_once():
    found = one_pair_each(
        pairs(
            ("never", "a2", ""),
            ("never", "a3", ""),
            ("late", "b2", ""),
            ("late", "b3", "pci"),
            ("late", "b4", "pci"),
            ("surgery", "c2", "cabg"),
            ("surgery", "c3", "pci"),
            ("both", "d2", "cabg+pci"),
        )
    )
    assert found[["study_uid", "treated"]].values.tolist() == [["a2", False], ["b3", True]]


def drawn(rng, *, effect):
    treated = rng.random(150) < 0.4
    # Who was treated comes again later, and time alone moves scores too.
    years = np.where(treated, rng.uniform(1, 4, 150), rng.uniform(0.5, 2, 150))
    return pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(150)],
            "study_uid": [f"s{i}" for i in range(150)],
            "treatment": np.where(treated, "pci", ""),
            "days": (365.25 * years).round(),
            "score": rng.gamma(2, 0.3, 150) + years + effect * treated,
            "toward_disease": rng.normal(size=150) - effect * treated,
        }
    )


def test_an_effect_is_told_from_the_time_that_passed():
    found = before_and_after(drawn(np.random.default_rng(1), effect=1.0), repeats=500, seed=0)
    score, toward = found.to_dict("records")
    assert (score["measure"], toward["measure"]) == ("score", "toward_disease")
    assert score["difference"] > 1.8, "of the effect and of the time"
    assert score["adjusted_lower"] < 1.0 < score["adjusted_upper"]
    assert toward["lower"] < -1.0 < toward["upper"] < 0
    assert toward["p"] == pytest.approx(2 / 501), "no exchange differs as much"
    again = before_and_after(drawn(np.random.default_rng(1), effect=1.0), repeats=500, seed=0)
    pd.testing.assert_frame_equal(found, again)


def test_without_an_effect_none_is_found():
    rng = np.random.default_rng(2)
    found = [before_and_after(drawn(rng, effect=0.0), repeats=99, seed=i) for i in range(60)]
    ps = [each["p"].to_numpy()[1] for each in found]
    # Of a p that is even between 0 and 1 the mean of 60 is within 0.5 ± 0.15 (4 standard errors).
    assert abs(np.mean(ps) - 0.5) < 0.15


def test_limits_of_normal_groups_are_those_of_welch():
    rng = np.random.default_rng(3)
    one, other = rng.normal(2, 1, 200), rng.normal(0, 3, 150)
    low, high = difference_limits(one, other, repeats=4000, seed=0)
    welch = stats.ttest_ind(one, other, equal_var=False).confidence_interval()
    assert (low, high) == pytest.approx((welch.low, welch.high), abs=0.05)


def test_small_groups_are_not_compared():
    few = drawn(np.random.default_rng(4), effect=0.0).assign(treatment="")
    assert before_and_after(few, repeats=10, seed=0).empty
    unknown = drawn(np.random.default_rng(4), effect=0.0).assign(toward_disease=np.nan)
    assert before_and_after(unknown, repeats=10, seed=0)["measure"].tolist() == ["score"]
