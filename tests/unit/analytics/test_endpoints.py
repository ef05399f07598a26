"""From dated events and follow-up to time and state."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from analytics.endpoints import ENDPOINTS, Endpoint, Rules, endpoint, observe
from core.errors import NotFoundError, UsageError

MACE = ENDPOINTS["mace"]
DAY = dt.date(2020, 1, 1)


def day(n):
    return DAY + dt.timedelta(days=n)


def follow(*, events=(), last=1000, status="alive", target=MACE, index=0, rules=None, patient="p"):
    """Follow one patient: events are (day, kind)."""
    rows = [{"patient_id": patient, "date": day(at), "kind": kind} for at, kind in events]
    return observe(
        pd.DataFrame([{"study_uid": "s", "patient_id": "p", "index_date": day(index)}]),
        pd.DataFrame(rows, columns=["patient_id", "date", "kind"]),
        pd.DataFrame([{"patient_id": "p", "last_known_date": day(last), "status": status}]),
        target,
        rules or Rules(),
    )


def ending(**how):
    found = follow(**how).table.iloc[0]
    return int(found["time_days"]), int(found["state"]), found["kind"]


def reason(**how):
    found = follow(**how)
    assert found.table.empty
    return found.excluded.iloc[0]["reason"]


@pytest.mark.parametrize(
    ("events", "how", "expected"),
    [
        ([], {}, (1000, 0, None)),
        ([(100, "mi")], {}, (100, 1, "mi")),
        ([(100, "mi"), (50, "stroke")], {}, (50, 1, "stroke")),
        ([(-10, "mi")], {}, (1000, 0, None)),
        ([(0, "mi")], {}, (1000, 0, None)),
        ([(1, "mi")], {}, (1, 1, "mi")),
        ([(60, "revascularisation")], {}, (1000, 0, None)),
        ([(60, "arrhythmia")], {}, (1000, 0, None)),
        ([(60, "arrhythmia")], {"target": ENDPOINTS["mace_wide"]}, (60, 1, "arrhythmia")),
        ([(300, "death_other")], {"last": 300, "status": "dead"}, (300, 2, "death_other")),
        ([(300, "death_cardiovascular")], {"last": 300}, (300, 1, "death_cardiovascular")),
        ([(300, "death")], {"last": 300}, (300, 2, "death")),
        ([(300, "death")], {"rules": Rules(unknown_death="event")}, (300, 1, "death")),
        ([], {"last": 300, "status": "dead"}, (300, 2, "death")),
        ([], {"last": 300, "status": "dead", "target": ENDPOINTS["death_any"]}, (300, 1, "death")),
        ([(300, "death_other"), (300, "mi")], {}, (300, 1, "mi")),
        ([(20, "mi"), (200, "stroke")], {"rules": Rules(blanking_days=30)}, (200, 1, "stroke")),
        ([(30, "mi")], {"rules": Rules(blanking_days=30)}, (1000, 0, None)),
        ([(31, "mi")], {"rules": Rules(blanking_days=30)}, (31, 1, "mi")),
        ([(500, "mi")], {"rules": Rules(until=day(400))}, (400, 0, None)),
        ([(400, "mi")], {"rules": Rules(until=day(400))}, (400, 1, "mi")),
        ([(100, "mi")], {"target": ENDPOINTS["stroke"]}, (1000, 0, None)),
        ([(100, "mi")], {"index": 60}, (40, 1, "mi")),
        ([(1200, "mi")], {}, (1200, 1, "mi")),
    ],
)
def test_how_a_follow_up_ends(events, how, expected):
    assert ending(events=events, **how) == expected


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"last": 0}, "not followed beyond the index date and blanking period"),
        ({"last": 20, "rules": Rules(blanking_days=30)}, "not followed beyond"),
        ({"events": [(10, "death_other")], "rules": Rules(blanking_days=30)}, "dead within"),
        ({"events": [(0, "death_other")]}, "dead within the blanking period"),
        ({"events": [(-5, "death_other")]}, "dead before the index date"),
        ({"rules": Rules(until=day(-3))}, "not followed beyond"),
    ],
)
def test_who_cannot_be_followed_is_left_out_with_the_reason(how, expected):
    assert reason(**how).startswith(expected)


def test_who_was_never_heard_of_again_is_left_out():
    found = observe(
        pd.DataFrame([{"patient_id": "q", "index_date": DAY}]),
        pd.DataFrame([{"patient_id": "q", "date": day(5), "kind": "mi"}]),
        pd.DataFrame([{"patient_id": "p", "last_known_date": day(9), "status": "alive"}]),
        MACE,
    )
    assert found.excluded["reason"].tolist() == ["no follow-up"]


def test_contradictions_are_told():
    assert "are known to be dead without an event" in follow(status="dead").notes[0]
    assert "have events after their last known date" in follow(events=[(1200, "mi")]).notes[0]
    told = follow(events=[(300, "death_other")], last=900)
    assert "have a last known date after their death" in told.notes[0]
    assert told.table["time_days"].tolist() == [300]
    assert follow().notes == ()


def test_other_columns_and_the_order_stay():
    index = pd.DataFrame(
        {"patient_id": ["b", "a", "c"], "index_date": [DAY] * 3, "site": ["x", "y", "z"]}
    )
    ends = pd.DataFrame(
        {"patient_id": ["a", "b"], "last_known_date": [day(9), day(8)], "status": "alive"}
    )
    events = pd.DataFrame({"patient_id": ["a"], "date": [day(4)], "kind": ["mi"]})
    found = observe(index, events, ends, MACE)
    assert found.table[["patient_id", "site", "time_days", "state"]].to_numpy().tolist() == [
        ["b", "x", 8, 0],
        ["a", "y", 4, 1],
    ]
    assert found.excluded["patient_id"].tolist() == ["c"]
    assert found.counts() == {"censored": 1, "mi": 1}
    assert found.times.time.tolist() == [8, 4]


def test_an_endpoint_of_ones_own():
    assert endpoint("mine", ("mi", "stroke")) == Endpoint("mine", ("mi", "stroke"))
    assert endpoint("mace") is MACE
    with pytest.raises(NotFoundError, match="there is no endpoint 'mce'; there are mace"):
        endpoint("mce")
    with pytest.raises(UsageError, match="that are no kinds of events: infarct"):
        endpoint("mine", ("infarct",))
