"""A store whose studies are sentences: a text finds those that it describes, by the real reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from angioatlas.atlas import Atlas
from angioatlas.phantom_mini import SHIPPED
from core.segments import HEADS
from core.settings import Settings
from embedder.encoders.registry import load_text_encoder
from tests.support.store_cases import batch, new_store

READER = load_text_encoder(SHIPPED, device="cpu")
STUDIES = {f"P{i}.a": [f"V{i}"] for i in range(6)}
SHOWN = ("proximal LAD occlusion",) * 4 + ("calcified RCA",) * 2
LVEF = (30, 35, 60, None, 30, 60)
RCA_PERCENT = (0.0, 90.0, 0.0, 0.0, 0.0, 90.0)


def clinical_store(folder: Path, settings: Settings | None = None) -> Atlas:
    """Make six studies with findings of the right coronary artery and, most of them, an LVEF."""
    store = new_store(folder)
    made = batch(STUDIES, encoder_id=READER.encoder_id)
    assert made.study_vectors is not None
    assert made.findings is not None
    raw = np.full((len(STUDIES), len(HEADS)), -9.0, np.float32)
    raw[:, [head.endswith("_stenosis") for head in HEADS]] = 0
    raw[:, HEADS.index("mid_rca_stenosis")] = RCA_PERCENT
    # A study is the sentence that it shows, a little apart from the next.
    shown = READER.encode(SHOWN) + 1e-3 * made.study_vectors.embedding
    shown /= np.linalg.norm(shown, axis=1, keepdims=True)
    made = replace(
        made,
        study_vectors=replace(made.study_vectors, embedding=shown),
        findings=replace(made.findings, raw=raw),
    )
    with store.writer("run") as writer:
        writer.commit(made)
    known = [(uid, percent) for uid, percent in zip(STUDIES, LVEF, strict=True) if percent]
    labels = folder.with_name("measurements.csv")
    pd.DataFrame(
        {
            "id": [uid for uid, _ in known],
            "patient_id": [uid.partition(".")[0] for uid, _ in known],
            "date": "2021-05-04",
            "name": "lvef_percent",
            "value": [percent for _, percent in known],
            "unit": "%",
            "method": "echo",
        }
    ).to_csv(labels, index=False)
    atlas = Atlas.open(folder, settings=settings)
    atlas.import_labels([labels])
    return atlas
