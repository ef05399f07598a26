import pytest
import torch
import torch.nn.functional as F

from embedder.encoders.backbone import prepare
from embedder.encoders.cpu import attention
from embedder.encoders.cpu.attention import slices
from embedder.encoders.cpu.backbone import CpuBackbone, pool_skip
from embedder.encoders.cpu.linear import PackedLinear, product
from embedder.encoders.mvit import BlockShape, MViT
from embedder.encoders.mvit import pool_skip as plain_pool_skip
from tests.data.golden.fill import fill_module

# Each kind of block: it keeps, widens, shrinks the grid; one head and two; keys coarser and finer.
SHAPES = [BlockShape(96, 96, 1, 4), BlockShape(96, 192, 2, 1), BlockShape(192, 192, 1, 2)]


@pytest.fixture(scope="module")
def plain() -> MViT:
    model = MViT(frames=4, size=32, blocks=SHAPES)
    fill_module(model, 0)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    """One in colour, one grey: the stem has a form for each."""
    made = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(2))
    made[1] = made[1, :1]
    return made


def test_it_is_the_plain_backbone(plain, clips):
    with torch.inference_mode():
        found = prepare(plain, "fp32")(clips)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain(clips), rtol=1e-4, atol=1e-5)


def test_in_bfloat16_it_is_the_plain_backbone_but_for_rounding(plain, clips):
    with torch.inference_mode():
        found = prepare(plain, "bf16")(clips)
    assert found.dtype == torch.float32
    exact = plain(clips)
    assert F.cosine_similarity(found.flatten(1), exact.flatten(1)).min() > 0.999
    assert not torch.allclose(found, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_tokens_of_a_clip_do_not_depend_on_its_batch(plain, clips, precision):
    backbone = prepare(plain, precision)
    with torch.inference_mode():
        assert torch.equal(backbone(clips)[1], backbone(clips[1:])[0])


def test_parts_that_fit_the_cache_are_the_whole(plain, clips, monkeypatch):
    with torch.inference_mode():
        whole = CpuBackbone(plain, torch.float32)(clips)
        monkeypatch.setattr(attention, "CACHE_BYTES", 2**12)
        parts = CpuBackbone(plain, torch.float32)(clips)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 5, 25089])
def test_slices_hold_each_row_once_and_fit_the_cache(rows):
    found = [range(rows)[part] for part in slices(rows, 393, torch.float32)]
    assert [row for part in found for row in part] == list(range(rows))
    assert all(len(part) * 393 * 4 <= attention.CACHE_BYTES for part in found)


def test_packed_layers_are_the_layers():
    layer = torch.nn.Linear(96, 33).requires_grad_(False)
    packed = PackedLinear.of(layer, torch.float32)
    x, y = torch.randn(17, 96), torch.randn(17, 33)
    torch.testing.assert_close(packed(x), layer(x))
    torch.testing.assert_close(packed.gelu(x), F.gelu(layer(x)))
    torch.testing.assert_close(packed.plus(x, y), layer(x) + y)
    torch.testing.assert_close(product(x, layer.weight), x @ layer.weight.T)


def test_the_skip_is_pooled_as_by_the_plain_one():
    x = torch.randn(1 + 2 * 6 * 4, 8)
    assert torch.equal(pool_skip(x, (2, 6, 4)), plain_pool_skip(x[None], (2, 6, 4))[0])


def test_elsewhere_it_is_the_module_itself_or_a_rounded_copy(plain):
    """On devices other than a CPU: the meta device stands for them."""
    there = MViT(frames=4, size=32, blocks=SHAPES).to("meta")
    assert prepare(there, "fp32") is there
    found = prepare(there, "bf16")(torch.empty(2, 3, 4, 32, 32, device="meta"))
    assert (found.shape, found.dtype) == ((2, 33, 192), torch.float32)
    assert there.norm.weight.dtype == torch.float32


def test_without_onednn_it_is_the_module_itself(plain, monkeypatch):
    monkeypatch.setattr("embedder.encoders.backbone.can_pack", lambda: False)
    assert prepare(plain, "fp32") is plain
