"""Phantom patients who come again: change beside the true change, and LVEF by embeddings.

python -m benchmarks.phantom_progression --work FOLDER

No encoder has seen these patients.  The study is given what a hospital would have: dates,
procedures, events, vectors, what the heads say; the truth only judges it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analytics.lvef.models import RegressionSpec
from analytics.lvef.protocol import cross_validate
from analytics.lvef.validation import validate
from analytics.preparation import EMBEDDING
from analytics.progression.pairs import mark_between, serial_pairs
from analytics.progression.study import Inputs, Plan, ProgressionStudy, run_study
from analytics.resampling import bootstrap, percentile_interval
from analytics.roc import auc
from angioatlas.phantom_mini import SHIPPED
from angioatlas.progression.axes import along_text
from benchmarks.phantom_retrieval.embed import Embedded, embed
from benchmarks.phantom_retrieval.studies import StudySpec, patient_of
from benchmarks.record import write
from core.segments import SEGMENTS, VESSELS
from embedder.encoders.registry import load_encoder, load_text_encoder
from embedder.encoders.spec import TextEmbedder
from phantom.people.measurements import measure
from phantom.people.patients import Exam, Patient
from phantom.seeds import EVALUATION_SEEDS

PATIENTS = 220
"""Who have two exams or more."""
SEED = EVALUATION_SEEDS[4]
CHANGED_POINTS = 20.0
"""Sum of true changes of stenosis from which on a pair counts as changed."""


def who_came_again(patients: int) -> list[int]:
    """Return the first patients of the cohort with two exams or more."""
    found: list[int] = []
    index = 0
    while len(found) < patients:
        if len(patient_of(SEED, index).exams) > 1:
            found.append(index)
        index += 1
    return found


def study_of(
    seen: Embedded, exams: list[tuple[Patient, Exam]], reader: TextEmbedder
) -> ProgressionStudy:
    """Study the exams with what a hospital would know."""
    table = pd.DataFrame(
        [(exam.study_uid, patient.patient_id, exam.date) for patient, exam in exams],
        columns=["study_uid", "patient_id", "date"],
    )
    patients = {patient.patient_id: patient for patient, _ in exams}.values()
    procedures = pd.DataFrame(
        [(p.patient_id, d.date, d.kind, list(d.segments)) for p in patients for d in p.procedures],
        columns=["patient_id", "date", "kind", "segments"],
    )
    events = pd.DataFrame(
        [(p.patient_id, e.date, e.kind) for p in patients for e in p.events],
        columns=["patient_id", "date", "kind"],
    )
    follow_up = pd.DataFrame(
        [(p.patient_id, p.follow_up.last_known_date, p.follow_up.status) for p in patients],
        columns=["patient_id", "last_known_date", "status"],
    )
    inputs = Inputs(
        exams=table,
        pairs=mark_between(serial_pairs(table), procedures, events),
        vectors=seen.vectors,
        videos=seen.videos,
        exam_of=seen.of_study,
        along=along_text(reader, seen.vectors),
        plane=None,
        stenosis=pd.DataFrame(
            {name: np.clip(seen.head(f"{name}_stenosis"), 0, 100) for name in SEGMENTS}
        ),
        lvef=np.array([_echo(patient, exam) for patient, exam in exams]),
        events=events,
        follow_up=follow_up,
        attrition=pd.DataFrame(),
        notes=(),
        provenance={},
    )
    return run_study(Plan(), inputs)


def against_truth(study: ProgressionStudy, exams: list[tuple[Patient, Exam]]) -> dict[str, Any]:
    """Return how well scores follow what truly changed."""
    truth = {exam.study_uid: exam for _, exam in exams}
    pairs = study.pairs
    now, prior = ([truth[uid] for uid in pairs[name]] for name in ("study_uid", "prior_uid"))
    changed = np.array([exam.true_change for exam in now])
    same = np.array([exam.unchanged for exam in now])
    worse = np.array([a.burden - b.burden for a, b in zip(now, prior, strict=True)])
    treated = (pairs["treatment"] != "").to_numpy(bool)
    score, who = pairs["score"].to_numpy(), pairs["patient_id"].to_numpy(str)
    toward = pairs["toward_disease"].to_numpy()
    much = changed > CHANGED_POINTS
    told = same | much
    natural = told & ~treated
    return {
        "pairs": len(pairs),
        "truly_unchanged": int(same.sum()),
        "treated": int(treated.sum()),
        "floor": {
            "source": study.floor.source,
            "patients": study.floor.patients,
            "threshold": study.floor.threshold,
        },
        "spearman_of_change": _interval(_rho, (score, changed), who),
        "spearman_of_change_natural": _interval(
            _rho, (score[~treated], changed[~treated]), who[~treated]
        ),
        "spearman_toward_disease": _interval(_rho, (toward, worse), who),
        "auc_changed_against_unchanged": _interval(auc, (much[told], score[told]), who[told]),
        "auc_changed_against_unchanged_natural": _interval(
            auc, (much[natural], score[natural]), who[natural]
        ),
        "auc_treated_against_unchanged": _interval(
            auc, (treated[same | treated], score[same | treated]), who[same | treated]
        ),
        "unchanged_beyond_the_floor": float(pairs["beyond"].to_numpy()[same].mean()),
        "changed_beyond_the_floor": float(pairs["beyond"].to_numpy()[much].mean()),
        "treated_beyond_the_floor": float(pairs["beyond"].to_numpy()[treated].mean()),
    }


def along_axes(study: ProgressionStudy, exams: list[tuple[Patient, Exam]]) -> dict[str, Any]:
    """Return how steps along each axis go with the true changes of vessels and of LVEF."""
    truth = pd.DataFrame(
        [
            {
                "study_uid": exam.study_uid,
                **{
                    vessel: sum(exam.disease.state(each).stenosis_percent for each in segments)
                    for vessel, segments in VESSELS.items()
                },
                "LVEF": exam.disease.lvef_percent,
            }
            for _, exam in exams
        ]
    ).set_index("study_uid")
    stands = study.positions.set_index("study_uid")
    now, prior = study.pairs["study_uid"], study.pairs["prior_uid"]
    true = truth.loc[now].to_numpy(float) - truth.loc[prior].to_numpy(float)
    return {
        axis: {
            name: _rho(stands.loc[now, axis].to_numpy() - stands.loc[prior, axis].to_numpy(), each)
            for name, each in zip(truth.columns, true.T, strict=True)
        }
        for axis in study.inputs.along
    }


def lvef(seen: Embedded, exams: list[tuple[Patient, Exam]]) -> dict[str, Any]:
    """Return how well embeddings tell the echocardiogram, and the true ejection fraction."""
    x = pd.DataFrame(seen.vectors.astype(np.float64)).rename(
        columns=lambda i: f"{EMBEDDING}{i:03d}"
    )
    measured = np.array([_echo(patient, exam) for patient, exam in exams])
    who = np.array([patient.patient_id for patient, _ in exams])
    judged = cross_validate(RegressionSpec(), x, measured, who, range=(0.0, 100.0))
    verdict = validate(judged.predictions, thresholds=(40.0, 50.0))
    true = np.array([exam.disease.lvef_percent for _, exam in exams])[judged.rows]
    told = [("mae", None), ("mae_of_mean", None), ("bias", None), ("coverage", 0.9), ("auc", 40.0)]
    return {
        "exams": verdict.rows,
        "against_echo": {
            name if at is None else f"{name}_{at:g}": [
                float(verdict.measure(name, at)[each]) for each in ("estimate", "lower", "upper")
            ]
            for name, at in told
        },
        "mae_against_truth": float(np.abs(judged.predictions.predicted - true).mean()),
    }


def _echo(patient: Patient, exam: Exam) -> float:
    return next(float(m.value) for m in measure(patient, exam) if m.name == "lvef_percent")


def _rho(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.spearmanr(x, y).statistic)


def _interval(statistic: Any, columns: tuple[np.ndarray, ...], who: np.ndarray) -> list[float]:
    samples = bootstrap(
        lambda rows: np.array([statistic(*(each[rows] for each in columns))]),
        who,
        repeats=500,
        seed=0,
    )
    low, high = percentile_interval(samples)
    return [float(statistic(*columns)), float(low[0]), float(high[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, default=SHIPPED, help="an encoder folder")
    parser.add_argument("--work", type=Path, required=True, help="where rendered clips are kept")
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    encoder = load_encoder(given.encoder, device="cpu")
    exams = [
        (patient, exam)
        for patient in (patient_of(SEED, index) for index in who_came_again(given.patients))
        for exam in patient.exams
    ]
    specs = [StudySpec(SEED, p.index, exam=exam.study_number) for p, exam in exams]
    seen = embed(encoder, given.work, "serial", specs, workers=given.workers)
    study = study_of(seen, exams, load_text_encoder(given.encoder, device="cpu"))
    figures = {
        "encoder_id": encoder.encoder_id,
        "seed": SEED,
        "patients": given.patients,
        "change": against_truth(study, exams),
        "spearman_along_axes": along_axes(study, exams),
        "before_and_after": study.treated.to_dict("records"),
        "steps": study.steps.to_dict("records"),
        "slopes": study.years.slopes.to_dict("records"),
        # No hazards: who came once is not here, and without them events of the first years lack.
        "lvef": lvef(seen, exams),
    }
    print(json.dumps(figures, indent=1))
    print(write("phantom_progression", figures))


if __name__ == "__main__":
    main()
