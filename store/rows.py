"""A commit's batch as rows of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.schema import EMBEDDING_DIM, Cine
from store.batch import StudyFacts, StudyFindings, StudyVectors, VideoVectors
from store.tables import SCHEMAS


def videos_to_arrow(cines: Sequence[Cine], commit_id: str) -> pa.Table:
    """Return `cines` as rows of the table `videos`."""
    schema = SCHEMAS["videos"]
    names = [name for name in schema.names if name not in {"commit_id", "view"}]
    columns: dict[str, list[Any]] = {name: [getattr(c, name) for c in cines] for name in names}
    columns["view"] = [cine.view.value for cine in cines]
    columns["commit_id"] = [commit_id] * len(cines)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def studies_to_arrow(studies: Sequence[StudyFacts], commit_id: str) -> pa.Table:
    """Return `studies` as rows of the table `studies`."""
    schema = SCHEMAS["studies"]
    columns: dict[str, list[Any]] = {
        field.name: [getattr(study, field.name) for study in studies]
        for field in fields(StudyFacts)
    }
    columns["commit_id"] = [commit_id] * len(studies)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def video_vectors_to_arrow(vectors: VideoVectors, commit_id: str) -> pa.Table:
    """Return `vectors` as rows of the table `video_vectors`."""
    n = len(vectors.sop_uids)
    arrays = [
        pa.array(vectors.sop_uids, pa.string()),
        pa.array(vectors.study_uids, pa.string()),
        pa.array([commit_id] * n, pa.string()),
        _matrix_to_arrow(vectors.pooled),
        _matrix_to_arrow(vectors.embedding),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMAS["video_vectors"])


def study_vectors_to_arrow(vectors: StudyVectors, commit_id: str) -> pa.Table:
    """Return `vectors` as rows of the table `study_vectors`."""
    n = len(vectors.study_uids)
    arrays = [
        pa.array(vectors.study_uids, pa.string()),
        pa.array([commit_id] * n, pa.string()),
        pa.array(vectors.input_hashes, pa.string()),
        _matrix_to_arrow(vectors.embedding),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMAS["study_vectors"])


def findings_to_arrow(findings: StudyFindings, commit_id: str) -> pa.Table:
    """Return `findings` as rows of the table `findings`."""
    n, d = findings.pooled.shape
    flat = np.ascontiguousarray(findings.pooled).reshape(-1)
    arrays = [
        pa.array(findings.study_uids, pa.string()),
        pa.array([findings.heads_id] * n, pa.string()),
        pa.array([commit_id] * n, pa.string()),
        pa.array(findings.input_hashes, pa.string()),
        pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * d, pa.array(flat)),
        # As "from pandas", NaN becomes null.
        *(pa.array(np.ascontiguousarray(head), from_pandas=True) for head in findings.raw.T),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMAS["findings"])


def _matrix_to_arrow(matrix: NDArray[np.float32]) -> pa.Array:
    flat = np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), EMBEDDING_DIM)
