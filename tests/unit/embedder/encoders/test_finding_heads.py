from itertools import product
from typing import get_args

import pytest
import torch

from core.errors import EncoderError
from embedder.encoders.deepcoro_spec import HeadsNorm, HeadsPooling
from embedder.encoders.finding_heads import FindingHeads
from tests.data.golden.fill import fill_module

POOLINGS = get_args(HeadsPooling)
LEARNED = [pooling for pooling in POOLINGS if "cls_token" in pooling]
VARIANTS = [
    *((pooling, True, "post_norm") for pooling in POOLINGS if pooling not in LEARNED),
    *product(LEARNED, (True, False), get_args(HeadsNorm)),
]
VALID = torch.tensor([[True] * 3 + [False], [True, False, True, True]])
VIEWS = torch.tensor([[0, 1, 2, 3], [2, 3, 0, 1]])


def make(pooling, separate=True, norm="post_norm", **changes):
    facts = {"heads": {"a": 1, "b": 3}, "hidden": 16, "attention_heads": 8, "view_classes": 3}
    model = FindingHeads(pooling=pooling, separate=separate, norm=norm, **{**facts, **changes})
    return fill_module(model, 0).eval().requires_grad_(False)


@pytest.fixture
def tokens():
    return torch.randn(2, 4, 6, 512, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("pooling", "separate", "norm"), VARIANTS)
def test_the_two_steps_video_by_video_are_the_whole(tokens, pooling, separate, norm):
    model = make(pooling, separate, norm)
    summaries = torch.stack(
        [
            torch.cat([model.within(tokens[i, j : j + 1], VIEWS[i, j : j + 1]) for j in range(4)])
            for i in range(2)
        ]
    )
    assert summaries.shape == (2, 4, model.parts, 512)
    pooled = model.across(summaries, VALID)
    assert pooled.shape == (2, model.pooled_dim)
    found = model.classify(pooled)
    assert found.shape == (2, 4)
    torch.testing.assert_close(found, model(tokens, VALID, VIEWS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("content", [0.0, 1.0, -1e30, torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize(("pooling", "separate", "norm"), VARIANTS)
def test_what_padding_holds_moves_nothing(tokens, pooling, separate, norm, content):
    model = make(pooling, separate, norm)
    for x in (tokens, tokens[:, :, 0]):
        valid = VALID.reshape(2, 4, *[1] * (x.ndim - 2))
        after = model(torch.where(valid, x, content), VALID)
        torch.testing.assert_close(after, model(x, VALID), rtol=0, atol=0)


@pytest.mark.parametrize(("pooling", "separate", "norm"), VARIANTS)
def test_masking_equals_leaving_out(tokens, pooling, separate, norm):
    model = make(pooling, separate, norm)
    found = model(tokens, VALID)
    torch.testing.assert_close(found[:1], model(tokens[:1, :3]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1:], model(tokens[1:, [0, 2, 3]]), rtol=1e-4, atol=1e-5)
    assert (found - model(tokens)).abs().max() > 1e-3


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_order_of_videos_does_not_matter(tokens, pooling):
    model = make(pooling)
    flipped = model(tokens.flip(1), VALID.flip(1), VIEWS.flip(1))
    torch.testing.assert_close(flipped, model(tokens, VALID, VIEWS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_views_count_where_they_are_given_and_known(tokens, pooling):
    model = make(pooling)
    assert (model(tokens, VALID, VIEWS) - model(tokens, VALID)).abs().max() > 1e-3
    without = make(pooling, view_classes=0)
    assert torch.equal(without(tokens, VALID, VIEWS), without(tokens, VALID))
    assert torch.equal(without(tokens, VALID), model(tokens, VALID))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_without_any_valid_video_all_is_zero(tokens, pooling):
    model = make(pooling)
    nothing = torch.zeros_like(VALID)
    assert not model(tokens, nothing).any()
    summaries = model.within(tokens.flatten(0, 1)).reshape(2, 4, model.parts, 512)
    assert not model.across(summaries, nothing).any()


@pytest.mark.parametrize("pooling", LEARNED)
def test_attention_heads_and_norm_and_separation_each_matter(tokens, pooling):
    base = make(pooling)
    assert (make(pooling, attention_heads=4)(tokens) - base(tokens)).abs().max() > 1e-3
    assert (make(pooling, norm="pre_norm")(tokens) - base(tokens)).abs().max() > 1e-3
    assert (make(pooling, separate=False)(tokens) - base(tokens)).abs().max() > 1e-3


def tensors_of(pooling, **changes):
    keys = make(pooling, **changes).state_dict()
    return {key.split(".")[0] for key in keys} - {"heads"}


GATED = {"attention_V", "attention_U", "attention_w"}
WITHIN = {"cls_attention_within", "cls_norm_within"}
ACROSS = {"cls_attention_across", "cls_norm_across"}


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", set()),
        ("max", set()),
        ("attention", GATED),
        ("cls_token", {"cls_token"} | WITHIN | ACROSS),
        ("mean+cls_token", {"cls_token"} | ACROSS),
        ("attention+cls_token", {"cls_token"} | GATED | WITHIN | ACROSS),
    ],
)
def test_only_what_a_pooling_needs_exists(pooling, expected):
    assert tensors_of(pooling, view_classes=0) == expected
    assert tensors_of(pooling) == expected | {"view_embedding"}
    if "cls_token" in pooling:
        shared = (expected - WITHIN - ACROSS) | {"cls_attention", "cls_norm"}
        assert tensors_of(pooling, separate=False, view_classes=0) == shared


def test_outputs_are_in_the_order_of_the_heads(tokens):
    model = make("mean")
    other = make("mean", heads={"b": 3, "a": 1})
    found = model(tokens)
    assert torch.equal(other(tokens), torch.cat([found[:, 1:], found[:, :1]], dim=1))


@pytest.mark.parametrize("name", ["a.b", "", "keys", "type", "x" * 200 + "."])
def test_a_name_that_no_head_can_have(name):
    with pytest.raises(EncoderError, match="no finding head can be named") as caught:
        make("mean", heads={name: 1})
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("pooling", POOLINGS)
def test_training_reaches_every_parameter_through_a_mask(tokens, pooling):
    model = make(pooling).requires_grad_(True)
    model(tokens, VALID, VIEWS).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    idle = {name for name, p in model.named_parameters() if not p.grad.any()}
    # A softmax does not see what is added to all of its scores.
    assert idle <= {"attention_w.bias"}
