"""Parity with the original, array by array: the video side.

Source: `golden_seed0.npz`, computed by the original code (commit 9784a00) with torchvision's
`mvit_v2_s` on CPU in float32, for weights and inputs that `fill.py` makes.  Float32 noise is below
1e-6; a tanh GELU would give 2e-4, swapped position tables 3e-1.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from embedder.encoders.aggregator import Aggregator
from embedder.encoders.pooling import AttentionPool, ClassTokenPool
from embedder.preprocess import preprocess
from tests.data.golden.fill import fill_array, fill_module, gaussian, gray_video
from tests.support.golden import (
    golden_arrays,
    golden_clips,
    golden_model,
    relative_l2,
)
from tests.support.golden_cases import (
    EMBEDDINGS,
    HEADS_GROUPS,
    PIXELS,
    TEXT_GROUPS,
    TOKENS,
    VIDEO_GROUPS,
    Case,
    arrays_of,
    check,
    first_clip,
    patch_tokens,
)


def block_tokens(name: str) -> torch.Tensor:
    tokens = first_clip()[name][0]
    n = len(tokens)
    return tokens[[0, 1, n // 2, n - 1]]


def block_mean_std(name: str) -> list[float]:
    tokens = first_clip()[name].double()
    return [float(tokens.mean()), float(tokens.std())]


def pooled() -> torch.Tensor:
    return patch_tokens().mean(dim=1)


def aggregated(videos: torch.Tensor, *, heads: int = 16, ignore: torch.Tensor | None = None):
    """The golden encoder's own aggregator; its weights are the same whatever the heads."""
    aggregator = Aggregator(heads=heads, depth=1)
    aggregator.load_state_dict(golden_model().aggregator.state_dict())
    with torch.inference_mode():
        return aggregator.eval()(videos, ignore)


def alone(heads: int, depth: int, videos: torch.Tensor, ignore=None):
    """An aggregator filled by its own keys."""
    with torch.inference_mode():
        return fill_module(Aggregator(heads=heads, depth=depth), 0).eval()(videos, ignore)


def five_videos() -> torch.Tensor:
    return torch.from_numpy(gaussian(202, (3, 5, 512)))


def padding() -> torch.Tensor:
    return torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [True] * 5])


def pool_filled(module: torch.nn.Module):
    with torch.inference_mode():
        return fill_module(module, 0).eval()(patch_tokens()[:2])


VIDEOS = {
    "gray40x512": (501, (40, 512, 512)),
    "gray9x256x300": (502, (9, 256, 300)),
    "rgb16x224": (503, (16, 224, 224, 3)),
}
STENOSIS = (122.09012603759766, 28.790834426879883)
MHI70 = (110.4954833984375, 37.805782318115234)


@functools.cache
def prepared(video: str, mean: float, std: float) -> torch.Tensor:
    """Channels last, as the original: [16, 224, 224, 3]."""
    from embedder.sampling import frame_indices

    frames = gray_video(*VIDEOS[video])
    clip = torch.from_numpy(frames[frame_indices(len(frames))])
    return preprocess(clip, size=224, mean=mean, std=std).permute(1, 2, 3, 0)


def prepared_strided(video: str) -> torch.Tensor:
    strided = prepared(video, *STENOSIS)[:, ::8, ::8]
    return strided if video.startswith("rgb") else strided[..., :1]


def frame_mean(video: str) -> torch.Tensor:
    return prepared(video, *STENOSIS).mean(dim=(1, 2))


def frame_std(video: str) -> torch.Tensor:
    return prepared(video, *STENOSIS).std(dim=(1, 2), correction=0)


def prepared_small(video: str) -> torch.Tensor:
    return prepared(video, *MHI70)[::5, ::32, ::32]


def frame_table() -> list[list[int]]:
    from embedder.sampling import frame_indices

    return [frame_indices(n) for n in range(17, 601)]


BLOCKS = [f"block{i:02d}" for i in (0, 1, 2, 3, 13, 14, 15)]
CASES: dict[str, Case] = {
    "mvit/conv_proj_slice": Case(
        lambda: first_clip()["conv_proj"][0, :, ::3, ::19, ::19], relative=TOKENS
    ),
    **{f"mvit/{b}_tokens": Case(functools.partial(block_tokens, b), TOKENS) for b in BLOCKS},
    **{f"mvit/{b}_mean_std": Case(functools.partial(block_mean_std, b), TOKENS) for b in BLOCKS},
    "mvit/token_shape": Case(lambda: first_clip()["tokens"].shape),
    "mvit/tokens_first8": Case(lambda: first_clip()["tokens"][0, :8], relative=TOKENS),
    "mvit/tokens_last4": Case(lambda: first_clip()["tokens"][0, -4:], relative=TOKENS),
    "mvit/tokens_mean": Case(lambda: first_clip()["tokens"][0].mean(dim=0), relative=TOKENS),
    "mvit/tokens_std": Case(lambda: first_clip()["tokens"][0].std(dim=0), relative=TOKENS),
    "mvit/torchvision_forward_head_identity": Case(
        lambda: first_clip()["tokens"][0, 0], relative=TOKENS
    ),
    "video/patch_tokens_shape": Case(lambda: patch_tokens()[:3].reshape(1, -1, 512).shape),
    "video/patch_tokens_first4_v0": Case(lambda: patch_tokens()[0, :4], relative=TOKENS),
    "video/patch_tokens_first2_v1": Case(lambda: patch_tokens()[1, :2], relative=TOKENS),
    "video/per_video_pooled": Case(lambda: pooled()[:3], relative=EMBEDDINGS),
    "video/per_video_pool_N1_shape": Case(lambda: first_clip()["pooled"][0].shape),
    "video/zero_clip_pooled": Case(lambda: pooled()[3], relative=EMBEDDINGS),
    "video/joint_N1_heads16_depth1": Case(
        lambda: aggregated(pooled()[:3, None]), relative=EMBEDDINGS
    ),
    "video/forward_5d_input_v0": Case(lambda: first_clip()["joint"][0], relative=EMBEDDINGS),
    "video/study_N3_heads16_depth1": Case(
        lambda: aggregated(pooled()[None, :3])[0], relative=EMBEDDINGS
    ),
    "video/study_N3_heads8_depth1": Case(
        lambda: aggregated(pooled()[None, :3], heads=8)[0], relative=EMBEDDINGS
    ),
    "video/study_N3_heads4_depth1": Case(
        lambda: aggregated(pooled()[None, :3], heads=4)[0], relative=EMBEDDINGS
    ),
    "video/study_N3_heads8_depth2_aggkeys": Case(
        lambda: alone(8, 2, pooled()[None, :3])[0], relative=EMBEDDINGS
    ),
    "video/study_3real_1zero_nomask": Case(
        lambda: aggregated(pooled()[None])[0], relative=EMBEDDINGS
    ),
    "video/study_3real_1zero_mask_last": Case(
        lambda: aggregated(pooled()[None], ignore=torch.tensor([[False, False, False, True]]))[0],
        relative=EMBEDDINGS,
    ),
    "pool/attention": Case(lambda: pool_filled(AttentionPool()), relative=EMBEDDINGS),
    "pool/cls_token": Case(lambda: pool_filled(ClassTokenPool()), relative=EMBEDDINGS),
    "agg/mask": Case(padding),
    "agg/h16d1_nomask": Case(lambda: alone(16, 1, five_videos()), relative=EMBEDDINGS),
    "agg/h8d2_nomask": Case(lambda: alone(8, 2, five_videos()), relative=EMBEDDINGS),
    "agg/h16d1_mask_true_is_pad": Case(
        lambda: alone(16, 1, five_videos(), padding()), relative=EMBEDDINGS
    ),
    "agg/h8d2_mask_true_is_pad": Case(
        lambda: alone(8, 2, five_videos(), padding()), relative=EMBEDDINGS
    ),
    "prep/frame_index_lengths": Case(lambda: range(17, 601)),
    "prep/frame_index_table": Case(frame_table),
}
for _video in VIDEOS:
    CASES |= {
        f"prep/{_video}/stenosis_strided": Case(
            functools.partial(prepared_strided, _video), absolute=PIXELS
        ),
        f"prep/{_video}/stenosis_frame_mean": Case(
            functools.partial(frame_mean, _video), absolute=PIXELS
        ),
        f"prep/{_video}/stenosis_frame_std": Case(
            functools.partial(frame_std, _video), absolute=PIXELS
        ),
        f"prep/{_video}/mhi70_strided_small": Case(
            functools.partial(prepared_small, _video), absolute=PIXELS
        ),
    }


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    check(name, CASES[name])


def test_every_golden_array_of_the_video_side_has_a_case():
    assert arrays_of(VIDEO_GROUPS) == set(CASES)


def test_every_golden_array_is_of_a_side_that_is_tested():
    tested = arrays_of(VIDEO_GROUPS + HEADS_GROUPS + TEXT_GROUPS)
    assert set(golden_arrays()) - tested == {"seed"}


def test_the_makers_of_weights_and_inputs():
    """The self-check that comes with the golden file: other makers would blame the model."""
    first = golden_clips()[0, :, 0, 0, 0]
    np.testing.assert_allclose(first, [2.3253112, 0.35335407, -0.0021437502], rtol=1e-6)
    weights = fill_array("proj.1.weight", (512, 768), 0)[0, :3]
    np.testing.assert_allclose(weights, [-0.0447052, -0.01754408, -0.00037676], rtol=1e-4)
    gains = fill_array("model.norm.weight", (768,), 0)[:3]
    np.testing.assert_allclose(gains, [1.0864521, 1.1387666, 1.0220691], rtol=1e-6)
    assert gray_video(501, (40, 512, 512)).sum(dtype=np.int64) == 1332436223


def test_the_form_that_encodes_on_a_cpu():
    """It is as exact as the plain module, which all other cases hold to the golden numbers."""
    from embedder.encoders.backbone import prepare
    from embedder.encoders.cpu.backbone import CpuBackbone

    model = golden_model()
    backbone = prepare(model.model, "fp32")
    assert isinstance(backbone, CpuBackbone)
    with torch.inference_mode():
        tokens = backbone(golden_clips()[:1])
        joint = model.aggregator(model.pool(model.project(tokens))[:, None])
    golden = golden_arrays()
    assert relative_l2(tokens[0, :8], golden["mvit/tokens_first8"]) <= TOKENS
    assert relative_l2(tokens[0, -4:], golden["mvit/tokens_last4"]) <= TOKENS
    assert relative_l2(joint[0], golden["video/joint_N1_heads16_depth1"][0]) <= EMBEDDINGS


@pytest.mark.gpu
def test_golden_on_a_gpu():
    from embedder.encoders.precision import full_precision

    model = golden_model().to("cuda")
    try:
        with full_precision():
            tokens = model.model(golden_clips()[:1].cuda())[0, :8].cpu()
            videos = model.pooled_videos(golden_clips().cuda()).cpu()
    finally:
        model.to("cpu")
    assert relative_l2(tokens, golden_arrays()["mvit/tokens_first8"]) <= TOKENS
    assert relative_l2(videos, golden_arrays()["video/per_video_pooled"]) <= EMBEDDINGS
