"""Which exam of which patient, and how many were left after each step."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from analytics.cohort import CohortDefinition, IndexRule, cohort_id, select
from core.errors import UsageError


def day(year, month=1):
    return dt.date(year, month, 1)


STUDIES = pd.DataFrame(
    [
        ("s1", "a", True, day(2015), 5),
        ("s2", "a", True, day(2017), 2),
        ("s3", "a", True, day(2017), 6),
        ("s4", "b", True, day(2016), 1),
        ("s5", "b", True, day(2020), 4),
        ("s6", "c", False, day(2018), 4),
        ("s7", "d", True, None, 4),
        ("s8", "e", True, day(2019), 3),
    ],
    columns=["study_uid", "patient_id", "patient_known", "study_date", "n_videos"],
)


EVERYTHING = CohortDefinition()


def chosen(definition=EVERYTHING, **how):
    return select(STUDIES, definition, **how).members["study_uid"].tolist()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (IndexRule(), ["s1", "s4", "s8"]),
        (IndexRule("last"), ["s3", "s5", "s8"]),
        (IndexRule("every"), ["s1", "s3", "s2", "s4", "s5", "s8"]),
        (IndexRule(min_views=2), ["s1", "s5", "s8"]),
        (IndexRule(since=day(2016)), ["s3", "s4", "s8"]),
        (IndexRule("last", until=day(2018)), ["s3", "s4"]),
        (IndexRule("last", since=day(2017), until=day(2017, 6)), ["s3"]),
    ],
)
def test_the_index_rule(rule, expected):
    assert chosen(CohortDefinition(index=rule)) == expected


def test_a_predicate_and_a_list():
    assert chosen(CohortDefinition(where="x > 1"), matching=["s2", "s8"]) == ["s2", "s8"]
    assert chosen(CohortDefinition(listed=2), listed=["b", "s8"]) == ["s4", "s8"]
    both = CohortDefinition(where="x > 1", listed=2)
    assert chosen(both, matching=["s5", "s1"], listed=["b", "s8"]) == ["s5"]
    with pytest.raises(UsageError, match=r"1 of 2 names on the list are no study .*: number 2"):
        chosen(CohortDefinition(listed=2), listed=["b", "zz"])


def test_attrition_is_told_step_by_step():
    rule = IndexRule(min_views=2, since=day(2015))
    found = select(
        STUDIES, CohortDefinition("age > 50", index=rule), matching=[*STUDIES["study_uid"]]
    )
    assert found.attrition.to_numpy().tolist() == [
        ["studies in the store", 8, 5],
        ["where age > 50", 8, 5],
        ["with a known patient", 7, 4],
        ["with a date", 6, 3],
        ["since 2015-01-01", 6, 3],
        ["with 2 videos or more", 5, 3],
        ["first exam of each patient", 3, 3],
    ]
    assert found.members["index_date"].tolist() == [day(2015), day(2020), day(2019)]


def test_an_empty_cohort_says_where_it_became_empty():
    with pytest.raises(
        UsageError, match="nobody is left in the cohort after the step 'with 9 videos"
    ):
        chosen(CohortDefinition(index=IndexRule(min_views=9)))


def test_a_definition_survives_json():
    definition = CohortDefinition("age > 50", 3, IndexRule("last", 2, day(2015), None), "enc-1")
    assert CohortDefinition.from_json(definition.to_json()) == definition


def test_the_id_is_that_of_the_content():
    one = cohort_id("u", 3, CohortDefinition(), ["a", "b"])
    assert one == cohort_id("u", 3, CohortDefinition(), ["b", "a"])
    others = {
        cohort_id("v", 3, CohortDefinition(), ["a", "b"]),
        cohort_id("u", 4, CohortDefinition(), ["a", "b"]),
        cohort_id("u", 3, CohortDefinition("x"), ["a", "b"]),
        cohort_id("u", 3, CohortDefinition(), ["a"]),
    }
    assert len(others | {one}) == 5
