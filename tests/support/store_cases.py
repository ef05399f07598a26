"""Small stores for tests: batches whose every value follows from names, and what a reader sees."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.ids import IdentityMode, IdentityRecord
from core.outcomes import Code, Status
from core.schema import Cine, Level, View
from core.segments import HEADS
from store.batch import CommitBatch, StudyFacts, StudyFindings, StudyVectors, VideoVectors
from store.inputs import InputRow, input_hash
from store.snapshot import Snapshot
from store.store import Store

KEPT = IdentityRecord(IdentityMode.KEPT)


def new_store(folder: Path) -> Store:
    return Store.create(folder, identity=KEPT)


def seed_of(*words: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8])


def vectors(*names: object, unit: bool = True) -> NDArray[np.float32]:
    """Return one vector a name, [n, 512]: equal names, equal vectors."""
    rows = [
        np.random.default_rng(seed_of(name)).standard_normal(512).astype(np.float32)
        for name in names
    ]
    out = np.stack(rows) if rows else np.empty((0, 512), np.float32)
    return out / np.linalg.norm(out, axis=1, keepdims=True) if unit else out


def patient_of(study: str) -> str:
    """Studies P1.a and P1.b are of patient P1."""
    return study.partition(".")[0]


def cine(sop: str, study: str) -> Cine:
    return Cine(
        sop_uid=sop,
        study_uid=study,
        series_uid=f"{study}.series",
        patient_id=patient_of(study),
        patient_known=True,
        patient_sex="F",
        patient_age_years=61.0,
        study_date=dt.date(2021, 5, 4),
        series_time="101500.000000",
        acquisition_datetime=dt.datetime(2021, 5, 4, 10, 15, 2),
        instance_number=seed_of(sop) % 1000,
        view=View.RAO_CAUDAL,
        primary_angle_deg=-30.0,
        secondary_angle_deg=-20.0,
        n_frames=64,
        frame_time_ms=66.7,
        rows=512,
        columns=512,
        transfer_syntax_uid="1.2.840.10008.1.2.4.70",
        source_uri=f"/archive/{sop}.dcm",
    )


def sha(sop: str) -> str:
    return hashlib.sha256(sop.encode()).hexdigest()


def hash_of(videos: Sequence[str]) -> str:
    return input_hash((sop, sha(sop)) for sop in videos)


def input_rows(study: str, videos: Sequence[str]) -> list[InputRow]:
    return [
        InputRow(
            uri=f"/archive/{sop}.dcm",
            size=1000 + seed_of(sop) % 1000,
            mtime_ns=1_600_000_000_000_000_000 + seed_of(sop) % 10**9,
            status=Status.EMBEDDED,
            sop_uid=sop,
            study_uid=study,
            sha256=sha(sop),
        )
        for sop in videos
    ]


def findings(
    studies: Mapping[str, Sequence[str]], *, encoder_id: str, heads_id: str = "heads-1"
) -> StudyFindings:
    """Return findings of the studies that have videos; heads of "calcif" are absent."""
    names = [(encoder_id, heads_id, study, tuple(v)) for study, v in studies.items() if v]
    raw = vectors(*[("raw", *name) for name in names], unit=False)[:, : len(HEADS)] * np.float32(40)
    raw[:, ["calcif" in head for head in HEADS]] = np.nan
    return StudyFindings(
        heads_id,
        [study for _, _, study, _ in names],
        [hash_of(videos) for _, _, _, videos in names],
        raw,
        vectors(*[("read", *name) for name in names], unit=False)[:, :8],
    )


def batch(
    studies: Mapping[str, Sequence[str]],
    *,
    encoder_id: str = "enc-a",
    heads_id: str | None = "heads-1",
    facts: bool = True,
    skipped: Sequence[str] = (),
) -> CommitBatch:
    """Return a batch of `studies` (study → videos; no videos: the study has lost them all).

    With findings, unless `heads_id` is None.
    """
    embedded = {study: videos for study, videos in studies.items() if videos}
    pairs = [(sop, study) for study, videos in embedded.items() for sop in videos]
    cines = {study: [cine(sop, study) for sop in videos] for study, videos in embedded.items()}
    rows = [row for study, videos in embedded.items() for row in input_rows(study, videos)]
    rows += [InputRow(uri, 5, 6, Status.SKIPPED, Code.NOT_DICOM) for uri in skipped]
    study_facts = [
        StudyFacts.of(cines[study], input_hash=hash_of(videos), site="A")
        if videos
        else StudyFacts(study, patient_of(study), True, None, None, None, "A", 0, hash_of([]))
        for study, videos in studies.items()
    ]
    space: dict[str, Any] = {}
    if embedded:
        space = {
            "encoder_id": encoder_id,
            "video_vectors": VideoVectors(
                [sop for sop, _ in pairs],
                [study for _, study in pairs],
                vectors(*[(encoder_id, "pooled", sop) for sop, _ in pairs], unit=False),
                vectors(*[(encoder_id, sop) for sop, _ in pairs]),
            ),
            "study_vectors": StudyVectors(
                list(embedded),
                [hash_of(videos) for videos in embedded.values()],
                vectors(*[(encoder_id, study, tuple(v)) for study, v in embedded.items()]),
            ),
            "findings": heads_id and findings(studies, encoder_id=encoder_id, heads_id=heads_id),
        }
    if not facts:
        return CommitBatch(**space)
    all_cines = [one for several in cines.values() for one in several]
    return CommitBatch(inputs=rows, cines=all_cines, studies=study_facts, **space)


def commit(store: Store, studies: Mapping[str, Sequence[str]], **options: Any) -> int:
    with store.writer("run") as writer:
        return writer.commit(batch(studies, **options))


def seen_by(snapshot: Snapshot, *, keys: bool = False) -> dict[str, Any]:
    """Return every visible row and vector; commit ids only with `keys`."""
    unsaid = [] if keys else ["commit_id", "run_id"]

    def rows(table: pa.Table) -> list[dict[str, Any]]:
        said = [name for name in table.column_names if name not in unsaid]
        return list(table.select(said).to_pylist())

    out: dict[str, Any] = {
        "studies": rows(snapshot.studies()),
        "videos": rows(snapshot.videos()),
        "inputs": rows(snapshot.inputs()),
    }
    for encoder_id in snapshot.spaces():
        for level in Level:
            key_table = snapshot.keys(encoder_id, level)
            out[f"{encoder_id} {level}"] = rows(key_table)
            for kind in ("embedding", "pooled") if level is Level.VIDEO else ("embedding",):
                _, found = snapshot.vectors(encoder_id, level, kind=kind)
                out[f"{encoder_id} {level} {kind}"] = found.tobytes()
        for heads_id in snapshot.heads(encoder_id):
            out[f"{encoder_id} {heads_id}"] = rows(snapshot.findings(encoder_id, heads_id))
            _, found = snapshot.finding_vectors(encoder_id, heads_id)
            out[f"{encoder_id} {heads_id} vectors"] = found.tobytes()
    return out


def seen(store: Store, version: int | None = None, *, keys: bool = False) -> dict[str, Any]:
    with store.snapshot(version) as snapshot:
        return seen_by(snapshot, keys=keys)


def files_holding(folder: Path, needle: bytes) -> list[Path]:
    """Return the files under `folder` whose name or bytes hold `needle`."""
    return [
        path
        for path in folder.rglob("*")
        if needle in str(path.relative_to(folder)).encode()
        or (path.is_file() and needle in path.read_bytes())
    ]
