"""What one commit brings: inputs, cines, studies, vectors, findings, checked against each other."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import StoreError
from core.schema import EMBEDDING_DIM, UNIT_NORM_TOLERANCE, Cine
from core.segments import HEADS
from store.inputs import InputRow
from store.tables import check_id, space_table


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
class StudyFindings:
    """What one set of finding heads says of studies, in the space of the encoder it came with.

    Parameters
    ----------
    heads_id : str
        Names the set of heads.
    study_uids : sequence of str
        The studies.
    input_hashes : sequence of str
        What each was computed from; a study shows its findings only while this is its current one.
    raw : array [n, 90], float32
        Raw outputs in the order of `core.segments.HEADS`: percent diameter stenosis, or a logit.
        A column of NaN is a head that this set does not have.
    pooled : array [n, d], float32
        The vectors that the heads read.
    """

    heads_id: str
    study_uids: Sequence[str]
    input_hashes: Sequence[str]
    raw: NDArray[np.float32]
    pooled: NDArray[np.float32]


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
    findings : StudyFindings or None
        Of exactly the studies in `study_vectors`, made in the same pass from the same inputs.
    """

    inputs: Sequence[InputRow] = ()
    cines: Sequence[Cine] = ()
    studies: Sequence[StudyFacts] = ()
    encoder_id: str | None = None
    video_vectors: VideoVectors | None = None
    study_vectors: StudyVectors | None = None
    findings: StudyFindings | None = None

    def check(self) -> None:
        """Refuse a batch that contradicts itself.

        Raises
        ------
        StoreError
            When a key occurs twice, a study's videos are not all there, vectors or findings have
            the wrong shape, are not finite or not normalised, or lack an encoder.
        """
        _unique("input", [row.uri for row in self.inputs])
        _unique("video", [cine.sop_uid for cine in self.cines])
        _unique("study", [study.study_uid for study in self.studies])
        self._check_facts()
        if self.video_vectors is None and self.study_vectors is None:
            if self.findings is not None:
                raise StoreError("findings come together with the vectors of their studies")
            if not (self.inputs or self.studies):
                raise StoreError("there is nothing in this batch to commit")
            return
        if self.encoder_id is None or self.video_vectors is None or self.study_vectors is None:
            raise StoreError("vectors come for videos and studies together, with an encoder_id")
        space_table(self.encoder_id, "video_vectors")  # refuses what cannot name a space
        self._check_vectors(self.video_vectors, self.study_vectors)
        if self.findings is not None:
            _check_findings(self.findings, self.study_vectors)

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


def _check_findings(findings: StudyFindings, vectors: StudyVectors) -> None:
    check_id("a set of finding heads", findings.heads_id)
    _unique("study with findings", findings.study_uids)
    n = len(findings.study_uids)
    if len(findings.input_hashes) != n:
        raise StoreError("the columns of the findings have different lengths")
    made_from = set(zip(findings.study_uids, findings.input_hashes, strict=True))
    if made_from != set(zip(vectors.study_uids, vectors.input_hashes, strict=True)):
        raise StoreError("findings and study vectors are not of the same studies and inputs")
    raw, pooled = findings.raw, findings.pooled
    if raw.shape != (n, len(HEADS)) or raw.dtype != np.float32:
        raise StoreError(
            f"findings are {raw.dtype} {list(raw.shape)}; expected float32 [{n}, {len(HEADS)}]"
        )
    if pooled.ndim != 2 or len(pooled) != n or not pooled.shape[1] or pooled.dtype != np.float32:
        raise StoreError(
            f"pooled study vectors are {pooled.dtype} {list(pooled.shape)}; expected float32 "
            f"[{n}, d]"
        )
    if not np.isfinite(pooled).all() or np.isinf(raw).any():
        raise StoreError("findings or their pooled vectors hold infinity, or the vectors NaN")
    # NaN says that there is no such head, which holds for all studies or for none.
    missing = np.isnan(raw).sum(axis=0)
    for head in np.flatnonzero((missing > 0) & (missing < n)):
        raise StoreError(f"the head {HEADS[head]} has no value for {missing[head]} of {n} studies")
    if n and (missing == n).all():
        raise StoreError("no head has a value in these findings")
