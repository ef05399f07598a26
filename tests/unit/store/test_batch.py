"""What a commit refuses, and how facts of a study are put together."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pytest

from core.errors import StoreError
from store.batch import CommitBatch, StudyFacts
from store.inputs import input_hash
from tests.support.store_cases import batch, cine, vectors

GOOD = batch({"P1.a": ["1", "2"], "P2.a": ["3"]})
assert GOOD.video_vectors is not None
assert GOOD.study_vectors is not None
assert GOOD.findings is not None
VIDEOS, STUDIES, FINDINGS = GOOD.video_vectors, GOOD.study_vectors, GOOD.findings


def with_videos(**changes):
    return dataclasses.replace(GOOD, video_vectors=dataclasses.replace(VIDEOS, **changes))


def with_studies(**changes):
    return dataclasses.replace(GOOD, study_vectors=dataclasses.replace(STUDIES, **changes))


def with_findings(**changes):
    return dataclasses.replace(GOOD, findings=dataclasses.replace(FINDINGS, **changes))


def with_raw(value):
    """Put `value` at a head that the set has, for the second study alone."""
    raw = FINDINGS.raw.copy()
    raw[1, 0] = value
    return with_findings(raw=raw)


NAN = vectors("a", "b", "c")
NAN[1, 7] = np.nan

REFUSED = {
    "cine twice": (dataclasses.replace(GOOD, cines=[*GOOD.cines, GOOD.cines[0]]), "video 1 occurs"),
    "input twice": (
        dataclasses.replace(GOOD, inputs=[GOOD.inputs[0]] * 2),
        "input /archive/1.dcm occurs twice",
    ),
    "study twice": (
        dataclasses.replace(GOOD, studies=[*GOOD.studies, GOOD.studies[0]]),
        "study P1.a occurs twice",
    ),
    "a cine is missing": (
        dataclasses.replace(GOOD, cines=GOOD.cines[1:]),
        "2 cines do not make up the 2 studies",
    ),
    "a study is missing": (
        dataclasses.replace(GOOD, studies=GOOD.studies[1:]),
        "3 cines do not make up the 1 studies",
    ),
    "another patient": (
        dataclasses.replace(
            GOOD, cines=[dataclasses.replace(GOOD.cines[0], patient_id="X"), *GOOD.cines[1:]]
        ),
        "do not make up",
    ),
    "no encoder": (dataclasses.replace(GOOD, encoder_id=None), "with an encoder_id"),
    "videos alone": (dataclasses.replace(GOOD, study_vectors=None), "videos and studies together"),
    "encoder name": (dataclasses.replace(GOOD, encoder_id="a/b"), "cannot name an encoder space"),
    "a vector too few": (
        with_videos(embedding=vectors("a", "b")),
        r"video embeddings are float32 \[2, 512\]; expected float32 \[3, 512\]",
    ),
    "float64": (with_videos(pooled=NAN.astype(np.float64)), "pooled video vectors are float64"),
    "NaN": (with_videos(pooled=NAN), "pooled video vectors hold NaN"),
    "not normalised": (
        with_videos(embedding=vectors("a", "b", "c") * np.float32(1.01)),
        "not L2-normalised: a length is off by 0.01",
    ),
    "zero": (
        with_studies(embedding=np.zeros((2, 512), np.float32)),
        "study embeddings are not L2-normalised",
    ),
    "column lengths": (with_videos(study_uids=["P1.a"]), "different lengths"),
    "other studies": (
        with_videos(study_uids=["P1.a", "P1.a", "P3.a"]),
        "not of the same studies",
    ),
    "a video vector too few": (
        with_videos(study_uids=["P1.a", "P2.a", "P2.a"]),
        "study P1.a has 2 videos and 1 video vectors",
    ),
    "other inputs": (with_studies(input_hashes=["0", "1"]), "made from other inputs"),
    "findings alone": (
        CommitBatch(findings=FINDINGS, encoder_id="enc-a"),
        "findings come together with the vectors",
    ),
    "heads name": (with_findings(heads_id="a b"), "'a b' cannot name a set of finding heads"),
    "findings twice": (
        with_findings(study_uids=["P1.a", "P1.a"]),
        "study with findings P1.a occurs twice",
    ),
    "findings of other studies": (
        with_findings(study_uids=["P1.a", "P3.a"]),
        "findings and study vectors are not of the same studies and inputs",
    ),
    "findings of other inputs": (
        with_findings(input_hashes=FINDINGS.input_hashes[::-1]),
        "not of the same studies and inputs",
    ),
    "findings columns": (with_findings(input_hashes=["0"]), "findings have different lengths"),
    "a head too few": (
        with_findings(raw=FINDINGS.raw[:, 1:]),
        r"findings are float32 \[2, 89\]; expected float32 \[2, 90\]",
    ),
    "findings float64": (
        with_findings(raw=FINDINGS.raw.astype(np.float64)),
        "findings are float64",
    ),
    "infinite finding": (with_raw(-np.inf), "hold infinity"),
    "a finding is missing": (
        with_raw(np.nan),
        "the head prox_rca_stenosis has no value for 1 of 2 studies",
    ),
    "no findings at all": (
        with_findings(raw=np.full_like(FINDINGS.raw, np.nan)),
        "no head has a value",
    ),
    "findings vectors": (
        with_findings(pooled=FINDINGS.pooled[0]),
        r"pooled study vectors are float32 \[8\]; expected float32 \[2, d\]",
    ),
    "findings vectors of nothing": (with_findings(pooled=FINDINGS.pooled[:, :0]), r"\[2, 0\]"),
    "findings vectors NaN": (with_findings(pooled=NAN[:2]), "or the vectors NaN"),
    "nothing": (CommitBatch(), "nothing in this batch"),
}


@pytest.mark.parametrize(("bad", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_contradictions_are_refused(bad, words):
    with pytest.raises(StoreError, match=words):
        bad.check()


def test_good_batches_pass():
    GOOD.check()
    batch({"P1.a": []}).check()
    batch({"P1.a": ["1"]}, facts=False).check()
    batch({"P1.a": ["1"]}, heads_id=None).check()
    # The studies may come in another order than their vectors.
    with_findings(
        study_uids=FINDINGS.study_uids[::-1], input_hashes=FINDINGS.input_hashes[::-1]
    ).check()
    CommitBatch(inputs=GOOD.inputs).check()


def test_the_input_hash_is_of_a_set():
    videos = [("1", "a"), ("2", "b")]
    assert input_hash(videos) == input_hash(videos[::-1]) == input_hash(videos * 2)
    others = [[("1", "b"), ("2", "a")], videos[:1], [], [("1", "a2"), ("", "b")]]
    assert len({input_hash(videos), *map(input_hash, others)}) == 5


def test_study_facts_take_the_first_that_says_anything():
    first = dataclasses.replace(
        cine("1", "S"), series_time="09", patient_sex=None, study_date=dt.date(2020, 1, 1)
    )
    second = dataclasses.replace(cine("2", "S"), series_time="10", study_date=dt.date(2022, 1, 1))
    facts = StudyFacts.of([second, first], input_hash="h", site="B")
    assert facts == StudyFacts("S", "S", True, dt.date(2020, 1, 1), 61.0, "F", "B", 2, "h")
    with pytest.raises(StoreError, match="name 2 studies or patients"):
        StudyFacts.of([first, cine("3", "T")], input_hash="h")
    with pytest.raises(StoreError, match="name 0 studies"):
        StudyFacts.of([], input_hash="h")
