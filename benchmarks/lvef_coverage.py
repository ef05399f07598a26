"""How often prediction intervals hold a new measurement: simulated many times.

python -m benchmarks.lvef_coverage --repeats 400
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from analytics.lvef.models import LEVELS, RegressionSpec, fit
from analytics.preparation import EMBEDDING
from benchmarks.record import write

N = 400
"""Patients to learn from; each has one to three exams."""
NEW = 500
DIM = 24
SEED = 20261101


def draw(rng: np.random.Generator, patients: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Draw embeddings, LVEF with errors that are neither normal nor equal, and patients.

    Exams of one patient share their traits and a part of the error.
    """
    exams = rng.integers(1, 4, patients)
    who = np.repeat(np.arange(patients), exams)
    traits = rng.normal(size=(patients, DIM))[who] + 0.3 * rng.normal(size=(len(who), DIM))
    truth = 52 + 6 * traits[:, 0] - 4 * np.maximum(traits[:, 1], 0)
    own = rng.gamma(4, 1, patients)[who] - 4
    error = own + (2 + np.abs(traits[:, 2])) * rng.standard_t(6, len(who))
    x = pd.DataFrame(traits, columns=[f"{EMBEDDING}{i:03d}" for i in range(DIM)])
    return x, np.clip(truth + error, 0, 100), who


def coverage(repeats: int, *, seed: int = SEED) -> dict[str, dict[str, float]]:
    """Return the share of new patients' measurements within the interval of each level."""
    rng = np.random.default_rng(seed)
    spec, found = RegressionSpec(), []
    for _ in range(repeats):
        x, y, who = draw(rng, N)
        model = fit(spec, x, y, who, range=(0, 100))
        new, measured, patient = draw(rng, NEW)
        said = model.predict(new)
        # One exam of each new patient: they, not their exams, can be exchanged.
        one = np.unique(patient, return_index=True)[1]
        row = []
        for level in LEVELS:
            low, high = model.limits(said, level)
            row.append(((low <= measured) & (measured <= high))[one].mean())
        found.append(row)
    drawn = np.array(found)
    return {
        f"{level:.0%}": {
            "nominal": level,
            "coverage": float(drawn[:, i].mean()),
            "se": float(drawn[:, i].std(ddof=1) / repeats**0.5),
        }
        for i, level in enumerate(LEVELS)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    given = parser.parse_args()
    found = coverage(given.repeats)
    for name, each in found.items():
        print(f"{name} interval  coverage {each['coverage']:.3f} ± {each['se']:.3f}")
    write("lvef_coverage", {"repeats": given.repeats, "patients": N, "intervals": found})


if __name__ == "__main__":
    main()
