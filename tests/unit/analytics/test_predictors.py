"""Predictors are what was known on the index date."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from analytics.predictors import as_of, check_names
from core.errors import UsageError

DAY = dt.date(2020, 1, 1)
INDEX = pd.DataFrame(
    {
        "study_uid": ["s1", "s2", "s3"],
        "patient_id": ["a", "b", "a"],
        "index_date": [DAY, DAY, DAY + dt.timedelta(days=100)],
    }
)
STUDIES = pd.DataFrame(
    {
        "study_uid": ["s3", "s1", "s2"],
        "patient_age_years": [62.0, 61.0, None],
        "patient_sex": ["F", "F", "M"],
    }
)
COVARIATES = pd.DataFrame(
    [
        ("a", None, "diabetes", "no"),
        ("a", DAY + dt.timedelta(days=50), "diabetes", "yes"),
        ("b", DAY, "diabetes", "1"),
        ("a", DAY - dt.timedelta(days=9), "smoking", "former"),
        ("b", DAY + dt.timedelta(days=1), "smoking", "never"),
        ("a", DAY, "ldl", "3.1"),
    ],
    columns=["patient_id", "date", "name", "value"],
)
MEASUREMENTS = pd.DataFrame(
    [("a", DAY + dt.timedelta(days=1), "lvef_percent", 40.0), ("b", DAY, "lvef_percent", 55.0)],
    columns=["patient_id", "date", "name", "value"],
)


def values(*names):
    return as_of(INDEX, STUDIES, COVARIATES, MEASUREMENTS, names)


def test_the_last_value_that_is_not_from_the_future():
    found = values("diabetes", "lvef_percent", "ldl", "age_years", "sex")
    np.testing.assert_array_equal(found["diabetes"], [0, 1, 1])
    np.testing.assert_array_equal(found["lvef_percent"], [np.nan, 55, 40])
    np.testing.assert_array_equal(found["ldl"], [3.1, np.nan, 3.1])
    np.testing.assert_array_equal(found["age_years"], [61, np.nan, 62])
    assert found["sex"].tolist() == ["F", "M", "F"]


def test_words_stay_words_and_gaps_stay_gaps():
    found = values("smoking")["smoking"]
    assert found[0] == found[2] == "former"
    assert pd.isna(found[1])


def test_a_name_that_nobody_knows_is_refused_with_those_that_there_are():
    labels = [*COVARIATES["name"], *MEASUREMENTS["name"]]
    check_names(["age_years", "sex", "ldl"], labels)
    with pytest.raises(UsageError, match="no predictor is called bmi") as refused:
        check_names(["bmi", "sex"], labels)
    assert refused.value.hint == "there are age_years, diabetes, ldl, lvef_percent, sex, smoking"


def test_one_exam_is_read_as_the_model_was_fitted():
    """Alone, its values do not tell whether a "yes" is a truth value or one of many words."""
    said = COVARIATES.assign(value=["no", "yes", "1", "yes", "never", "3.1"])
    one = INDEX.iloc[[2]].reset_index(drop=True)
    names = ("diabetes", "smoking", "ldl", "lvef_percent")
    found = as_of(one, STUDIES, said, MEASUREMENTS, names, as_words={"smoking"})
    assert found.iloc[0].tolist() == [1.0, "yes", 3.1, 40.0]
    nobody = one.assign(patient_id="c")
    found = as_of(nobody, STUDIES, said, MEASUREMENTS, names, as_words={"smoking"})
    assert found["smoking"].dtype == object
    assert {str(found[name].dtype) for name in names if name != "smoking"} == {"float64"}
    assert found.isna().all(axis=None)
