"""The parts of the compact model: shapes, what may and what may not move their outputs."""

import pytest
import torch

from core.segments import FINDINGS, SEGMENTS
from embedder.encoders.compact.study import CompactAggregator, CompactHeads
from embedder.encoders.compact.text import CompactText
from embedder.encoders.compact.video import QUERIES, CompactVideo, fold_norms

LIMIT_PARAMETERS = 4_600_000


@pytest.fixture(scope="module")
def video():
    torch.manual_seed(0)
    model = CompactVideo()
    with torch.no_grad():
        for _ in range(2):  # statistics of the normalisations that are not those they start with
            model.train()(torch.randn(4, 16, 128, 128))
    return model.eval().requires_grad_(False)


def shuffled(module, seed=1):
    """Give every weight a value: some start at zero."""
    torch.manual_seed(seed)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return module.eval().requires_grad_(False)


def test_all_of_it_is_small(video):
    parts = [video, CompactAggregator(), CompactHeads(), CompactText()]
    assert sum(p.numel() for part in parts for p in part.parameters()) < LIMIT_PARAMETERS


def test_features_have_their_shapes(video):
    found = video(torch.randn(2, 16, 128, 128))
    assert found.tokens.shape == (2, QUERIES, 64)
    assert found.pooled.shape == (2, 512)
    assert found.attention_logits.shape == (2, len(SEGMENTS), 16, 16)
    assert found.lesion_logits.shape == (2, 6, 16, 16)


def test_a_clip_does_not_depend_on_its_batch(video):
    clips = torch.randn(3, 16, 128, 128)
    together, alone = video(clips), video(clips[1:2])
    torch.testing.assert_close(together.pooled[1:2], alone.pooled, atol=1e-5, rtol=1e-5)


def test_every_frame_counts_and_so_does_their_order(video):
    clip = torch.randn(1, 16, 128, 128)
    before = video(clip).pooled
    for frame in range(16):
        changed = clip.clone()
        changed[:, frame, 40:80, 40:80] += 1
        assert (video(changed).pooled - before).abs().max() > 1e-4
    assert (video(clip.flip(1)).pooled - before).abs().max() > 1e-3


def test_every_weight_learns(video):
    torch.manual_seed(2)
    model = CompactVideo()
    found = model(torch.randn(3, 16, 128, 128))
    outputs = [found.pooled, found.attention_logits, found.lesion_logits]
    sum((each * torch.randn_like(each)).sum() for each in outputs).backward()
    # The bias of the second attention moves all cells alike, which a softmax does not see.
    still = {n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0}
    assert still <= {"attend.bias"}


def test_folded_normalisations_change_nothing(video):
    folded = fold_norms(video)
    clips = torch.randn(2, 16, 128, 128)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in video.modules())
    for mine, theirs in zip(folded(clips), video(clips), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-4, rtol=2e-4)


def test_the_untrained_aggregator_is_the_mean_of_normalised_vectors():
    pooled = torch.randn(2, 5, 512)
    expected = torch.nn.functional.layer_norm(pooled, (512,)).mean(dim=1)
    found = CompactAggregator()(pooled, torch.ones(2, 5, dtype=torch.bool))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("part", ["aggregator", "heads"])
def test_padding_and_order_move_nothing(part):
    if part == "aggregator":
        model, videos = shuffled(CompactAggregator()), torch.randn(1, 4, 512)
    else:
        model, videos = shuffled(CompactHeads()), torch.randn(1, 4, 18, 64)
    alone = model(videos, torch.ones(1, 4, dtype=torch.bool))
    padded = torch.cat([videos.flip(1), torch.full_like(videos[:, :2], torch.nan)], dim=1)
    present = torch.tensor([[True] * 4 + [False] * 2])
    torch.testing.assert_close(model(padded, present), alone, atol=1e-5, rtol=1e-4)


def test_every_video_counts_for_the_study():
    for model, videos in (
        (shuffled(CompactAggregator()), torch.randn(1, 3, 512)),
        (shuffled(CompactHeads()), torch.randn(1, 3, 18, 64)),
    ):
        present = torch.ones(1, 3, dtype=torch.bool)
        before = model(videos, present)
        for i in range(3):
            changed = videos.clone()
            changed[:, i] += torch.randn_like(changed[:, i])
            assert (model(changed, present) - before).abs().max() > 1e-3


def test_a_segment_is_read_from_its_own_token():
    model, tokens = shuffled(CompactHeads()), torch.randn(1, 3, 18, 64)
    present = torch.ones(1, 3, dtype=torch.bool)
    before = model(tokens, present)
    assert before.shape == (1, 18, len(FINDINGS))
    tokens[:, :, 7] += 1
    moved = (model(tokens, present) - before).abs().amax(dim=2)[0] > 0
    assert moved.nonzero().flatten().tolist() == [7]


def test_percentages_are_a_hundred_times_as_large_as_logits():
    torch.manual_seed(3)
    raw = CompactHeads()(torch.randn(200, 3, 18, 64), torch.ones(200, 3, dtype=torch.bool))
    spread = raw.std(dim=(0, 1))
    assert 30 < spread[0] / spread[1:].mean() < 300


def texts(model, *phrases):
    return model(CompactText.featurise(phrases))


def test_texts_have_vectors_of_their_own():
    model = shuffled(CompactText())
    found = texts(
        model, "proximal LAD occlusion", "stent in the RCA", "", "PROXIMAL, LAD occlusion!"
    )
    assert found.shape == (4, 512)
    assert torch.isfinite(found).all()
    distances = torch.cdist(found, found)
    assert distances[0, 3] < 1e-4  # case and punctuation say nothing
    assert distances[0, 1] > 1e-2
    assert distances[0, 2] > 1e-2


def test_a_text_does_not_depend_on_those_beside_it():
    model = shuffled(CompactText())
    alone = texts(model, "calcified LAD")
    beside = texts(
        model, "calcified LAD", "severe stenosis of the proximal left anterior descending"
    )
    torch.testing.assert_close(alone, beside[:1], atol=1e-5, rtol=1e-4)


def test_in_training_words_are_told_by_their_letters_now_and_then():
    model = CompactText().train()
    ids = CompactText.featurise(["proximal"])
    torch.manual_seed(4)
    vectors = {tuple(model.embed(ids).flatten().tolist()) for _ in range(80)}
    assert len(vectors) == 2
    assert ids[0, 0, 0] > 0  # what was given is left as it was
    model.eval()
    assert len({tuple(model.embed(ids).flatten().tolist()) for _ in range(80)}) == 1
