"""Outcomes of patients like one, held against planted hazards.

python -m benchmarks.outcomes_like --cohorts 60
python -m benchmarks.outcomes_like --cohorts 60 --work FOLDER   # phantom angiograms as well

Latent directions of the embedding drive a constant hazard; a competing event and censoring do not
depend on them.  So the incidence of each patient, and the average of any neighbours, is known.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.survival.alike import Alike, FarFromAllError, ask
from analytics.survival.leave_one_out import Tuned, tune
from analytics.survival.times import Times, follow_up
from angioatlas.phantom_mini import SHIPPED
from benchmarks.phantom_retrieval.__main__ import SEED as PHANTOM_SEED
from benchmarks.phantom_retrieval.__main__ import STUDIES
from benchmarks.phantom_retrieval.embed import Embedded, embed
from benchmarks.phantom_retrieval.studies import StudySpec
from benchmarks.record import write
from embedder.encoders.registry import load_encoder
from phantom.people.hazard import HazardModel, burden

DIM = 32
PATIENTS = 1000
QUERIES = 20
"""Asked about in each cohort."""
HORIZONS = (365.0, 1095.0)
YEARLY = {"low risk": 0.05, "middle risk": 0.15, "high risk": 0.5}
"""Hazard of the event per year of the average patient."""
OTHER = 0.04
SEED = 20260610
ROUNDS = 20
"""Times that phantoms are followed."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Patients whose incidence until each horizon, float64 (patients, horizons), is known."""

    vectors: Floats
    times: Times
    truth: Floats


def draw(rng: np.random.Generator, n: int, yearly: float) -> Cohort:
    """Draw patients: of four directions of the embedding, two drive the hazard."""
    directions = np.random.default_rng(99).normal(size=(4, DIM))
    traits = rng.normal(size=(n, 4))
    vectors = traits @ directions + rng.normal(size=(n, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    event = yearly / 365 * np.exp(0.7 * traits[:, 0] - 0.5 * traits[:, 1])
    return followed(rng, vectors, event, np.full(n, OTHER / 365))


def followed(rng: np.random.Generator, vectors: Floats, event: Floats, other: Floats) -> Cohort:
    """Follow patients with constant hazards a day, and censor them after 100 to 2,000 days."""
    any_ = event + other
    first, censored = rng.exponential(1 / any_), rng.uniform(100, 2000, len(any_))
    cause = np.where(rng.random(len(any_)) < event / any_, 1, 2)
    time = np.ceil(np.minimum(first, censored))  # whole days hide nothing: horizons are days, too
    truth = (event / any_)[:, None] * -np.expm1(-any_[:, None] * np.array(HORIZONS))
    return Cohort(vectors, follow_up(time, np.where(first <= censored, cause, 0)), truth)


class Tally:
    """What intervals hold, and how far estimates are off, of many who are asked about."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []
        self._k: list[int] = []
        self._cohort: list[int] = []
        self.cohort = self.asked = self.far = self.cut = 0

    def add(self, found: Alike, cohort: Cohort, truth: Floats) -> None:
        """Add one answer, and the true incidence of who was asked about until each horizon."""
        own = found.neighbours
        self._k.append(found.tuned.k)
        self.cut += len(found.cut)
        for row in found.horizons.to_dict("records"):
            i = HORIZONS.index(row["horizon_days"])
            average = float(own.weight @ cohort.truth[own.rows, i])
            self._cohort.append(self.cohort)
            self._rows.append(
                (
                    row["lower"] <= average <= row["upper"],
                    row["lower"] <= truth[i] <= row["upper"],
                    abs(row["incidence"] - truth[i]),
                    abs(row["cohort_incidence"] - truth[i]),
                    abs(row["incidence"] - average),
                    row["upper"] - row["lower"],
                    own.effective,
                )
            )

    def told(self) -> dict[str, Any]:
        """Return shares and means."""
        mean = np.array(self._rows, np.float64).mean(axis=0)
        n = len(self._rows)
        held = pd.Series([row[0] for row in self._rows], dtype=float).groupby(self._cohort).mean()
        return {
            "asked": self.asked,
            "far_from_all": self.far,
            "horizons_told": n,
            "horizons_not_told": self.cut,
            "held_average_of_neighbours": mean[0],
            "sampling_error": float(held.std() / len(held) ** 0.5),  # by cohort
            "held_patient": mean[1],
            "mean_absolute_error": {"neighbours": mean[2], "cohort": mean[3]},
            "mean_absolute_error_of_the_average": mean[4],
            "mean_width": mean[5],
            "mean_effective_size": mean[6],
            "k": {str(k): self._k.count(k) for k in sorted(set(self._k))},
        }


def planted(cohorts: int, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Return what is found in simulated cohorts, by how frequent events are."""
    rng, found = np.random.default_rng(SEED), {}
    for name, yearly in YEARLY.items():
        tally = Tally()
        for _ in range(cohorts):
            tally.cohort += 1
            cohort, asked = draw(rng, PATIENTS, yearly), draw(rng, QUERIES, yearly)
            tuned = tune(cohort.vectors, cohort.times, HORIZONS)
            for vector, truth in zip(asked.vectors, asked.truth, strict=True):
                _ask(tally, vector, truth, cohort, tuned)
        found[name] = tally.told()
        say(f"{name}: {json.dumps(found[name])}")
    return found


def strangers(cohorts: int) -> dict[str, Any]:
    """Return how often exams of any direction at all are refused."""
    rng, tally = np.random.default_rng(SEED + 1), Tally()
    for _ in range(cohorts):
        cohort = draw(rng, PATIENTS, YEARLY["middle risk"])
        tuned = tune(cohort.vectors, cohort.times, HORIZONS)
        _ask_strangers(tally, rng, cohort, tuned)
    return {"asked": tally.asked, "far_from_all": tally.far}


def phantoms(seen: Embedded, rounds: int) -> dict[str, Any]:
    """Return the same for phantom angiograms, each asked about among the others.

    The hazard is that of phantom patients of 65 years without diabetes, held constant.
    """
    model, rng, tally = HazardModel(), np.random.default_rng(SEED), Tally()
    log_hazard = [
        model.log_hazard(burden=burden(s.disease), lvef_percent=lvef, age_years=65, diabetes=False)
        for s, lvef in zip(seen.studies, seen.lvef, strict=True)
    ]
    other = np.full(len(log_hazard), model.other_hazard(65) / 365)
    for _ in range(rounds):
        tally.cohort += 1
        everybody = followed(rng, seen.vectors.astype(np.float64), np.exp(log_hazard) / 365, other)
        tuned = tune(everybody.vectors, everybody.times, HORIZONS)
        for row in rng.choice(len(other), 5 * QUERIES, replace=False):
            left = np.delete(np.arange(len(other)), row)
            cohort = Cohort(everybody.vectors[left], everybody.times[left], everybody.truth[left])
            _ask(tally, everybody.vectors[row], everybody.truth[row], cohort, tuned)
    far = Tally()
    _ask_strangers(far, rng, everybody, tuned)
    return {
        "patients": len(other),
        "rounds": rounds,
        **tally.told(),
        "strangers": {"asked": far.asked, "far_from_all": far.far},
    }


def _ask_strangers(tally: Tally, rng: np.random.Generator, cohort: Cohort, tuned: Tuned) -> None:
    for vector in rng.normal(size=(QUERIES, cohort.vectors.shape[1])):
        _ask(tally, vector / np.linalg.norm(vector), np.zeros(len(HORIZONS)), cohort, tuned)


def _ask(tally: Tally, vector: Floats, truth: Floats, cohort: Cohort, tuned: Tuned) -> None:
    tally.asked += 1
    try:
        found = ask(vector, cohort.vectors, cohort.times, tuned, horizons=HORIZONS)
    except FarFromAllError:
        tally.far += 1
        return
    tally.add(found, cohort, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=10)
    parser.add_argument("--work", type=Path, help="where rendered clips are kept")
    given = parser.parse_args()
    figures = {
        "patients": PATIENTS,
        "cohorts": given.cohorts,
        "horizons_days": HORIZONS,
        "seed": SEED,
        "planted": planted(given.cohorts),
        "strangers": strangers(given.cohorts),
    }
    if given.work is not None:
        encoder = load_encoder(SHIPPED, device="cpu")
        specs = [StudySpec(PHANTOM_SEED, i) for i in range(STUDIES)]
        seen = embed(encoder, given.work, "evaluation", specs, workers=os.cpu_count() or 1)
        figures["phantoms"] = {"encoder_id": encoder.encoder_id, **phantoms(seen, ROUNDS)}
    print(write("outcomes_like", figures))


if __name__ == "__main__":
    main()
