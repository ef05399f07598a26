import itertools

import pytest
import torch

from embedder.encoders.mvit import BlockShape, MViT, pool_skip
from embedder.encoders.mvit_attention import (
    HEAD_DIM,
    PooledAttention,
    attend,
    one_hot_positions,
    pooled_grid,
    relative_index,
)
from embedder.encoders.video_encoder import VideoEncoder
from tests.data.golden.fill import fill_module
from tests.support.golden import golden_shapes


@pytest.mark.parametrize(("n_q", "n_k"), [(8, 8), (56, 7), (28, 14), (7, 14), (14, 7), (14, 14)])
def test_relative_index_is_the_formula(n_q, n_k):
    found = relative_index(n_q, n_k)
    for i, j in itertools.product(range(n_q), range(n_k)):
        exact = i * max(n_k / n_q, 1) - (j + 1 - n_k) * max(n_q / n_k, 1)
        assert found[i, j] == int(exact)
    assert found.min() == 0
    assert found.max() <= 2 * max(n_q, n_k) - 2


def test_one_hot_positions_marks_each_axis_and_leaves_the_class_token_out():
    found = one_hot_positions((2, 3, 2))
    assert found.shape == (13, 7)
    assert found[0].sum() == 0
    assert found[1 + 1 * 6 + 2 * 2 + 1].tolist() == [0, 1, 0, 0, 1, 0, 1]
    assert torch.equal(found[1:].sum(dim=1), torch.full((12,), 3.0))


@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (1, 4, 4), (1, 8, 8)])
def test_pooled_grid_is_what_the_convolution_leaves(stride):
    conv = torch.nn.Conv3d(1, 1, 3, stride=stride, padding=1)
    assert pooled_grid((3, 14, 11), stride) == tuple(conv(torch.zeros(1, 1, 3, 14, 11)).shape[2:])


def test_folded_positions_equal_a_bias_on_the_scores():
    q, k, v = torch.randn(3, 2, 4, 9, HEAD_DIM, generator=torch.Generator().manual_seed(0))
    positions, places = torch.randn(2, 4, 9, 5), torch.randn(9, 5)
    scores = q @ k.transpose(2, 3) / HEAD_DIM**0.5 + positions @ places.T
    torch.testing.assert_close(attend(q, k, v, positions, places), scores.softmax(dim=-1) @ v)


def test_attention_equals_the_specification_pair_by_pair():
    """Nothing fused, nothing folded: one loop over queries and keys, in float64."""
    attention = PooledAttention(96, 192, grid=(2, 4, 4), stride_q=(1, 2, 2), stride_kv=(1, 1, 1))
    fill_module(attention, 3).double().eval()
    x = torch.randn(1, 33, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    qkv = attention.qkv(x).reshape(1, 33, 3, 2, 96)
    q = attention.pool_q(qkv[:, :, 0].transpose(1, 2), (2, 4, 4))
    k = attention.pool_k(qkv[:, :, 1].transpose(1, 2), (2, 4, 4))
    v = attention.pool_v(qkv[:, :, 2].transpose(1, 2), (2, 4, 4))
    scores = (q * 96**-0.5) @ k.transpose(2, 3)
    places_q = list(itertools.product(range(2), range(2), range(2)))
    places_k = list(itertools.product(range(2), range(4), range(4)))
    for (a, (t, h, w)), (b, (t2, h2, w2)) in itertools.product(
        enumerate(places_q, 1), enumerate(places_k, 1)
    ):
        row = (
            attention.rel_pos_t[t - t2 + 1]
            + attention.rel_pos_h[2 * h - h2 + 3]
            + attention.rel_pos_w[2 * w - w2 + 3]
        )
        scores[:, :, a, b] += q[:, :, a] @ row
    out = scores.softmax(dim=-1) @ v
    out[:, :, 1:] += q[:, :, 1:]
    expected = attention.project(out.transpose(1, 2).reshape(1, 9, 192))
    torch.testing.assert_close(attention(x), expected, rtol=1e-10, atol=1e-10)


def test_pool_skip_takes_maxima_of_the_grid_and_keeps_the_class_token():
    x = torch.arange(17.0)[None, :, None].clone()
    x[0, 0] = 99
    found = pool_skip(x, (1, 4, 4))[0, :, 0].tolist()
    assert found == [99, 6, 8, 14, 16]


def test_a_small_backbone_keeps_the_class_token_first():
    shapes = [BlockShape(96, 96, 1, 2), BlockShape(96, 192, 2, 1)]
    model = fill_module(MViT(frames=4, size=32, blocks=shapes), 0).eval()
    clips = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        tokens = model(clips)
        assert tokens.shape == (2, 1 + 2 * 4 * 4, 192)
        torch.testing.assert_close(model(clips[1:]), tokens[1:], rtol=1e-4, atol=1e-5)


def test_training_reaches_every_parameter():
    model = fill_module(MViT(frames=4, size=32, blocks=[BlockShape(96, 192, 2, 1)]), 0)
    model(torch.randn(1, 3, 4, 32, 32)).square().sum().backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("token_pooling", ["mean", "attention", "cls_token"])
def test_names_and_shapes_are_those_of_the_original(token_pooling):
    with torch.device("meta"):
        model = VideoEncoder(heads=16, depth=2, token_pooling=token_pooling)
    found = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    expected = golden_shapes(token_pooling, depth=2)
    expected.pop("cls_token", None)  # the original makes it with that pooling and never uses it
    assert found == expected
