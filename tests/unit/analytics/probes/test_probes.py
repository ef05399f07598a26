"""Linear probes of planted findings, and the ways to tell them held against each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from analytics.leakage import LeakageError
from analytics.probes.attention import AttentionProbe, probe_views
from analytics.probes.compare import FEWEST_CASES, compare, differences
from analytics.probes.errors import percent_errors
from analytics.probes.linear import _path, probe
from analytics.roc import auc, delong
from analytics.splits import Split

RNG = np.random.default_rng(6)
ROWS = 600
PATIENT = np.repeat(np.arange(ROWS // 2), 2).astype(str)
TRAITS = np.repeat(RNG.normal(size=(ROWS // 2, 4)), 2, axis=0)
X = TRAITS @ RNG.normal(size=(4, 40)) + RNG.normal(size=(ROWS, 40))
NAMES = ["first", "second", "chance", "rare"]
TRUTH = np.column_stack(
    [
        TRAITS[:, 0] > 0.5,
        TRAITS[:, 1] > 1,
        RNG.random(ROWS) < 0.3,
        np.arange(ROWS) < FEWEST_CASES - 2,
    ]
).astype(float)
TRUTH[:100, 1] = np.nan


def test_planted_findings_are_told_and_chance_is_not():
    found = probe(X, TRUTH, PATIENT)
    called = {"probe": found.called}
    table = compare(TRUTH, {"probe": found.scores}, NAMES, PATIENT, called=called, repeats=100)
    first, second, chance, rare = table.to_dict("records")
    assert first["auc"] > 0.9
    assert second["auc"] > 0.9
    assert second["exams"] == 500
    assert chance["auc_lower"] < 0.5 < chance["auc_upper"]
    assert first["sensitivity"] > 0.75
    assert first["specificity"] > 0.75
    assert table["weak"].tolist() == [False, False, False, True]
    assert np.isnan(rare["auc_lower"])


def test_a_path_is_that_of_ridge_regression():
    scaled = StandardScaler().fit_transform(X)
    known = np.isfinite(TRUTH[:, 1])
    found = _path(scaled[:400], TRUTH[:400], scaled[400:])
    model = Ridge(alpha=100.0).fit(scaled[:400][known[:400]], TRUTH[:400, 1][known[:400]])
    (row,) = [i for i, each in enumerate(np.logspace(0, 4, 9)) if each == pytest.approx(100)]
    np.testing.assert_allclose(found[row, :, 1], model.predict(scaled[400:]), atol=1e-9)


def test_rows_do_not_see_their_own_truth():
    # A row whose truth alone is turned round keeps its score: it was never learned from.
    turned = TRUTH.copy()
    turned[:2, 0] = 1 - turned[:2, 0]
    before, after = probe(X, TRUTH, PATIENT), probe(X, turned, PATIENT)
    np.testing.assert_allclose(after.scores[:2, 0], before.scores[:2, 0], atol=1e-12)
    np.testing.assert_allclose(after.thresholds[:2, 0], before.thresholds[:2, 0], atol=1e-12)
    assert not np.allclose(after.scores[2:, 0], before.scores[2:, 0])


def test_a_patient_on_both_sides_is_refused():
    rows = np.arange(ROWS)
    split = Split("odd", rows[::2], rows[1::2], rows[:0])
    with pytest.raises(LeakageError, match="odd: patients on both sides"):
        probe(X, TRUTH, PATIENT, splits=[split])


def test_the_better_of_two_is_told_and_equals_are_not():
    good = probe(X, TRUTH, PATIENT).scores
    bad = good + 2 * RNG.normal(size=good.shape)
    found = differences(TRUTH, good, bad, NAMES, PATIENT, repeats=200)
    assert found["finding"].tolist() == ["first", "second", "chance"]
    assert found["lower"].tolist()[0] > 0
    same = differences(TRUTH, good, good, NAMES, PATIENT, repeats=20)
    assert (same[["difference", "lower", "upper"]] == 0).all(axis=None)


def test_numbers_are_told_too():
    percent = np.clip(40 + 20 * TRAITS[:, [0]], 0, 100)
    found = probe(X, percent, PATIENT)
    assert np.corrcoef(found.scores[:, 0], percent[:, 0])[0, 1] > 0.9
    assert np.isnan(found.thresholds).all()


def test_attention_finds_the_view_that_tells():
    # Of each study one view, in any place, shows the finding; the others show something else.
    rng = np.random.default_rng(2)
    counts = rng.integers(3, 7, ROWS)
    study_of = np.repeat(np.arange(ROWS), counts)
    has = np.repeat(rng.random(ROWS // 2) < 0.4, 2)
    videos = 0.3 * rng.normal(size=(len(study_of), 24))
    starts = np.cumsum(counts) - counts
    telling = starts + rng.integers(0, counts)
    kinds = rng.normal(size=(2, 24))
    videos[telling] += np.where(has[:, None], kinds[0], kinds[1])
    truth = np.column_stack([has, np.where(np.arange(ROWS) < 50, np.nan, rng.random(ROWS) < 0.5)])
    found = probe_views(videos, study_of, truth, PATIENT)
    assert auc(has, found.scores[:, 0]) > 0.95
    assert 0.4 < auc(truth[50:, 1], found.scores[50:, 1]) < 0.6
    again = probe_views(videos, study_of, truth, PATIENT)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert (found.called[:, 0] == has).mean() > 0.85


def test_views_that_are_not_there_do_not_count():
    model = AttentionProbe(8, 2).eval()
    torch.nn.init.normal_(model.tell)
    views = torch.randn(3, 4, 8)
    there = torch.tensor([[True, True, False, False]]).expand(3, 4)
    changed = views.clone()
    changed[:, 2:] = 9.0
    torch.testing.assert_close(model(views, there), model(changed, there))


def test_errors_of_percents_have_limits_by_patients():
    rng = np.random.default_rng(5)
    patient = np.repeat([f"p{i}" for i in range(40)], 3)
    measured = pd.DataFrame(
        {
            "a": np.where(rng.random(120) < 0.3, rng.uniform(20, 90, 120), 0),
            "b": np.where(rng.random(120) < 0.05, 60.0, 0),
            "worst": 0.0,
        }
    )
    measured["worst"] = measured[["a", "b"]].max(axis=1)
    own = np.repeat(rng.normal(0, 8, 40), 3)  # what is said of a patient is wrong the same way
    said = measured.to_numpy() + own[:, None]
    said[:5, 0] = np.nan
    table = percent_errors(
        measured, {"heads": said}, patient, pooled=("a", "b"), repeats=400, seed=0
    )
    found = {row["place"]: row for row in table.to_dict("records")}
    a, b = found["a"], found["b"]
    assert a["exams"] == 115
    assert a["mae"] == pytest.approx(np.abs(own[5:]).mean())
    assert a["bias"] == pytest.approx(own[5:].mean())
    lesions = (measured["a"].to_numpy() > 0) & np.isfinite(said[:, 0])
    assert a["lesions"] == lesions.sum()
    assert a["lesion_mae"] == pytest.approx(np.abs(own[lesions]).mean())
    assert b["lesions"] < 10
    assert np.isnan(b["lesion_mae"])
    assert found["every segment"]["exams"] == 235
    # One patient's three exams err alike: the limits are those of 40, not of 120.
    width = b["mae_upper"] - b["mae_lower"]
    expected = 2 * 1.96 * np.abs(own[::3]).std(ddof=1) / 40**0.5
    assert width == pytest.approx(expected, rel=0.15)


def test_delong_is_told_only_where_rows_are_independent():
    rng = np.random.default_rng(6)
    truth = (rng.random((80, 1)) < 0.4).astype(float)
    one, other = truth + rng.normal(size=(80, 1)), truth + rng.normal(size=(80, 1))
    each = np.array([f"p{i}" for i in range(80)])
    (row,) = differences(truth, one, other, ["x"], each, repeats=50).to_dict("records")
    areas = delong(truth[:, 0] == 1, np.column_stack([one, other]))
    assert row["p_delong"] == areas.compare(0, 1)[2]
    (again,) = differences(truth, one, other, ["x"], each[:40].repeat(2), repeats=50).to_dict(
        "records"
    )
    assert np.isnan(again["p_delong"])
