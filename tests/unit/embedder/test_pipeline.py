import time

import numpy as np
import pytest

from core.outcomes import Code, InputRefused
from embedder.frames import Clip
from embedder.pipeline import embed_studies
from embedder.work import CineToRead, StudyToEmbed
from tests.support.cines import make_cine
from tests.support.tiny import TinyEncoder


def clip_of(cine):
    seed = int(cine.sop_uid.replace(".", ""))
    frames = np.random.default_rng(seed).integers(0, 256, (16, 32, 32), np.uint8)
    return Clip(frames=frames, sha256=f"sha-{cine.sop_uid}", size=1, mtime_ns=2, contrast=3.0)


def read(cines):
    """Read every cine, but refuse those whose instance number is 13; two ahead of the consumer."""
    waiting = []
    for key, wanted in cines:
        bad = wanted.cine.instance_number == 13
        waiting.append((key, InputRefused(Code.DECODE_FAILED) if bad else clip_of(wanted.cine)))
        if len(waiting) > 2:
            yield waiting.pop(0)
    yield from waiting


def studies(sizes, bad=()):
    made, number = [], 0
    for study, size in enumerate(sizes):
        members = []
        for _ in range(size):
            number += 1
            instance = 13 if number in bad else number + 100
            members.append(make_cine(f"1.{number}", f"2.{study}", instance_number=instance))
        made.append(StudyToEmbed(f"2.{study}", tuple(CineToRead(cine, 1, 2) for cine in members)))
    return made


def run(sizes, *, bad=(), batch_size=4):
    return list(
        embed_studies(studies(sizes, bad), encoder=TinyEncoder(), read=read, batch_size=batch_size)
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_each_study_gets_its_own_vectors_whatever_the_batch(batch_size):
    encoder = TinyEncoder()
    done = run([1, 3, 2, 5], batch_size=batch_size)
    assert [study.study_uid for study in done] == ["2.0", "2.1", "2.2", "2.3"]
    for study, offered in zip(done, studies([1, 3, 2, 5]), strict=True):
        cines = tuple(wanted.cine for wanted in offered.cines)
        alone = encoder.encode_videos([clip_of(cine).frames for cine in cines])
        assert study.cines == cines
        np.testing.assert_array_equal(study.videos.embedding, alone.embedding)
        np.testing.assert_array_equal(study.embedding, encoder.encode_study(alone))
        assert study.sha256 == tuple(f"sha-{cine.sop_uid}" for cine in cines)


def test_a_cine_that_cannot_be_decoded_leaves_its_study_with_the_others():
    first, second, third = run([3, 2, 1], bad={2, 6})
    assert [cine.sop_uid for cine in first.cines] == ["1.1", "1.3"]
    assert [(cine.sop_uid, why.reason) for cine, why in first.refused] == [
        ("1.2", Code.DECODE_FAILED)
    ]
    assert second.refused == ()
    assert third.cines == ()
    assert third.embedding is None
    assert third.videos.embedding.shape == (0, 512)


def test_a_clip_does_not_wait_for_others_that_never_come():
    """A disk that goes away after the first cine is noticed after a few, not at the end."""
    drawn = []

    def stream():
        for study in studies([1] * 100, bad=range(2, 101)):
            drawn.append(study)
            yield study

    flow = embed_studies(stream(), encoder=TinyEncoder(), read=read, batch_size=4)
    assert len(next(flow).cines) == 1
    assert next(flow).refused
    assert len(drawn) < 20
    flow.close()


def test_studies_come_out_before_the_input_is_exhausted():
    """Memory is bounded: what is yielded lags what is read by a batch and the read-ahead."""
    drawn = []

    def stream():
        for study in studies([2] * 50):
            drawn.append(study)
            yield study

    flow = embed_studies(stream(), encoder=TinyEncoder(), read=read, batch_size=4)
    next(flow)
    time.sleep(0.3)
    # Cines: a batch, as many waiting, one in the thread's hand, three with the reader; and a study.
    assert len(drawn) <= (4 + 4 + 1 + 3) / 2 + 1
    flow.close()
