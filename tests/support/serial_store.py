"""A store of patients who came again, whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.progression_coverage import Serial, draw
from core.ids import KeptIdentity
from core.schema import EMBEDDING_DIM
from store.batch import CommitBatch, StudyFacts, StudyVectors, VideoVectors
from store.store import Store
from tests.support.cines import make_cine
from tests.support.survival_store import ENCODER


def serial_store(folder: Path, patients: int, *, seed: int, once: int = 0) -> Serial:
    """Make a store of patients with two exams each; labels stand beside it.

    Of the last `once` patients the second exam is not stored.
    """
    drawn = draw(np.random.default_rng(seed), patients)
    inputs = drawn.inputs
    absent = {*inputs.pairs["study_uid"].iloc[len(inputs.pairs) - once :]}
    store = Store.create(folder, identity=KeptIdentity().record)
    wide = np.zeros((len(inputs.videos), EMBEDDING_DIM), np.float32)
    wide[:, : inputs.videos.shape[1]] = inputs.videos
    studies = np.zeros((len(inputs.exams), EMBEDDING_DIM), np.float32)
    studies[:, : inputs.vectors.shape[1]] = inputs.vectors
    exams = inputs.exams.to_dict("records")
    cines = [
        make_cine(
            f"1.5.{video}",
            exams[row]["study_uid"],
            patient_id=exams[row]["patient_id"],
            study_date=exams[row]["date"],
        )
        for video, row in enumerate(inputs.exam_of.tolist())
        if exams[row]["study_uid"] not in absent
    ]
    stored = [i for i, exam in enumerate(exams) if exam["study_uid"] not in absent]
    wide, studies = wide[np.isin(inputs.exam_of, stored)], studies[stored]
    exams = [exams[i] for i in stored]
    hashes = [f"{i:064x}" for i in range(len(exams))]
    own = [[cine for cine in cines if cine.study_uid == exam["study_uid"]] for exam in exams]
    batch = CommitBatch(
        cines=cines,
        studies=[
            StudyFacts.of(each, input_hash=name) for each, name in zip(own, hashes, strict=True)
        ],
        encoder_id=ENCODER,
        video_vectors=VideoVectors(
            [cine.sop_uid for cine in cines], [cine.study_uid for cine in cines], wide, wide
        ),
        study_vectors=StudyVectors([exam["study_uid"] for exam in exams], hashes, studies),
    )
    with store.writer("run") as writer:
        writer.commit(batch)
    _write_labels(folder.with_name(f"{folder.name}-labels"), drawn)
    return drawn


def _write_labels(folder: Path, drawn: Serial) -> None:
    folder.mkdir()
    pairs = drawn.inputs.pairs
    treated = pairs[drawn.treated]
    pd.DataFrame(
        {
            "id": [f"{who}-pci" for who in treated["patient_id"]],
            "patient_id": treated["patient_id"],
            "date": (treated["prior_date"] + pd.Timedelta(days=3)).dt.strftime("%Y-%m-%d"),
            "kind": "pci",
            "segments": "mid_lad",
        }
    ).to_csv(folder / "procedures.csv", index=False)
    rows = []
    for pair, moved, was_treated in zip(
        pairs.to_dict("records"), drawn.moved, drawn.treated, strict=True
    ):
        grown = 0 if was_treated else min(60, round(60 * float(moved)))
        for uid, date, percent in (
            (pair["prior_uid"], pair["prior_date"], 30),
            (pair["study_uid"], pair["date"], 30 + grown),
        ):
            rows.append(
                {
                    "id": f"{uid}-qca",
                    "patient_id": pair["patient_id"],
                    "study_uid": uid,
                    "date": date.strftime("%Y-%m-%d"),
                    "name": "stenosis_percent@om1",
                    "value": percent,
                    "unit": "%",
                    "method": "qca",
                }
            )
    pd.DataFrame(rows).to_csv(folder / "measurements.csv", index=False)
