"""How often intervals of slopes and of hazards of change hold the truth: simulated many times.

python -m benchmarks.progression_course --repeats 1000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from analytics.endpoints import Rules, endpoint
from analytics.progression.course import slope_over_years
from analytics.progression.outcome import landmark, time_varying
from analytics.progression.pairs import serial_pairs
from benchmarks.record import write

SLOPE = 0.4
"""Planted change a year."""
LOG_HAZARD = 0.35
"""Planted log hazard ratio of one unit of change."""
DAY = pd.Timestamp("2015-01-01")
PATIENTS = 300
SEED = 20261129

Followed = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""Exams, pairs, events, follow-up."""


def draw_slopes(
    rng: np.random.Generator, patients: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a number at two to five exams; each patient has an intercept and a slope."""
    exams = rng.integers(2, 6, patients)
    who = np.repeat(np.arange(patients), exams)
    years = np.concatenate([np.append(0.0, np.sort(rng.uniform(0.2, 6, n - 1))) for n in exams])
    own = rng.multivariate_normal([0, 0], [[1, 0.1], [0.1, 0.09]], patients)[who]
    return own[:, 0] + (SLOPE + own[:, 1]) * years + 0.6 * rng.normal(size=len(who)), years, who


def draw_followed(rng: np.random.Generator, patients: int, *, exams: int = 3) -> Followed:
    """Draw patients who come again; change that is seen raises the hazard from then on."""
    gaps = rng.integers(200, 700, (patients, exams - 1))
    at = np.column_stack([np.zeros(patients), np.cumsum(gaps, axis=1)])
    scores = np.column_stack([np.zeros(patients), rng.gamma(1.5, 1.0, gaps.shape)])
    yearly = 0.05 * np.exp(LOG_HAZARD * scores)
    wanted = rng.exponential(1.0, patients)
    time = np.full(patients, np.inf)
    for spell in range(exams):
        length = np.full(patients, 1e9)
        if spell < exams - 1:
            length = (at[:, spell + 1] - at[:, spell]) / 365.25
        inside = np.isinf(time) & (wanted < yearly[:, spell] * length)
        time[inside] = at[inside, spell] + 365.25 * wanted[inside] / yearly[inside, spell]
        wanted = wanted - yearly[:, spell] * length
    end = rng.uniform(1500, 3500, patients)
    other = rng.exponential(365.25 / 0.02, patients)
    last = np.ceil(np.minimum(np.minimum(time, other), end)) + 1
    died, had = other <= np.minimum(time, end), time <= np.minimum(other, end)
    names = np.array([f"p{i}" for i in range(patients)])
    rows = [
        (f"1.9.{i}.{k}", names[i], day(at[i, k]), scores[i, k])
        for i in range(patients)
        for k in range(exams)
        if k == 0 or at[i, k] < last[i]  # after an event nobody is seen again
    ]
    table = pd.DataFrame(rows, columns=["study_uid", "patient_id", "date", "score"])
    pairs = serial_pairs(table).merge(table[["study_uid", "score"]], on="study_uid")
    events = pd.DataFrame(
        {
            "patient_id": np.concatenate([names[had], names[died]]),
            "date": [day(each) for each in np.concatenate([last[had], last[died]])],
            "kind": ["mi"] * int(had.sum()) + ["death_other"] * int(died.sum()),
        }
    )
    ends = pd.DataFrame(
        {
            "patient_id": names,
            "last_known_date": [day(each) for each in last],
            "status": np.where(died, "dead", "alive"),
        }
    )
    return table[["study_uid", "patient_id", "date"]], pairs, events, ends


def day(days: float) -> pd.Timestamp:
    """Return the day so many days after the first exam."""
    return DAY + pd.Timedelta(days=int(days))


def coverage(repeats: int, *, seed: int = SEED, only: str = "") -> dict[str, dict[str, float]]:
    """Return how often each interval, or those whose name holds `only`, holds what was planted."""
    rng = np.random.default_rng(seed)
    mace, rules = endpoint("mace"), Rules()

    def slope() -> bool:
        found = slope_over_years(*draw_slopes(rng, PATIENTS // 2)).fixed.loc["years"]
        return bool(found["lower"] < SLOPE < found["upper"])

    def hazard(fit: Callable[..., pd.DataFrame], exams: int) -> bool:
        drawn = draw_followed(rng, PATIENTS, exams=exams)
        row = fit(*(drawn if fit is time_varying else drawn[1:]), mace, rules).iloc[0]
        return bool(row["hr_lower"] < np.exp(LOG_HAZARD) < row["hr_upper"])

    cases: dict[str, Callable[[], bool]] = {
        "slope a year, mixed model": slope,
        "hazard ratio after the second exam": lambda: hazard(landmark, 2),
        "hazard ratio of change as it becomes known": lambda: hazard(time_varying, 3),
    }
    found = {}
    for name, held in cases.items():
        if only not in name:
            continue
        share = float(np.mean([held() for _ in range(repeats)]))
        found[name] = {"coverage": share, "se": (share * (1 - share) / repeats) ** 0.5}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="intervals whose name holds this")
    given = parser.parse_args()
    found = coverage(given.repeats, seed=given.seed, only=given.only)
    for name, each in found.items():
        print(f"{name:<44} coverage {each['coverage']:.3f} ± {each['se']:.3f}")
    if not given.only:
        write("progression_course", {"repeats": given.repeats, "intervals": found})


if __name__ == "__main__":
    main()
