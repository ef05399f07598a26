import pytest
import torch

from embedder.encoders.pooling import AttentionPool, ClassTokenPool, learned_pool
from tests.data.golden.fill import fill_module


def test_the_mean_has_nothing_to_learn():
    assert learned_pool("mean") is None


@pytest.mark.parametrize(
    ("mode", "kind"), [("attention", AttentionPool), ("cls_token", ClassTokenPool)]
)
def test_learned_pools_see_a_set_of_tokens(mode, kind):
    pool = learned_pool(mode)
    assert isinstance(pool, kind)
    fill_module(pool, 0).eval()
    tokens = torch.randn(2, 7, 512, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = pool(tokens)
        assert found.shape == (2, 512)
        torch.testing.assert_close(pool(tokens.flip(1)), found, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(pool(tokens[1:]), found[1:], rtol=1e-4, atol=1e-5)
        assert (pool(tokens[:, :6]) - found).abs().max() > 1e-3
