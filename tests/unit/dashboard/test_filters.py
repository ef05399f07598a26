"""Filters in words: what they write is read as a predicate, and says what the words say."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from core.segments import VESSELS
from dashboard.filters import (
    ANYWHERE,
    SUBJECTS,
    Condition,
    clause,
    columns_of,
    joined,
    offered,
    places,
)
from store.predicate import kinds_of, understood
from store.sql import satisfying

RCA = VESSELS["RCA"]
NAMES = columns_of(SUBJECTS["Stenosis, % diameter"], "RCA")
ROWS = pa.table(
    {
        "study_uid": ["free", "one", "all", "unknown"],
        **{
            name: [0.0, 90.0 if i == 1 else 10.0, 80.0, None if i == 1 else 10.0]
            for i, name in enumerate(NAMES)
        },
        "site": ["A", "O'Hara", None, "B or C"],
        "study_date": [dt.date(2020, 1, day) for day in range(1, 5)],
    }
)


def chosen(where):
    predicate = understood(where, kinds_of(ROWS.schema))
    return satisfying(ROWS, predicate, "study_uid").to_pylist()


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        (Condition.AT_LEAST, [70], ["one", "all"]),
        (Condition.AT_MOST, [70], ["free"]),
        (Condition.BETWEEN, [85, 70], ["all"]),
        (Condition.BETWEEN, [70, 100], ["one", "all"]),
    ],
)
def test_of_a_vessel_the_worst_segment_counts(condition, values, expected):
    assert len(NAMES) == len(RCA) > 1
    assert chosen(clause(NAMES, condition, values)) == expected


@pytest.mark.parametrize(
    ("column", "condition", "values", "expected"),
    [
        ("site", Condition.IS, ["O'Hara"], ["one"]),
        ("site", Condition.IS_NOT, ["O'Hara"], ["free", "unknown"]),
        ("study_date", Condition.FROM, [dt.date(2020, 1, 3)], ["all", "unknown"]),
        ("study_date", Condition.UNTIL, [dt.date(2020, 1, 1)], ["free"]),
        (
            "study_date",
            Condition.BETWEEN,
            [dt.date(2020, 1, 2), dt.date(2020, 1, 3)],
            ["one", "all"],
        ),
        (NAMES[1], Condition.BETWEEN, [79.5, 80.5], ["all"]),
    ],
)
def test_of_an_exam_one_column_is_compared(column, condition, values, expected):
    assert chosen(clause([column], condition, values)) == expected


def test_what_is_likely_is_found():
    assert clause(["prox_lad_cto"], Condition.FOUND) == "prox_lad_cto >= 0.5"
    found, not_found = (
        clause(["D1_cto", "D2_cto"], each) for each in (Condition.FOUND, Condition.NOT_FOUND)
    )
    assert found == "(D1_cto >= 0.5 or D2_cto >= 0.5)"
    assert not_found == "D1_cto < 0.5 and D2_cto < 0.5"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (" ", ["one", "all"]),
        ("site = 'B or C'", []),
        ("site = 'A' or site = 'O''Hara'", ["one"]),
        ("(site = 'A' or site = 'O''Hara') and site <> 'A'", ["one"]),
    ],
)
def test_a_condition_narrows_whatever_was_asked_before(where, expected):
    also = clause(NAMES, Condition.AT_LEAST, [70])
    assert chosen(joined(where, also)) == expected


def test_parentheses_are_added_only_where_they_are_needed():
    assert joined("a = 1", "b = 2") == "a = 1 and b = 2"
    assert joined("(a = 1 or b = 2) and c = 'x or y'", "d = 3").startswith("(a = 1 or b = 2) and")
    assert joined("a = 1 OR b = 2", "c = 3") == "(a = 1 OR b = 2) and c = 3"


def test_only_what_a_store_knows_is_offered():
    assert offered(["patient_sex", "lvef_percent"]) == ["Sex", "LVEF, %"]
    assert offered(["D1_thrombus"]) == ["Thrombus"]
    assert offered([]) == []


def test_findings_are_in_a_segment_a_vessel_or_anywhere():
    cto = SUBJECTS["Chronic total occlusion"]
    assert columns_of(cto, "proximal LAD") == ("prox_lad_cto",)
    assert len(columns_of(cto, ANYWHERE)) == 18
    assert {"left main", "LAD", ANYWHERE} <= {*places()}
