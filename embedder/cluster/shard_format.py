"""Embedded studies as bytes: an Arrow stream of one row a study, then its SHA-256.

Arrays are kept byte for byte, so that a vector is the same number on every machine.  An Arrow
reader stops at the end of the stream and does not see the digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.outcomes import Code, InputRefused
from core.schema import Cine, View
from embedder.encoders.spec import Findings, VideoVectors
from embedder.work import EmbeddedStudy

_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_FORMAT: Final = {b"angioatlas.shard": b"1"}

_ARRAY: Final = pa.struct([("shape", pa.list_(pa.int64())), ("data", pa.large_binary())])
"""A float32 array, C order, little-endian."""
_CINE: Final = pa.struct(
    [
        ("sop_uid", pa.string()),
        ("study_uid", pa.string()),
        ("series_uid", pa.string()),
        ("patient_id", pa.string()),
        ("patient_known", pa.bool_()),
        ("patient_sex", pa.string()),
        ("patient_age_years", pa.float64()),
        ("study_date", pa.date32()),
        ("series_time", pa.string()),
        ("acquisition_datetime", pa.timestamp("us")),
        ("instance_number", pa.int64()),
        ("view", pa.string()),
        ("primary_angle_deg", pa.float64()),
        ("secondary_angle_deg", pa.float64()),
        ("n_frames", pa.int64()),
        ("frame_time_ms", pa.float64()),
        ("rows", pa.int64()),
        ("columns", pa.int64()),
        ("transfer_syntax_uid", pa.string()),
        ("source_uri", pa.string()),
    ]
)
_SCHEMA: Final = pa.schema(
    [
        ("study_uid", pa.string()),
        ("cines", pa.list_(_CINE)),
        ("sha256", pa.list_(pa.string())),
        ("pooled", _ARRAY),
        ("embeddings", _ARRAY),
        ("summaries", _ARRAY),
        ("embedding", _ARRAY),
        ("findings", pa.map_(pa.string(), pa.float64())),
        ("findings_pooled", _ARRAY),
        (
            "refused",
            pa.list_(pa.struct([("cine", _CINE), ("code", pa.string()), ("detail", pa.string())])),
        ),
    ],
    metadata=_FORMAT,
)


def encode(studies: Sequence[EmbeddedStudy]) -> bytes:
    """Turn studies into bytes; the same studies give the same bytes."""
    table = pa.Table.from_pylist([_row(study) for study in studies], schema=_SCHEMA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _SCHEMA) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream + hashlib.sha256(stream).digest()


def decode(data: bytes) -> list[EmbeddedStudy]:
    """Turn bytes into the studies that they were made of.

    Raises
    ------
    ValueError
        They are not what `encode` gave: cut short, changed, or of another version.
    """
    stream, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.sha256(stream).digest() != digest:
        raise ValueError("its bytes are not those of its digest")
    with pa.ipc.open_stream(stream) as reader:
        if reader.schema.metadata != _FORMAT:
            raise ValueError(f"expected {_FORMAT}, found {reader.schema.metadata}")
        return [_study(row) for row in reader.read_all().to_pylist(maps_as_pydicts="strict")]


def _row(study: EmbeddedStudy) -> dict[str, Any]:
    findings = study.findings
    return {
        "study_uid": study.study_uid,
        "cines": [asdict(cine) for cine in study.cines],
        "sha256": study.sha256,
        "pooled": _packed(study.videos.pooled),
        "embeddings": _packed(study.videos.embedding),
        "summaries": _packed(study.videos.summaries),
        "embedding": _packed(study.embedding),
        "findings": None if findings is None else list(findings.raw.items()),
        "findings_pooled": None if findings is None else _packed(findings.pooled),
        "refused": [
            {"cine": asdict(cine), "code": refusal.reason, "detail": refusal.message}
            for cine, refusal in study.refused
        ],
    }


def _study(row: Mapping[str, Any]) -> EmbeddedStudy:
    raw, heads = row["findings"], _unpacked(row["findings_pooled"])
    return EmbeddedStudy(
        study_uid=row["study_uid"],
        cines=tuple(_cine(each) for each in row["cines"]),
        sha256=tuple(row["sha256"]),
        videos=VideoVectors(
            _there(_unpacked(row["pooled"])),
            _there(_unpacked(row["embeddings"])),
            _unpacked(row["summaries"]),
        ),
        embedding=_unpacked(row["embedding"]),
        findings=None if raw is None else Findings(raw, _there(heads)),
        refused=tuple(
            (_cine(each["cine"]), InputRefused(Code(each["code"]), each["detail"]))
            for each in row["refused"]
        ),
    )


def _cine(row: Mapping[str, Any]) -> Cine:
    return Cine(**{**row, "view": View(row["view"])})


def _packed(array: NDArray[np.float32] | None) -> dict[str, Any] | None:
    if array is None:
        return None
    return {"shape": array.shape, "data": array.astype("<f4", copy=False).tobytes()}


def _unpacked(packed: Mapping[str, Any] | None) -> NDArray[np.float32] | None:
    if packed is None:
        return None
    # A copy: what lies over the bytes of the file could not be written to.
    flat = np.frombuffer(packed["data"], "<f4").astype(np.float32)
    return flat.reshape(packed["shape"])


def _there(array: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if array is None:
        raise ValueError("an array is missing")
    return array
