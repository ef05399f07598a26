"""The measurement that is nearest to each exam."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from analytics.lvef.target import Target, nearest
from core.errors import UsageError

DAY = dt.date(2020, 3, 1)


def exams(*rows):
    return pd.DataFrame(rows, columns=["study_uid", "patient_id", "index_date"])


def measurements(*rows):
    """Rows of id, patient, study, days from `DAY`, value, method."""
    return pd.DataFrame(
        [
            (name, who, study, DAY + dt.timedelta(days=days), "lvef_percent", value, method)
            for name, who, study, days, value, method in rows
        ],
        columns=["id", "patient_id", "study_uid", "date", "name", "value", "method"],
    )


def found(index, said, **how):
    table = nearest(index, said, Target(**how)).table
    return {row.study_uid: (row.measured, row.apart_days, row.method) for row in table.itertuples()}


def test_the_nearest_counts_before_or_after_and_none_from_beyond_the_window():
    index = exams(("s1", "p1", DAY), ("s2", "p2", DAY), ("s3", "p3", DAY))
    said = measurements(
        ("m1", "p1", None, -9, 40, "echo"),
        ("m2", "p1", None, 4, 55, "echo"),
        ("m3", "p2", None, 31, 60, "echo"),
        ("m4", "p3", None, -30, 35, "mri"),
    )
    assert found(index, said) == {"s1": (55, 4, "echo"), "s3": (35, -30, "mri")}
    assert nearest(index, said, Target()).without == 1
    assert found(index, said, window_days=3) == {}
    assert found(index, said, method="mri") == {"s3": (35, -30, "mri")}


def test_of_two_as_near_the_one_of_the_exam_counts_then_the_earlier():
    index = exams(("s1", "p1", DAY), ("s2", "p2", DAY))
    said = measurements(
        ("m1", "p1", None, -5, 40, "echo"),
        ("m2", "p1", "s1", 5, 50, "echo"),
        ("m3", "p2", None, 5, 60, "echo"),
        ("m4", "p2", None, -5, 45, "echo"),
    )
    assert found(index, said) == {"s1": (50, 5, "echo"), "s2": (45, -5, "echo")}


def test_what_names_another_exam_of_the_patient_is_not_taken():
    later = DAY + dt.timedelta(days=8)
    index = exams(("s1", "p1", DAY), ("s2", "p1", later))
    said = measurements(("m1", "p1", "s2", 1, 40, "echo"))
    assert found(index, said) == {"s2": (40, -7, "echo")}


def test_impossible_values_are_left_out_and_told():
    index = exams(("s1", "p1", DAY))
    said = measurements(("m1", "p1", None, 0, 0.55e3, "echo"), ("m2", "p1", None, 3, 55, "echo"))
    result = nearest(index, said, Target())
    assert result.table["measured"].tolist() == [55]
    assert result.notes == ("1 measurements outside 0 to 100 % were left out",)


def test_what_is_not_measured_is_refused_with_what_is():
    index, said = exams(("s1", "p1", DAY)), measurements(("m1", "p1", None, 0, 55, "echo"))
    with pytest.raises(UsageError, match="no measurement 'ef'; there are lvef_percent"):
        nearest(index, said, Target("ef"))
    with pytest.raises(UsageError, match="measured by 'mri'; methods are echo"):
        nearest(index, said, Target(method="mri"))
