import pytest
import torch

from embedder.encoders.text_encoder import IGNORED_KEYS, Layer, TextEncoder
from embedder.encoders.tokenizer import MAX_TOKENS
from tests.data.golden.fill import fill_module

MASK = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])


@pytest.fixture(scope="module")
def layer():
    return fill_module(Layer(), 0).eval().requires_grad_(False)


@pytest.fixture
def states():
    return torch.randn(2, 6, 768, generator=torch.Generator().manual_seed(5))


def test_a_layer_is_a_post_norm_transformer_layer(layer, states):
    """The same weights in torch's own layer, under its own names."""
    own = layer.state_dict()
    peer = torch.nn.TransformerEncoderLayer(
        768, 12, 3072, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    parts = [f"attention.self.{part}" for part in ("query", "key", "value")]
    state: dict[str, torch.Tensor] = {}
    for kind in ("weight", "bias"):
        state |= {f"{theirs}.{kind}": own[f"{ours}.{kind}"] for theirs, ours in names.items()}
        state[f"self_attn.in_proj_{kind}"] = torch.cat([own[f"{part}.{kind}"] for part in parts])
    peer.load_state_dict(state, strict=True)
    with torch.inference_mode():
        expected = peer.eval()(states, src_key_padding_mask=MASK == 0)
    found = layer(states, MASK)
    kept = MASK.bool()
    torch.testing.assert_close(found[kept], expected[kept], rtol=1e-5, atol=1e-5)


def test_what_padding_holds_moves_no_token(layer, states):
    kept = MASK.bool()
    changed = torch.where(kept[..., None], states, 7.0)
    assert torch.equal(layer(changed, MASK)[kept], layer(states, MASK)[kept])
    assert not torch.equal(layer(changed, torch.ones_like(MASK))[kept], layer(states, MASK)[kept])


def test_shapes_up_to_the_last_position():
    with torch.device("meta"):
        model = TextEncoder()
        ids = torch.zeros(3, MAX_TOKENS, dtype=torch.int64)
        mask = torch.ones_like(ids)
    assert model.hidden(ids, mask).shape == (3, MAX_TOKENS, 768)
    assert model(ids, mask).shape == (3, 512)


def test_no_ignored_key_is_a_tensor_of_the_model():
    with torch.device("meta"):
        keys = TextEncoder().state_dict().keys()
    assert not keys & IGNORED_KEYS
