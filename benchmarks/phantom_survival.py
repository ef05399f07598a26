"""MACE after the first exam of phantom patients: the embedding beside the truth.

python -m benchmarks.phantom_survival --work FOLDER

A model of the embedding alone is cross-validated, and on the same folds a Cox model of what the
hazard is made of: true burden, LVEF and age.  No encoder has seen these patients.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analytics.endpoints import Outcomes, endpoint, observe
from analytics.leakage import DUPLICATE_COSINE, near_duplicates
from analytics.preparation import EMBEDDING
from analytics.survival.cox import fit_cox
from analytics.survival.discrimination import harrell
from analytics.survival.models import ModelSpec
from analytics.survival.protocol import cross_validate
from analytics.survival.validation import validate
from angioatlas.phantom_mini import SHIPPED
from benchmarks.phantom_retrieval.embed import Embedded, embed
from benchmarks.phantom_retrieval.studies import StudySpec
from benchmarks.record import write
from embedder.encoders.registry import load_encoder
from phantom.people.patients import Patient, draw_patient
from phantom.seeds import EVALUATION_SEEDS

PATIENTS = 1500
SEED = EVALUATION_SEEDS[2]
FOLDS = 5
HORIZONS = (180.0, 365.0, 730.0)


def followed(patients: list[Patient]) -> Outcomes:
    """Return what became of patients after their first exam."""
    index = pd.DataFrame(
        {
            "patient_id": [p.patient_id for p in patients],
            "index_date": [p.exams[0].date for p in patients],
            "row": range(len(patients)),
        }
    )
    events = pd.DataFrame(
        [(p.patient_id, e.date, e.kind) for p in patients for e in p.events],
        columns=["patient_id", "date", "kind"],
    )
    ends = pd.DataFrame(
        [(p.patient_id, p.follow_up.last_known_date, p.follow_up.status) for p in patients],
        columns=["patient_id", "last_known_date", "status"],
    )
    return observe(index, events, ends, endpoint("mace"))


def truth_of(patients: list[Patient]) -> pd.DataFrame:
    """Return what the hazard after the first exam is made of, one row a patient."""
    exams = [patient.exams[0] for patient in patients]
    return pd.DataFrame(
        {
            "burden": [exam.burden for exam in exams],
            "lvef_percent": [exam.disease.lvef_percent for exam in exams],
            "age_years": [exam.age_years for exam in exams],
        }
    )


def compare(vectors: np.ndarray, patients: list[Patient]) -> dict[str, Any]:
    """Return how well the embedding, and the truth, order who has an event first.

    Parameters
    ----------
    vectors : float array of shape (patients, 512)
    patients : list of Patient
    """
    outcomes = followed(patients)
    times, rows = outcomes.times, outcomes.table["row"].to_numpy()
    who = outcomes.table["patient_id"].to_numpy(str)
    x = pd.DataFrame(vectors[rows].astype(np.float64)).rename(columns=lambda i: f"{EMBEDDING}{i}")
    judged = cross_validate(ModelSpec(), x, times, who, horizons=HORIZONS, outer_folds=FOLDS)
    verdict = validate(judged.predictions)
    truth = truth_of(patients).iloc[rows].reset_index(drop=True)
    score, fold = np.zeros(len(truth)), np.zeros(len(truth), np.int64)
    for number, split in enumerate(judged.splits):
        fitted = fit_cox(times[split.train], truth.iloc[split.train])
        score[split.test] = truth.iloc[split.test].to_numpy() @ fitted.coefficients
        fold[split.test] = number
    known = harrell(times, score, stratum=fold)
    found = verdict.measure("harrell_c")
    return {
        "patients": len(rows),
        "events": int(times.event.sum()),
        "competing_events": int(times.competing.sum()),
        "embedding_c": [float(found[name]) for name in ("estimate", "lower", "upper")],
        "truth_c": [known.c, *known.interval()],
        "difference": known.c - float(found["estimate"]),
        "calibration": [
            {
                "horizon_days": each.horizon,
                "observed_to_expected": each.ratio,
                "slope": each.slope,
                "slope_interval": [each.slope_lower, each.slope_upper],
            }
            for each in verdict.calibrations
        ],
    }


def nearest_runs(seen: Embedded, patients: list[Patient]) -> dict[str, Any]:
    """Return how near runs of two patients come: none of them is one file twice."""
    owner = np.array([patients[i].patient_id for i in seen.of_study])
    names = np.arange(len(owner)).astype(str)
    shares = (0.99, DUPLICATE_COSINE, 0.9999)
    return {
        f"cosine {share} or more": sum(
            len(leak.rows) for leak in near_duplicates(seen.videos, owner, names, cosine=share)
        )
        for share in shares
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, default=SHIPPED, help="an encoder folder")
    parser.add_argument("--work", type=Path, required=True, help="where rendered clips are kept")
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    encoder = load_encoder(given.encoder, device="cpu")
    patients = [draw_patient(SEED, i) for i in range(given.patients)]
    specs = [StudySpec(SEED, i, exam=1) for i in range(given.patients)]
    seen = embed(encoder, given.work, "survival", specs, workers=given.workers)
    figures = {
        "encoder_id": encoder.encoder_id,
        "seed": SEED,
        **compare(seen.vectors, patients),
        "runs": len(seen.videos),
        "pairs_of_runs_of_two_patients": nearest_runs(seen, patients),
    }
    print(json.dumps(figures, indent=1))
    print(write("phantom_survival", figures))


if __name__ == "__main__":
    main()
