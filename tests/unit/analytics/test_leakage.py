"""Every planted leak is found with its rows, and clean data have none."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from analytics.leakage import (
    LeakageError,
    from_the_future,
    from_the_outcome,
    known_to_the_encoder,
    near_duplicates,
    refuse,
    same_patient,
)
from analytics.splits import Split
from core.errors import UsageError
from tests.support.cohorts import world

NOBODY = np.zeros(0, np.int64)


def rows(leaks):
    return [each for leak in leaks for each in leak.rows]


def test_a_patient_on_both_sides():
    split = Split("fold 1", np.array([0, 1]), np.array([2, 3]), NOBODY)
    assert rows(same_patient(split, ["a", "b", "b", "c"])) == ["b"]
    assert rows(same_patient(split, ["a", "b", "c", "d"])) == []


def test_a_run_under_two_names():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    patient = [f"p{i // 2}" for i in range(3000)]
    names = [f"run {i}" for i in range(3000)]
    assert rows(near_duplicates(vectors, patient, names)) == []
    vectors[2500] = vectors[17] + 1e-5 * rng.normal(size=32)
    vectors[1] = vectors[0]  # of one patient: no leak
    assert rows(near_duplicates(vectors, patient, names)) == ["run 17 = run 2500"]


@pytest.mark.parametrize("cosine", [0.6, 0.8, 0.95])
def test_no_pair_is_missed(cosine):
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(150, 24))
    vectors = centres[rng.integers(150, size=600)] + rng.normal(size=(600, 24)) * 0.25
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array([f"{i:03d}" for i in range(600)])
    near = np.argwhere(np.triu(vectors @ vectors.T >= cosine, 1))
    assert len(near) > 0
    expected = [f"{names[i]} = {names[j]}" for i, j in near]
    assert rows(near_duplicates(vectors, names, names, cosine=cosine)) == expected


def test_vectors_that_tell_nothing_are_refused():
    vectors = np.tile(np.eye(8)[0], (6000, 1))
    names = [f"{i}" for i in range(6000)]
    with pytest.raises(UsageError, match="nearly all the same"):
        list(near_duplicates(vectors, names, names))
    assert rows(near_duplicates(vectors[:1], names[:1], names[:1])) == []


def test_a_predictor_from_the_future():
    day = dt.date(2020, 1, 1)
    index = pd.DataFrame({"patient_id": ["a", "b"], "index_date": [day, day]})
    predictors = pd.DataFrame(
        {
            "patient_id": ["a", "a", "b", "b"],
            "date": [day, None, day + dt.timedelta(days=1), day - dt.timedelta(days=9)],
            "name": ["ldl", "diabetes", "ldl", "ldl"],
        }
    )
    assert rows(from_the_future(predictors, index)) == ["ldl of b"]
    assert rows(from_the_future(predictors[:2], index)) == []


def test_predictors_made_of_the_outcome():
    drawn = world(400, seed=1)
    clean = drawn.x[["age"]].assign(noise=np.random.default_rng(2).normal(size=400))
    assert rows(from_the_outcome(clean, drawn.times)) == []
    planted = clean.assign(
        mi=0.0,
        copied=drawn.times.event * 1.0,
        survived=~drawn.times.event * 1.0,
        known_for=drawn.times.time + 0.01,
        in_words=np.where(drawn.times.event, "seen", "never"),
        sex=drawn.x["sex"],
        truth=drawn.truth,
    )
    found = rows(from_the_outcome(planted, drawn.times))
    assert sorted(found) == ["copied", "in_words", "known_for", "mi", "survived"]


def test_patients_that_the_encoder_knows():
    assert rows(known_to_the_encoder(["a", "b", "b"], {"b", "x"})) == ["b"]
    assert rows(known_to_the_encoder(["a"], set())) == []


def test_leaks_are_refused_with_their_rows():
    refuse([])
    leaks = [
        *known_to_the_encoder([f"p{i:02d}" for i in range(14)], {f"p{i:02d}" for i in range(14)})
    ]
    with pytest.raises(
        LeakageError, match=r"was trained on \(14\): p00, .*p09 and 4 more"
    ) as refused:
        refuse(leaks)
    assert refused.value.leaks == (*leaks,)
