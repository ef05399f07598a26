import pytest
import torch

from embedder.encoders.mil_pooling import gated_attention, masked_max, masked_mean
from tests.data.golden.fill import fill_module

VALID = torch.tensor([[True, False, True], [False, True, False], [False] * 3])


@pytest.fixture
def vectors():
    return torch.randn(3, 3, 8, generator=torch.Generator().manual_seed(2))


def test_the_mean_of_the_valid(vectors):
    found = masked_mean(vectors, VALID)
    torch.testing.assert_close(found[0], (vectors[0, 0] + vectors[0, 2]) / 2)
    torch.testing.assert_close(found[1], vectors[1, 1])
    assert not found[2].any()


def test_the_maximum_of_the_valid(vectors):
    found = masked_max(vectors, VALID)
    torch.testing.assert_close(found[0], torch.maximum(vectors[0, 0], vectors[0, 2]))
    torch.testing.assert_close(found[1], vectors[1, 1])
    assert (found[2] == -torch.inf).all()


def test_gated_attention_weighs_by_its_scores(vectors):
    shapes = [(8, 5), (8, 5), (5, 1)]
    tanh, gate, score = (
        fill_module(torch.nn.Linear(*shape), seed).requires_grad_(False)
        for seed, shape in enumerate(shapes)
    )
    found = gated_attention(vectors, VALID, tanh=tanh, gate=gate, score=score)
    first = vectors[0, [0, 2]]
    scores = score(tanh(first).tanh() * gate(first).sigmoid())[:, 0]
    weights = scores.exp() / scores.exp().sum()
    assert (weights[0] - weights[1]).abs() > 0.01
    torch.testing.assert_close(found[0], weights @ first)
    torch.testing.assert_close(found[1], vectors[1, 1])
    assert found[2].isnan().all()
