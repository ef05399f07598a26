"""Filtered searches of stores with any history: the hits are those of a scan of what is true.

Rules are evaluated in Python over a model of what the store should hold, scores in float64 by
numpy.  Nothing of the store, of its views or of DuckDB takes part in what is expected.
"""

from __future__ import annotations

import numpy as np
import pytest

from core.schema import Level
from tests.support.filtered_store import History
from tests.support.predicates import draw_predicate

STEPS = 4
QUERIES = 12


def ask(history, level, rows):
    """Search once; return how many rows satisfied the predicate and how many were asked for."""
    rng, truth = history.rng, history.truth
    where, rule = draw_predicate(rng, truth.values(level), int(rng.integers(0, 3)))
    uid = str(rng.choice(list(rows)))
    k = int(rng.choice([1, 2, 3, 7, len(rows), len(rows) + 5]))
    other_patients = bool(rng.random() < 0.5)
    hits = history.atlas.similar(
        uid, level=level, k=k, where=where, exclude_same_patient=other_patients
    ).hits
    query = truth.vectors[uid].astype(np.float64)
    scores = {
        name: float((truth.vectors[name].astype(np.float64) * query).sum())
        for name, row in rows.items()
        if name != uid
        and rule(row)
        and not (other_patients and row["patient_id"] == rows[uid]["patient_id"])
    }
    expected = sorted(scores, key=lambda name: (-scores[name], name))[:k]
    found = hits["study_uid" if level is Level.STUDY else "sop_uid"].tolist()
    assert found == expected, (where, k)
    assert len(found) == min(k, len(scores))
    assert hits["score"].tolist() == [scores[name] for name in expected]
    assert hits["rank"].tolist() == list(range(1, len(expected) + 1))
    return len(scores), k


def live(folder, seed, *, steps=STEPS, queries=QUERIES):
    """Let a store live, search it after every step; return what was asked, see `ask`."""
    history, asked = History(folder, seed), []
    for _ in range(2):
        history.embed()
    history.measure()
    for _ in range(steps):
        history.step()
        for level in Level:
            rows = history.truth.rows(level)
            if len(rows) > 1:
                with history.atlas.held():
                    asked += [(*ask(history, level, rows), len(rows)) for _ in range(queries // 2)]
    return asked


def check_many(tmp_path, seeds, least, **how):
    asked = [each for seed in seeds for each in live(tmp_path / str(seed), seed, **how)]
    print(f"{len(asked)} filtered searches")  # noqa: T201
    assert len(asked) >= least
    told_apart = sum(0 < satisfied < n - 1 for satisfied, _, n in asked)
    assert told_apart > 0.5 * len(asked), "most predicates would tell nothing apart"
    assert sum(satisfied > k for satisfied, k, _ in asked) > 0.1 * len(asked)
    assert sum(satisfied < k for satisfied, k, _ in asked) > 0.1 * len(asked)


def test_hits_are_those_of_a_scan_of_what_is_true(tmp_path):
    check_many(tmp_path, range(11), 500)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hits_of_many_long_histories(tmp_path):
    check_many(tmp_path, range(1000, 1025), 5000, steps=15, queries=16)
