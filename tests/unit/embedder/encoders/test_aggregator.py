import pytest
import torch

from embedder.encoders.aggregator import MAX_VIDEOS, Aggregator
from tests.data.golden.fill import fill_module


@pytest.fixture(scope="module")
def aggregator():
    return fill_module(Aggregator(heads=16, depth=2), 0).eval().requires_grad_(False)


@pytest.fixture
def videos():
    return torch.randn(3, 6, 512, generator=torch.Generator().manual_seed(5))


IGNORE = torch.tensor([[False] * 4 + [True] * 2, [True, False] * 3, [True] * 6])


@pytest.mark.parametrize("content", [0.0, 1.0, -1e30, torch.inf, -torch.inf, torch.nan])
def test_what_padding_holds_moves_every_output_by_exactly_nothing(aggregator, videos, content):
    before = aggregator(videos, IGNORE)
    after = aggregator(torch.where(IGNORE[..., None], content, videos), IGNORE)
    assert (after - before).abs().max().item() == 0.0


def test_padding_that_is_not_masked_does_move_the_outputs(aggregator, videos):
    changed = torch.where(IGNORE[..., None], 1.0, videos)
    assert (aggregator(changed) - aggregator(videos)).abs().max() > 0.01


def test_masking_the_end_equals_leaving_it_out(aggregator, videos):
    torch.testing.assert_close(
        aggregator(videos, IGNORE)[0], aggregator(videos[:1, :4])[0], rtol=1e-5, atol=1e-6
    )


def test_a_study_of_padding_alone_is_zero_and_spoils_no_other(aggregator, videos):
    found = aggregator(videos, IGNORE)
    assert not found[2].any()
    torch.testing.assert_close(found[:2], aggregator(videos[:2], IGNORE[:2]), rtol=1e-5, atol=1e-5)


def test_order_matters(aggregator, videos):
    assert (aggregator(videos) - aggregator(videos.flip(1))).abs().max() > 0.01


def test_heads_do_not_matter_for_one_video_and_do_for_more(aggregator, videos):
    other = Aggregator(heads=4, depth=2)
    other.load_state_dict(aggregator.state_dict())
    other.eval().requires_grad_(False)
    torch.testing.assert_close(other(videos[:, :1]), aggregator(videos[:, :1]))
    assert (other(videos) - aggregator(videos)).abs().max() > 0.01


def test_as_many_videos_as_positions(aggregator):
    assert aggregator(torch.ones(1, MAX_VIDEOS, 512)).isfinite().all()


def test_training_reaches_every_parameter_through_a_mask(videos):
    model = fill_module(Aggregator(heads=8, depth=1), 0)
    model(videos, IGNORE).square().sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients.values())
