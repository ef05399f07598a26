"""What one commit brings: inputs, cines, studies and vectors, checked against each other."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.errors import StoreError
from core.schema import EMBEDDING_DIM, UNIT_NORM_TOLERANCE, Cine
from store.inputs import InputRow
from store.tables import SCHEMAS, space_table


@dataclass(frozen=True)
class StudyFacts:
    """One study as it now is.

    `n_videos` = 0 means that the study has lost all its videos; it is then no longer visible.
    """

    study_uid: str
    patient_id: str
    patient_known: bool
    study_date: dt.date | None
    patient_age_years: float | None
    patient_sex: str | None
    site: str | None
    n_videos: int
    input_hash: str

    @classmethod
    def of(cls, cines: Collection[Cine], *, input_hash: str, site: str | None = None) -> Self:
        """Return the facts of the study that `cines` are, all of it.

        Where cines differ, the first in order that says anything counts; the patient must be one.

        Raises
        ------
        StoreError
            When the cines are of several studies or patients, or there is none.
        """
        ordered = sorted(cines, key=lambda cine: cine.order)
        owners = {(cine.study_uid, cine.patient_id, cine.patient_known) for cine in ordered}
        if len(owners) != 1:
            raise StoreError(f"the cines of one study name {len(owners)} studies or patients")
        first = ordered[0]
        return cls(
            study_uid=first.study_uid,
            patient_id=first.patient_id,
            patient_known=first.patient_known,
            study_date=_first(cine.study_date for cine in ordered),
            patient_age_years=_first(cine.patient_age_years for cine in ordered),
            patient_sex=_first(cine.patient_sex for cine in ordered),
            site=site,
            n_videos=len(ordered),
            input_hash=input_hash,
        )


@dataclass(frozen=True)
class VideoVectors:
    """Vectors of videos in one encoder space.

    Parameters
    ----------
    sop_uids, study_uids : sequence of str
        The videos, and the study of each.
    pooled : array [n, 512], float32
        Before the aggregator.
    embedding : array [n, 512], float32
        In the joint space, L2-normalised.
    """

    sop_uids: Sequence[str]
    study_uids: Sequence[str]
    pooled: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class StudyVectors:
    """Vectors of studies in one encoder space.

    Parameters
    ----------
    study_uids : sequence of str
        The studies.
    input_hashes : sequence of str
        What each was embedded from; a study shows its vector only while this is its current one.
    embedding : array [n, 512], float32
        In the joint space, L2-normalised.
    """

    study_uids: Sequence[str]
    input_hashes: Sequence[str]
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class CommitBatch:
    """Everything that becomes visible at once.

    Parameters
    ----------
    inputs : sequence of InputRow
        New states of inputs.
    cines : sequence of Cine
        All videos of every study in `studies`, with the identifiers of the store.
    studies : sequence of StudyFacts
        The studies that are new or changed.
    encoder_id : str or None
        The space of the vectors; None when there are none.
    video_vectors, study_vectors
        Of whole studies.  Studies whose facts did not change may come with vectors alone, as when
        another encoder is run over the store.
    """

    inputs: Sequence[InputRow] = ()
    cines: Sequence[Cine] = ()
    studies: Sequence[StudyFacts] = ()
    encoder_id: str | None = None
    video_vectors: VideoVectors | None = None
    study_vectors: StudyVectors | None = None

    def check(self) -> None:
        """Refuse a batch that contradicts itself.

        Raises
        ------
        StoreError
            When a key occurs twice, a study's videos are not all there, vectors have the wrong
            shape, are not finite or not normalised, or lack an encoder.
        """
        _unique("input", [row.uri for row in self.inputs])
        _unique("video", [cine.sop_uid for cine in self.cines])
        _unique("study", [study.study_uid for study in self.studies])
        self._check_facts()
        if self.video_vectors is None and self.study_vectors is None:
            if not (self.inputs or self.studies):
                raise StoreError("there is nothing in this batch to commit")
            return
        if self.encoder_id is None or self.video_vectors is None or self.study_vectors is None:
            raise StoreError("vectors come for videos and studies together, with an encoder_id")
        space_table(self.encoder_id, "video_vectors")  # refuses what cannot name a space
        self._check_vectors(self.video_vectors, self.study_vectors)

    def _check_facts(self) -> None:
        offered = Counter((cine.study_uid, cine.patient_id) for cine in self.cines)
        claimed = Counter(
            {(study.study_uid, study.patient_id): study.n_videos for study in self.studies}
        )
        if +offered != +claimed:
            raise StoreError(
                f"{len(self.cines)} cines do not make up the {len(self.studies)} studies they come "
                "with: n_videos or the patient differs, or a study is missing"
            )

    def _check_vectors(self, videos: VideoVectors, studies: StudyVectors) -> None:
        _unique("video vector", videos.sop_uids)
        _unique("study vector", studies.study_uids)
        n, m = len(videos.sop_uids), len(studies.study_uids)
        if len(videos.study_uids) != n or len(studies.input_hashes) != m:
            raise StoreError("the columns of the vectors have different lengths")
        _check_matrix("pooled video vectors", videos.pooled, n)
        _check_matrix("video embeddings", videos.embedding, n, normalised=True)
        _check_matrix("study embeddings", studies.embedding, m, normalised=True)
        if set(videos.study_uids) != set(studies.study_uids):
            raise StoreError("video vectors and study vectors are not of the same studies")
        hashes = dict(zip(studies.study_uids, studies.input_hashes, strict=True))
        counts = Counter(videos.study_uids)
        for study in self.studies:
            has = counts.get(study.study_uid)
            if has is None:
                continue
            if has != study.n_videos or hashes[study.study_uid] != study.input_hash:
                raise StoreError(
                    f"study {study.study_uid} has {study.n_videos} videos and {has} video vectors, "
                    "or its vector was made from other inputs"
                )


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


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _unique(what: str, keys: Sequence[str]) -> None:
    if len(set(keys)) != len(keys):
        twice = next(key for key, n in Counter(keys).items() if n > 1)
        raise StoreError(f"the {what} {twice} occurs twice in one batch")


def _check_matrix(
    what: str, matrix: NDArray[np.float32], n: int, *, normalised: bool = False
) -> None:
    if matrix.shape != (n, EMBEDDING_DIM) or matrix.dtype != np.float32:
        raise StoreError(
            f"{what} are {matrix.dtype} {list(matrix.shape)}; expected float32 "
            f"[{n}, {EMBEDDING_DIM}]"
        )
    if not np.isfinite(matrix).all():
        raise StoreError(f"{what} hold NaN or infinity")
    if normalised and n:
        off = float(np.abs(np.linalg.norm(matrix, axis=1) - 1).max())
        if off > UNIT_NORM_TOLERANCE:
            raise StoreError(f"{what} are not L2-normalised: a length is off by {off:.3g}")


def _matrix_to_arrow(matrix: NDArray[np.float32]) -> pa.Array:
    flat = np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), EMBEDDING_DIM)
