"""Elastic-net Cox under nested cross-validation on many exams: time and memory.

python -m benchmarks.survival_at_scale
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd

from analytics.preparation import EMBEDDING
from analytics.survival.discrimination import harrell
from analytics.survival.models import ModelSpec
from analytics.survival.protocol import cross_validate
from analytics.survival.times import Times, follow_up
from benchmarks.record import write

DIM = 512
SEED = 11
OUTER, INNER = 5, 3


def draw(rows: int, *, event_share: float) -> tuple[pd.DataFrame, Times, np.ndarray]:
    """Draw embeddings, follow-up with about this share of events, and the true log hazards."""
    rng = np.random.default_rng(SEED)
    vectors = rng.normal(size=(rows, DIM))
    weights = rng.normal(size=DIM) * (rng.random(DIM) < 0.1)
    risk = vectors @ weights / np.linalg.norm(weights)
    happens = rng.exponential(np.exp(-risk))
    censored = rng.uniform(0.5, 1.5, rows)
    # The pace at which just this share has the event before censoring.
    pace = 1 / np.quantile(happens / censored, event_share)
    time_ = np.minimum(happens * pace, censored) * 730
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    x = pd.DataFrame(vectors, columns=[f"{EMBEDDING}{i}" for i in range(DIM)])
    return x, follow_up(np.ceil(time_), (happens * pace <= censored).astype(int)), risk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--event-share", type=float, default=0.1)
    given = parser.parse_args()
    x, times, risk = draw(given.rows, event_share=given.event_share)
    before = _peak_mib()
    began = time.perf_counter()

    def tell(done: int, total: int) -> None:
        print(f"{done} of {total} folds, {time.perf_counter() - began:.0f} s", flush=True)

    judged = cross_validate(
        ModelSpec(inner_folds=INNER),
        x,
        times,
        np.arange(given.rows),
        horizons=(180.0, 365.0, 730.0),
        outer_folds=OUTER,
        on_fold=tell,
    )
    seconds = time.perf_counter() - began
    said = judged.predictions
    figures = {
        "rows": given.rows,
        "dim": DIM,
        "events": int(times.event.sum()),
        "outer_folds": OUTER,
        "inner_folds": INNER,
        "seconds": round(seconds, 1),
        "peak_memory_mib": _peak_mib(),
        "peak_memory_mib_before": before,
        "c": harrell(said.times, said.score, stratum=said.fold).c,
        "c_of_the_true_hazard": harrell(times, risk).c,
        "chosen": [dict(model.chosen) for model in judged.models],
    }
    for name, value in figures.items():
        print(f"{name:24} {value}")
    print(write("survival_at_scale", figures))


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
