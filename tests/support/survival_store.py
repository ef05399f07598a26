"""A store of index exams with vectors, events and covariates whose truth is known."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.preparation import EMBEDDING
from core.ids import KeptIdentity, PseudonymisedIdentity
from core.schema import EMBEDDING_DIM, Cine
from store.batch import CommitBatch, StudyFacts, StudyVectors, VideoVectors
from store.store import Store
from tests.support.cines import make_cine
from tests.support.cohorts import World
from tests.support.cohorts import world as draw_world

ENCODER = "enc-a"
SPACES = ("enc-a", "enc-b")
FIRST_DAY = dt.date(2014, 1, 1)


def survival_store(
    folder: Path,
    n: int,
    *,
    seed: int,
    encoder_id: str = ENCODER,
    world: World | None = None,
    key: bytes | None = None,
) -> World:
    """Make a store of `n` patients with one exam each; return what they are made of.

    With a key identifiers are pseudonyms, and the labels beside the store the original ones.
    """
    drawn = world or draw_world(n, seed=seed, dim=EMBEDDING_DIM)
    identity = KeptIdentity() if key is None else PseudonymisedIdentity(key)
    store = Store.create(folder, identity=identity.record)
    days = np.random.default_rng(seed).integers(0, 365 * 6, n)
    cines = [
        identity.cine(
            make_cine(
                f"1.{seed}.{i}.1",
                f"1.{seed}.{i}",
                patient_id=drawn.patient[i],
                patient_sex=drawn.x["sex"][i],
                patient_age_years=None if np.isnan(age := drawn.x["age"][i]) else float(age),
                study_date=FIRST_DAY + dt.timedelta(days=int(days[i])),
            )
        )
        for i in range(n)
    ]
    columns = [name for name in drawn.x.columns if name.startswith(EMBEDDING)]
    vectors = drawn.x[columns].to_numpy(np.float32)
    hashes = [f"{i:064x}" for i in range(n)]
    batch = CommitBatch(
        cines=cines,
        studies=[
            StudyFacts.of([cine], input_hash=each, site="AB"[i % 2])
            for i, (cine, each) in enumerate(zip(cines, hashes, strict=True))
        ],
        encoder_id=encoder_id,
        video_vectors=VideoVectors(
            [cine.sop_uid for cine in cines], [cine.study_uid for cine in cines], vectors, vectors
        ),
        study_vectors=StudyVectors([cine.study_uid for cine in cines], hashes, vectors),
    )
    with store.writer("run") as writer:
        writer.commit(batch)
    _write_labels(folder.with_name(f"{folder.name}-labels"), drawn, cines)
    return drawn


def _write_labels(folder: Path, drawn: World, cines: list[Cine]) -> None:
    folder.mkdir()
    index = pd.DatetimeIndex([cine.study_date for cine in cines])
    end = index + pd.to_timedelta(drawn.times.time, unit="D")
    kinds = np.select([drawn.times.event, drawn.times.competing], ["mi", "death_other"], "")
    events = pd.DataFrame(
        {"patient_id": drawn.patient, "date": end.strftime("%Y-%m-%d"), "kind": kinds}
    )
    events[events["kind"] != ""].to_csv(folder / "events.csv", index=False)
    # Who had an infarction was followed for another month.
    last = end + pd.to_timedelta(np.where(drawn.times.event, 30, 0), unit="D")
    status = np.where(drawn.times.competing, "dead", "alive")
    pd.DataFrame(
        {
            "patient_id": drawn.patient,
            "last_known_date": last.strftime("%Y-%m-%d"),
            "status": status,
        }
    ).to_csv(folder / "follow_up.csv", index=False)
    diabetes = np.where(np.random.default_rng(1).random(len(cines)) < 0.3, "yes", "no")
    pd.DataFrame(
        {
            "patient_id": drawn.patient,
            "date": index.strftime("%Y-%m-%d"),
            "name": "diabetes",
            "value": diabetes,
        }
    ).to_csv(folder / "covariates.csv", index=False)
    noise = np.random.default_rng(2).normal(0, 4, len(cines))
    lvef = np.clip(np.round(55 - 8 * drawn.truth + noise), 10, 80).astype(int)
    echo = index + pd.to_timedelta(np.random.default_rng(3).integers(-20, 21, len(cines)), unit="D")
    pd.DataFrame(
        {
            "id": [f"{who}-lvef" for who in drawn.patient],
            "patient_id": drawn.patient,
            "date": echo.strftime("%Y-%m-%d"),
            "name": "lvef_percent",
            "value": lvef,
            "unit": "%",
            "method": "echo",
        }
    ).to_csv(folder / "measurements.csv", index=False)
