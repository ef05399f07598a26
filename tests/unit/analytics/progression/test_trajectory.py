"""Where exams stand, one after the other, and how far patients move between them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from analytics.progression.trajectory import (
    positions,
    principal_plane,
    steps,
    toward_burden,
)

DIM = 12


def serial(rng, patients=40):
    """Return three exams of each patient, the steps planted along the first two directions."""
    who = np.repeat(np.arange(patients), 3)
    number = np.tile(np.arange(3), patients)
    treated = (who % 4 == 0) & (number == 2)
    axis = np.eye(DIM)
    moved = 0.5 * number[:, None] * axis[0] - 2.0 * treated[:, None] * axis[0]
    vectors = rng.normal(size=(patients, DIM))[who] + moved
    exams = pd.DataFrame(
        {
            "study_uid": [f"s{w}.{n}" for w, n in zip(who, number, strict=True)],
            "patient_id": [f"p{w:02d}" for w in who],
            "date": [dt.date(2020, 1, 1) + dt.timedelta(days=int(300 * n)) for n in number],
        }
    )
    pairs = exams[number > 0].assign(treatment=np.where(treated, "pci", "")[number > 0])
    axes = {"first": axis[0].astype(np.float32), "second": axis[1].astype(np.float32)}
    return exams, pairs, vectors.astype(np.float32), axes


def standing(exams, pairs, vectors, axes, plane=None):
    along = {name: vectors.astype(float) @ axis for name, axis in axes.items()}
    return positions(exams, pairs, principal_plane(vectors) if plane is None else plane, along)


def test_exams_stand_in_order():
    exams, pairs, vectors, axes = serial(np.random.default_rng(0))
    shuffled = exams.sample(frac=1, random_state=0)
    found = standing(shuffled, pairs, vectors[shuffled.index], axes)
    assert found["study_uid"].tolist() == exams["study_uid"].tolist()
    assert found["number"].tolist() == [1, 2, 3] * 40
    np.testing.assert_allclose(found["years"][:3], [0, 300 / 365.25, 600 / 365.25])
    assert found.loc[found["treatment"] == "pci", "number"].tolist() == [3] * 10
    for axis in axes:
        assert abs(found[axis].mean()) < 1e-6
        assert abs(found[axis].std(ddof=0) - 1) < 1e-6


def test_the_plane_is_that_of_principal_components():
    _, _, vectors, _ = serial(np.random.default_rng(1))
    ours, theirs = principal_plane(vectors), PCA(2).fit_transform(vectors)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)


def test_an_exam_that_is_not_on_the_map_has_no_place():
    exams, pairs, vectors, axes = serial(np.random.default_rng(2))
    plane = np.zeros((len(exams), 2))
    plane[5] = np.nan
    found = standing(exams, pairs, vectors, axes, plane)
    assert found[["x", "y"]].isna().all(axis=1).sum() == 1


def test_planted_steps_are_found_apart_from_treatment():
    exams, pairs, vectors, axes = serial(np.random.default_rng(3))
    scale = vectors[:, 0].astype(float).std()
    found = standing(exams, pairs, vectors, axes)
    told = steps(found, tuple(axes), repeats=200, seed=0)
    assert told[["axis", "course", "pairs"]].values.tolist() == [
        ["first", "natural", 70],
        ["first", "treated", 10],
        ["second", "natural", 70],
        ["second", "treated", 10],
    ]
    wanted = [0.5 / scale, -1.5 / scale, 0, 0]
    np.testing.assert_allclose(told["mean_step"], wanted, atol=1e-3)
    assert (told["lower"] <= told["mean_step"] + 1e-9).all()


def test_few_steps_are_not_told():
    exams, pairs, vectors, axes = serial(np.random.default_rng(4), patients=4)
    found = standing(exams, pairs, vectors, axes)
    assert steps(found, tuple(axes), repeats=20, seed=0).empty
    assert steps(found, (), repeats=20, seed=0).empty


def test_an_axis_is_fitted_to_other_patients():
    rng = np.random.default_rng(5)
    patient = np.repeat([f"p{i}" for i in range(150)], 2)
    burden = rng.gamma(1, 50, 300)
    vectors = rng.normal(size=(300, DIM)) + 0.05 * burden[:, None] * np.eye(DIM)[2]
    known = np.where(np.arange(300) % 5 == 0, np.nan, burden)
    found = toward_burden(vectors.astype(np.float32), known, patient)
    assert np.corrcoef(found, burden)[0, 1] > 0.8
    noise = toward_burden(rng.normal(size=(300, DIM)).astype(np.float32), known, patient)
    assert abs(np.corrcoef(noise, burden)[0, 1]) < 0.2
