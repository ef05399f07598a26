import numpy as np
import pytest
import torch

from core.errors import UsageError
from embedder.encoders.deepcoro import DeepCoroEncoder
from embedder.encoders.precision import full_precision, has_bf16
from embedder.encoders.spec import FULL, LEAST_COSINE, Encoder, VideoVectors
from embedder.preprocess import preprocess
from embedder.sampling import ClipRule
from tests.support.golden import (
    golden_arrays,
    golden_model,
    golden_spec,
    random_clips,
    relative_l2,
    unit,
)


def encoder(**changes) -> DeepCoroEncoder:
    return DeepCoroEncoder(golden_spec(**changes), golden_model())


@pytest.fixture(scope="module")
def clips():
    return random_clips((64, 64), (40, 90))


@pytest.fixture(scope="module")
def vectors(clips):
    return encoder().encode_videos(clips)


@pytest.fixture
def golden_videos():
    """The golden study as an encoder would return it."""
    arrays = golden_arrays()
    return VideoVectors(
        pooled=arrays["video/per_video_pooled"],
        embedding=unit(arrays["video/joint_N1_heads16_depth1"]),
    )


def rows(videos, *which):
    return VideoVectors(pooled=videos.pooled[list(which)], embedding=videos.embedding[list(which)])


def test_it_is_an_encoder():
    made = encoder(profile="original")
    assert isinstance(made, Encoder)
    assert made.encoder_id == made.spec.encoder_id
    assert (made.frames, made.clip_rule) == (16, ClipRule("original"))


def test_videos_are_preprocessed_pooled_and_normalised(clips, vectors):
    """Also what a GPU does with a batch, on the CPU: the model itself keeps clips apart."""
    spec = golden_spec()
    batch = [preprocess(torch.from_numpy(c), size=224, mean=spec.mean, std=spec.std) for c in clips]
    with torch.inference_mode():
        pooled = golden_model().pooled_videos(torch.stack(batch))
        joint = golden_model().aggregator(pooled[:, None])
    assert vectors.pooled.dtype == vectors.embedding.dtype == np.float32
    for row in range(2):
        assert relative_l2(vectors.pooled[row], pooled[row]) < 1e-6
        assert relative_l2(vectors.embedding[row], unit(joint[row].numpy())) < 1e-6
    np.testing.assert_allclose(np.linalg.norm(vectors.embedding, axis=1), 1, rtol=1e-6)


def test_a_row_depends_neither_on_the_batch_nor_on_the_layout(clips, vectors):
    """Alone, as RGB, read-only and with strides of zero: bit for bit the row it was in company."""
    colour = np.broadcast_to(clips[1][..., None], (*clips[1].shape, 3))
    found = encoder().encode_videos([colour])
    np.testing.assert_array_equal(found.pooled[0], vectors.pooled[1])
    np.testing.assert_array_equal(found.embedding[0], vectors.embedding[1])


@pytest.mark.skipif(not has_bf16(), reason="slow where this CPU only imitates bf16")
def test_in_bf16_a_row_is_close_to_float32_and_says_how_close(clips, vectors):
    made = DeepCoroEncoder(golden_spec(), golden_model(), precision="bf16")
    found = made.encode_videos(clips[:1])
    assert found.embedding.dtype == np.float32
    assert not np.array_equal(found.embedding[0], vectors.embedding[0])
    assert found.embedding[0] @ vectors.embedding[0] >= LEAST_COSINE
    assert made.precision.name == "bf16"
    assert LEAST_COSINE <= made.precision.cosine < 1
    assert encoder().precision == FULL


def test_no_clips_no_rows():
    found = encoder().encode_videos([])
    assert found.pooled.shape == found.embedding.shape == (0, 512)


@pytest.mark.parametrize(
    "clip",
    [
        np.zeros((15, 8, 8), np.uint8),
        np.zeros((16, 8, 8, 4), np.uint8),
        np.zeros((16, 8), np.uint8),
        np.zeros((16, 0, 8), np.uint8),
    ],
    ids=["frames", "channels", "flat", "empty"],
)
def test_what_is_no_clip_is_refused_before_anything_is_computed(clip):
    with pytest.raises(UsageError, match=r"expected uint8 of \(16, rows, columns\)"):
        encoder().encode_videos([clip])


@pytest.mark.parametrize("heads", [16, 8, 4])
def test_rule_aggregator_is_the_aggregator_in_order(golden_videos, heads):
    from embedder.encoders.video_encoder import VideoEncoder

    model = VideoEncoder(heads=heads, depth=1)
    model.load_state_dict(golden_model().state_dict())
    found = DeepCoroEncoder(golden_spec(heads=heads), model).encode_study(golden_videos)
    assert found.shape == (512,)
    assert found.dtype == np.float32
    expected = golden_arrays()[f"video/study_N3_heads{heads}_depth1"]
    assert relative_l2(found, unit(expected)) <= 1e-5


def test_rule_aggregator_depends_on_the_order(golden_videos):
    made = encoder()
    turned = made.encode_study(rows(golden_videos, 2, 1, 0))
    assert relative_l2(turned, made.encode_study(golden_videos)) > 1e-3


def test_rule_mean_is_the_normalised_mean_of_the_embeddings(golden_videos):
    found = encoder(study_rule="mean").encode_study(golden_videos)
    np.testing.assert_allclose(
        found, unit(golden_videos.embedding.mean(axis=0)), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("rule", ["aggregator", "mean"])
def test_a_study_of_one_video_is_that_video(golden_videos, rule):
    found = encoder(study_rule=rule).encode_study(rows(golden_videos, 1))
    assert relative_l2(found, golden_videos.embedding[1]) <= 1e-5


def test_unmasked_padding_reproduces_the_original(golden_videos):
    made = encoder(padding="unmasked", padded_videos=4)
    expected = golden_arrays()["video/study_3real_1zero_nomask"]
    assert relative_l2(made.encode_study(golden_videos), unit(expected)) <= 1e-5


def test_unmasked_padding_drops_what_is_beyond_it(golden_videos):
    two = encoder(padding="unmasked", padded_videos=2)
    np.testing.assert_array_equal(
        two.encode_study(golden_videos), two.encode_study(rows(golden_videos, 0, 1))
    )
    assert relative_l2(
        two.encode_study(golden_videos), encoder().encode_study(rows(golden_videos, 0, 1))
    ) < 1e-6  # fmt: skip


@pytest.mark.parametrize("rule", ["aggregator", "mean"])
def test_a_study_without_videos_is_refused(rule):
    nothing = VideoVectors(np.empty((0, 512), np.float32), np.empty((0, 512), np.float32))
    with pytest.raises(UsageError, match="a study without videos has no vector"):
        encoder(study_rule=rule).encode_study(nothing)


def test_more_videos_than_positions():
    many = VideoVectors(np.ones((1025, 512), np.float32), np.ones((1025, 512), np.float32))
    with pytest.raises(UsageError, match="a study of 1025 videos: the aggregator has 1024"):
        encoder().encode_study(many)
    assert encoder(padding="unmasked", padded_videos=2).encode_study(many).shape == (512,)


def test_full_precision_puts_the_switches_back():
    before = (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision())
    torch.set_float32_matmul_precision("medium")
    try:
        with full_precision():
            assert not torch.backends.cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.is_inference_mode_enabled()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before[1])
    assert torch.backends.cudnn.allow_tf32 == before[0]
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    "how", [{}, {"study_rule": "mean"}, {"padding": "unmasked", "padded_videos": 2}]
)
def test_several_studies_at_once_are_what_each_is_alone(golden_videos, how):
    made = encoder(**how)
    studies = [rows(golden_videos, *which) for which in ((0, 1, 2), (1,), (2, 0), (2, 1, 0))]
    found = made.encode_studies(studies)
    for row, study in zip(found, studies, strict=True):
        assert relative_l2(row, made.encode_study(study)) <= 1e-5
    assert made.encode_studies([]).shape == (0, 512)
    with pytest.raises(UsageError, match="without videos has no vector"):
        made.encode_studies([studies[0], rows(golden_videos)])
