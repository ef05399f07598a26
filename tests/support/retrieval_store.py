"""A store whose studies lie near the words for what was measured on them, in two spaces."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from angioatlas.phantom_mini import SHIPPED
from core.ids import IdentityMode, KeptIdentity, PseudonymisedIdentity
from core.schema import EMBEDDING_DIM
from core.segments import HEADS
from embedder.encoders.registry import load_text_encoder
from store.batch import CommitBatch, StudyFacts, StudyFindings, StudyVectors, VideoVectors
from store.store import Store
from tests.support.cines import make_cine

OTHER = "enc-b"
SEGMENTS = {"prox_lad": "proximal LAD", "mid_rca": "mid RCA", "prox_lcx": "proximal LCX"}
TEXTS = {f"severe stenosis of the {words}": segment for segment, words in SEGMENTS.items()}


@dataclass(frozen=True)
class Truth:
    """What the store is made of, by original identifiers.

    Attributes
    ----------
    encoder_id : str
    studies : DataFrame
        study_uid, patient_id, segment (which one is narrow).
    vectors : array [studies, 512]
    """

    encoder_id: str
    studies: pd.DataFrame
    vectors: NDArray[np.float32]


def retrieval_store(
    folder: Path, patients: int, *, seed: int = 0, noise: float = 8.0, key: bytes | None = None
) -> Truth:
    """Make a store of patients with one or two exams of two videos each, and labels beside it."""
    rng = np.random.default_rng(seed)
    reader = load_text_encoder(SHIPPED, device="cpu")
    words = reader.encode([*TEXTS])
    person = np.repeat(np.arange(patients), rng.integers(1, 3, patients))
    kind = rng.integers(0, len(TEXTS), patients)[person]
    apart = rng.normal(0, 0.5, (patients, EMBEDDING_DIM))[person]
    apart = apart + rng.normal(0, 1, (len(person), EMBEDDING_DIM))
    vectors = _unit(words[kind] + noise * apart / np.sqrt(EMBEDDING_DIM))
    studies = pd.DataFrame(
        {
            "study_uid": [f"1.7.{i}" for i in range(len(person))],
            "patient_id": [f"P{i:04d}" for i in person],
            "segment": np.array([*SEGMENTS])[kind],
        }
    )
    identity = KeptIdentity() if key is None else PseudonymisedIdentity(key)
    store = Store.create(folder, identity=identity.record)
    turned, _ = np.linalg.qr(rng.normal(size=(EMBEDDING_DIM, EMBEDDING_DIM)))
    moved = rng.normal(0, 1, vectors.shape) / np.sqrt(EMBEDDING_DIM)
    with store.writer("run") as writer:
        writer.commit(_batch(studies, reader.encoder_id, vectors, identity, facts=True))
        other = _unit(vectors @ turned + 0.5 * moved)
        writer.commit(_batch(studies, OTHER, other, identity, facts=False))
    if identity.record.mode is IdentityMode.KEPT:
        _write_labels(folder.with_name(f"{folder.name}-labels"), studies, rng)
    return Truth(reader.encoder_id, studies, vectors)


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    unit: NDArray[np.floating] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


def _batch(
    studies: pd.DataFrame,
    encoder_id: str,
    vectors: NDArray[np.float32],
    identity: KeptIdentity | PseudonymisedIdentity,
    *,
    facts: bool,
) -> CommitBatch:
    cines = [
        [
            identity.cine(
                make_cine(
                    f"{study}.{video}",
                    study,
                    patient_id=who,
                    study_date=dt.date(2020, 1, 1) + dt.timedelta(days=i),
                )
            )
            for video in (1, 2)
        ]
        for i, (study, who) in enumerate(
            zip(studies["study_uid"], studies["patient_id"], strict=True)
        )
    ]
    uids = [each[0].study_uid for each in cines]
    videos = [cine for each in cines for cine in each]
    hashes = [f"{i:064x}" for i in range(len(uids))]
    wide = np.repeat(vectors, 2, axis=0)
    raw = np.full((len(uids), len(HEADS)), -5, np.float32)
    raw[:, HEADS.index("prox_lad_stenosis")] = np.where(studies["segment"] == "prox_lad", 85, 20)
    return CommitBatch(
        cines=videos if facts else [],
        studies=[
            StudyFacts.of(each, input_hash=name)
            for each, name in zip(cines, hashes, strict=True)
            if facts
        ],
        encoder_id=encoder_id,
        video_vectors=VideoVectors(
            [cine.sop_uid for cine in videos], [cine.study_uid for cine in videos], wide, wide
        ),
        study_vectors=StudyVectors(uids, hashes, vectors),
        findings=StudyFindings("heads-1", uids, hashes, raw, vectors[:, :8]),
    )


def _write_labels(folder: Path, studies: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write what was measured of every study but the last ten."""
    folder.mkdir()
    known = studies.iloc[:-10]
    pd.DataFrame(
        {
            "id": known["study_uid"] + "-qca",
            "patient_id": known["patient_id"],
            "study_uid": known["study_uid"],
            "date": "2020-01-01",
            "name": "stenosis_percent@" + known["segment"],
            "value": rng.integers(75, 99, len(known)),
            "unit": "%",
            "method": "qca",
        }
    ).to_csv(folder / "measurements.csv", index=False)
