"""Disease over years and events after change, of patients whose truth is planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytics.endpoints import Rules, endpoint
from analytics.progression.course import natural, slope_over_years, time_to_progression
from analytics.progression.outcome import landmark, spells_of, time_varying
from benchmarks.progression_course import LOG_HAZARD, SLOPE, draw_followed, draw_slopes
from core.errors import UsageError

DAY = pd.Timestamp("2020-01-01")
MACE, RULES = endpoint("mace"), Rules()


def pairs(*rows):
    """Rows of patient, prior day, day, treatment, progressed."""
    return pd.DataFrame(
        [
            (who, DAY + pd.Timedelta(days=a), DAY + pd.Timedelta(days=b), treatment, progressed)
            for who, a, b, treatment, progressed in rows
        ],
        columns=["patient_id", "prior_date", "date", "treatment", "progressed"],
    )


def test_the_natural_course_ends_with_the_first_treatment():
    table = pairs(
        ("a", 0, 10, "", False),
        ("a", 10, 20, "pci", False),
        ("a", 20, 30, "", False),
        ("b", 0, 10, "", False),
    )
    assert natural(table).index.tolist() == [0, 3]


def test_a_mean_slope_is_found():
    values, years, patient = draw_slopes(np.random.default_rng(1), 300)
    found = slope_over_years(values, years, patient).fixed.loc["years"]
    assert found["lower"] < SLOPE < found["upper"]
    assert found["se"] < 0.1


def test_when_progression_happened_is_known_between_two_exams():
    year = 365.25
    table = pairs(
        *((f"a{i}", 0, year, "", True) for i in range(10)),
        *((f"b{i}", 0, year, "", False) for i in range(10)),
        *((f"b{i}", year, 3 * year, "", True) for i in range(5)),
        ("c", 0, year, "pci", True),
        ("d", 0, year, "", None),
    ).sort_values(["patient_id", "date"], ignore_index=True)
    found = time_to_progression(table)
    # Ten of twenty progressed within the first year; of the others five did within the next two.
    first = found[(found["years"] - 1).abs() < 0.01].iloc[0]
    assert first["lower"] == pytest.approx(0, abs=1e-3)
    assert first["upper"] == pytest.approx(0.5, abs=1e-3)
    assert found["years"].max() == pytest.approx(3, abs=0.01)
    assert found["upper"].iloc[-1] == pytest.approx(1, abs=1e-3)
    with pytest.raises(UsageError, match="nobody is known to have progressed"):
        time_to_progression(table[table["progressed"].isin([False])])


def test_the_share_that_progressed_is_that_of_the_truth():
    rng = np.random.default_rng(0)
    rows = []
    for i, when in enumerate(rng.exponential(4, 500)):
        visits = np.sort(rng.uniform(0.1, 8, 3))
        for before, at in zip([0, *visits[:-1]], visits, strict=True):
            rows.append((f"p{i:03d}", 365.25 * before, 365.25 * at, "", bool(before < when <= at)))
    found = time_to_progression(pairs(*rows))
    for years in (2, 4, 6):
        row = found.iloc[(found["years"] - years).abs().argmin()]
        middle = (row["lower"] + row["upper"]) / 2
        assert middle == pytest.approx(1 - np.exp(-years / 4), abs=0.12)


@pytest.fixture(scope="module")
def followed():
    return draw_followed(np.random.default_rng(2), 700)


def test_spells_cover_follow_up_once(followed):
    exams, pairs, events, ends = followed
    spells = spells_of(exams, pairs, events, ends, MACE, RULES)
    for _, rows in spells.groupby("patient_id"):
        assert rows["start"].iloc[0] == 0
        np.testing.assert_array_equal(rows["start"].to_numpy()[1:], rows["stop"].to_numpy()[:-1])
        assert not rows["event"].to_numpy()[:-1].any()
    assert spells["event"].sum() == (events["kind"] == "mi").sum()
    assert (spells.groupby("patient_id")["score"].first() == 0).all()
    assert spells["patient_id"].nunique() == 700


@pytest.mark.parametrize(("fit", "exams"), [(landmark, 2), (time_varying, 3)])
def test_the_planted_hazard_is_found(fit, exams):
    drawn = draw_followed(np.random.default_rng(2), 700, exams=exams)
    told = drawn if fit is time_varying else drawn[1:]
    (row,) = fit(*told, MACE, RULES).to_dict("records")
    assert np.log(row["hr_lower"]) < LOG_HAZARD < np.log(row["hr_upper"])
    assert row["p"] < 0.01
    assert row["events"] > 50


def test_few_events_are_refused(followed):
    exams, table, events, ends = followed
    with pytest.raises(UsageError, match="0 events after second exams are too few"):
        landmark(table, events.iloc[:0], ends, MACE, RULES)
    with pytest.raises(UsageError, match="0 events after first exams are too few"):
        time_varying(exams, table, events.iloc[:0], ends, MACE, RULES)
