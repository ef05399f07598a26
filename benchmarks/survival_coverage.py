"""How often intervals hold the truth: planted hazards, simulated many times.

python -m benchmarks.survival_coverage --repeats 2000

Every number has a truth that is stated: a coefficient that was planted, or what the same statistic
is in a sample so large that it no longer varies.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from analytics.survival.calibration import calibrate
from analytics.survival.cox import fit_cox
from analytics.survival.discrimination import harrell, uno
from analytics.survival.fine_gray import fit_fine_gray
from analytics.survival.times import Times, follow_up
from benchmarks.record import write

N = 400
LARGE = 60_000
BETA = 0.5
"""Planted log hazard ratio, and log subdistribution hazard ratio."""
HORIZON = 365.0
SEED = 20260501

Drawn = tuple[np.ndarray, Times, np.ndarray]


def draw(rng: np.random.Generator, n: int) -> Drawn:
    """Draw a covariate, follow-up with a competing event, and the true risk until the horizon.

    Both hazards are constant, that of the event proportional to exp(0.5 x).
    """
    x = rng.normal(size=n)
    event, other = 0.0008 * np.exp(BETA * x), np.full(n, 0.0003)
    first = rng.exponential(1 / (event + other))
    cause = np.where(rng.random(n) < event / (event + other), 1, 2)
    censored = rng.uniform(100, 1800, n)
    time = np.maximum(np.minimum(first, censored), 1e-6)
    risk = event / (event + other) * -np.expm1(-(event + other) * HORIZON)
    return x, follow_up(time, np.where(first <= censored, cause, 0)), risk


def draw_subdistribution(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, Times]:
    """Draw from a model whose subdistribution hazard is proportional (Fine and Gray, 1999, 4)."""
    x = rng.normal(size=n)
    share = 0.5
    relative = np.exp(BETA * x)
    ever = 1 - (1 - share) ** relative
    is_event = rng.random(n) < ever
    u = rng.random(n) * ever
    event = -np.log(1 - (1 - (1 - u) ** (1 / relative)) / share)
    other = rng.exponential(np.exp(0.3 * x))
    time = np.where(is_event, event, other)
    censored = rng.uniform(0.3, 3, n)
    state = np.where(time <= censored, np.where(is_event, 1, 2), 0)
    return pd.DataFrame({"x": x}), follow_up(np.maximum(np.minimum(time, censored), 1e-9), state)


def coefficient(table: pd.DataFrame) -> tuple[float, float]:
    row = table.iloc[0]
    return float(np.log(row["hr_lower"])), float(np.log(row["hr_upper"]))


def intervals(rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Return the intervals of one sample."""
    x, times, risk = draw(rng, N)
    found = calibrate(times, risk, HORIZON)
    subdistribution = draw_subdistribution(rng, N)
    return {
        "hazard ratio, Cox": coefficient(fit_cox(times, pd.DataFrame({"x": x})).table),
        "subdistribution hazard ratio, Fine-Gray": coefficient(
            fit_fine_gray(subdistribution[1], subdistribution[0]).table
        ),
        "Harrell's C": harrell(times, x).interval(),
        "Uno's C until 730 days": uno(times, x, until=730).interval(),
        "calibration slope": (found.slope_lower, found.slope_upper),
        "observed to expected": (found.ratio_lower, found.ratio_upper),
    }


def truths() -> dict[str, float]:
    """Return what the intervals are held against."""
    rng = np.random.default_rng(SEED + 1)
    c = []
    for _ in range(8):
        x, times, _ = draw(rng, LARGE // 8)
        c.append((harrell(times, x).c, uno(times, x, until=730).c))
    harrell_c, uno_c = np.mean(c, axis=0)
    return {
        "hazard ratio, Cox": BETA,
        "subdistribution hazard ratio, Fine-Gray": BETA,
        "Harrell's C": float(harrell_c),
        "Uno's C until 730 days": float(uno_c),
        "calibration slope": 1.0,
        "observed to expected": 1.0,
    }


def coverage(repeats: int, *, say: Callable[[str], None] = print) -> dict[str, dict[str, Any]]:
    """Return how often each interval holds its truth, with the sampling error of that share."""
    rng = np.random.default_rng(SEED)
    known = truths()
    held = dict.fromkeys(known, 0)
    for number in range(repeats):
        for name, (low, high) in intervals(rng).items():
            held[name] += low <= known[name] <= high
        if (number + 1) % 500 == 0:
            say(f"{number + 1} of {repeats} samples")
    return {
        name: {
            "truth": known[name],
            "coverage": count / repeats,
            "se": float(np.sqrt(count / repeats * (1 - count / repeats) / repeats)),
        }
        for name, count in held.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    given = parser.parse_args()
    found = coverage(given.repeats)
    about = {"subjects": N, "repeats": given.repeats, "seed": SEED, "coverage": found}
    write("survival_coverage", about)
    for name, row in found.items():
        print(
            f"{name:42} truth {row['truth']:.4f}  coverage {row['coverage']:.3f} ± {row['se']:.3f}"
        )


if __name__ == "__main__":
    main()
