"""Maps of embeddings with known islands: drawn, placed, measured, told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from analytics.maps.clusters import NONE, enriched, find_clusters, fisher_exact
from analytics.maps.projection import MapSpec, fit_projection, nearest
from analytics.maps.quality import map_quality
from core.errors import UsageError


def islands(n, *, seed, groups=5, dim=32):
    """Unit vectors around directions that are the same for every seed, and their groups."""
    middle = np.random.default_rng(42).normal(size=(groups, dim))
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, n)
    rows = middle[group] + 0.5 * rng.normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), group


ROWS, GROUP = islands(600, seed=1)
NEW, THEIRS = islands(200, seed=2)


@pytest.fixture(scope="module")
def drawn():
    return fit_projection(ROWS, MapSpec())


def test_the_same_seed_gives_the_same_map(drawn):
    again = fit_projection(ROWS, MapSpec())
    np.testing.assert_array_equal(again.coordinates, drawn.coordinates)
    assert not np.array_equal(fit_projection(ROWS, MapSpec(seed=1)).coordinates, drawn.coordinates)


def test_neighbours_stay_neighbours(drawn):
    found = map_quality(ROWS, drawn.coordinates)
    by_chance = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    chance = map_quality(ROWS, by_chance)
    assert found.trustworthiness > 0.9 > 0.6 > chance.trustworthiness
    assert found.overlap > 5 * chance.overlap
    assert map_quality(ROWS, ROWS[:, :2]).rows == 600


def test_new_rows_are_placed_among_their_like(drawn):
    at = drawn.place(NEW, ROWS[drawn.landmarks])
    near = nearest(at, drawn.coordinates, 1)[1][:, 0]
    assert (GROUP[near] == THEIRS).mean() > 0.98
    # A row that was drawn is placed near where it is.
    again = drawn.place(ROWS[:50], ROWS[drawn.landmarks])
    apart = np.linalg.norm(again - drawn.coordinates[:50], axis=1)
    assert np.median(apart) < 0.1 * np.ptp(drawn.coordinates)


def test_a_sample_is_drawn_and_the_others_are_placed():
    sampled = fit_projection(ROWS, MapSpec(landmarks=200))
    assert len(sampled.landmarks) == 200
    assert np.isfinite(sampled.coordinates).all()
    near = nearest(sampled.coordinates, sampled.coordinates, 2)[1][:, 1]
    assert (GROUP[near] == GROUP).mean() > 0.95


def test_principal_components_are_a_linear_map():
    found = fit_projection(ROWS, MapSpec("pca"))
    np.testing.assert_allclose(found.place(ROWS, ROWS[:0]), found.coordinates, atol=1e-6)
    np.testing.assert_allclose(found.coordinates.mean(axis=0), 0, atol=1e-5)
    spread = np.linalg.svd(ROWS - ROWS.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(found.coordinates, axis=0), spread[:2], rtol=1e-4)


def test_few_rows_are_refused():
    with pytest.raises(UsageError, match="12 rows are too few for a map"):
        fit_projection(ROWS[:12], MapSpec())
    assert len(fit_projection(ROWS[:12], MapSpec("pca")).coordinates) == 12


def test_islands_are_found_and_what_they_are_made_of(drawn):
    cluster = find_clusters(drawn.coordinates)
    table = pd.crosstab(cluster, GROUP)
    assert set(cluster) - {NONE} == set(range(5))
    assert (table.max(axis=1) == table.sum(axis=1)).all()
    assert list(np.bincount(cluster[cluster != NONE])) == sorted(
        np.bincount(cluster[cluster != NONE]), reverse=True
    )
    chance = np.random.default_rng(3).random(600) < 0.3
    findings = pd.DataFrame(
        {"first": GROUP == 0, "chance": chance, "rare": np.arange(600) < 2}, dtype=object
    )
    findings.loc[:99, "chance"] = None
    found = enriched(cluster, findings)
    assert set(found["finding"]) == {"first", "chance"}
    island = int(table[0].to_numpy().argmax() + table.index[0])
    own = found[(found["finding"] == "first") & (found["cluster"] == island)].iloc[0]
    assert (own["share"], own["elsewhere"]) == (1, 0)
    assert own["q"] < 1e-50
    assert (found[found["finding"] == "chance"]["q"] > 0.01).all()
    known = found[(found["finding"] == "chance")]["rows"].sum()
    assert known == ((cluster != NONE) & (np.arange(600) >= 100)).sum()


def test_a_cloud_without_islands_is_no_error():
    at = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32) * 100
    cluster = find_clusters(at)
    assert set(cluster) <= {NONE, 0}
    assert enriched(np.full(20, NONE), pd.DataFrame({"a": [True] * 20})).empty


@pytest.mark.parametrize("most", [3, 40, 5_000])
def test_fishers_test_is_that_of_scipy(most):
    rng = np.random.default_rng(most)
    log_factorial = special.gammaln(np.arange(4 * most + 1) + 1.0)
    tables = rng.integers(0, most, (40, 2, 2))
    for table in tables[tables.sum(axis=2).all(axis=1)]:
        expected = stats.fisher_exact(table).pvalue
        assert fisher_exact(table, log_factorial) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_islands_of_a_large_map_are_those_of_a_sample():
    rng = np.random.default_rng(0)
    island = rng.choice(4, 3_000, p=[0.5, 0.3, 0.15, 0.05])
    middle = np.array([[0, 0], [20, 0], [0, 20], [20, 20]])
    at = (middle[island] + rng.normal(size=(3_000, 2))).astype(np.float32)
    cluster = find_clusters(at, most=1_500)
    on = cluster != NONE
    assert on.mean() > 0.9
    np.testing.assert_array_equal(cluster[on], island[on])
