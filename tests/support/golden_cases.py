"""Golden cases: what to compute for an array, how close it must come, and costly passes, once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tests.support.golden import golden_arrays, golden_clips, golden_model, relative_l2

TOKENS, EMBEDDINGS, PIXELS, HEADS = 2e-5, 1e-5, 2e-4, 1e-4
"""How far from the original: relative L2 for the first two, absolute for the others."""
VIDEO_GROUPS = ("mvit/", "video/", "agg/", "pool/", "prep/")
HEADS_GROUPS = ("docker/", "mil/")
TEXT_GROUPS = ("text/",)


@dataclass(frozen=True)
class Case:
    """Without a tolerance, all numbers must be the same.  NaN is expected where it stands."""

    compute: Callable[[], object]
    relative: float = 0.0
    absolute: float = 0.0


def check(name: str, case: Case) -> None:
    found, expected = np.asarray(case.compute()), golden_arrays()[name]
    assert found.shape == expected.shape
    if case.relative:
        assert relative_l2(found, expected) <= case.relative
    elif case.absolute:
        np.testing.assert_allclose(found, expected, rtol=0, atol=case.absolute)
    else:
        np.testing.assert_array_equal(found, expected)


def arrays_of(groups: tuple[str, ...]) -> set[str]:
    return {name for name in golden_arrays() if name.startswith(groups)}


@functools.cache
def first_clip() -> dict[str, torch.Tensor]:
    """One pass of the first clip through the whole encoder: every step on the way, by name."""
    encoder = golden_model()
    seen: dict[str, torch.Tensor] = {}
    watched = {
        "conv_proj": encoder.model.conv_proj,
        **{f"block{i:02d}": block for i, block in enumerate(encoder.model.blocks)},
        "tokens": encoder.model,
        "patch_tokens": encoder.proj,
    }

    def keep(name):
        return lambda _module, _inputs, output: seen.__setitem__(name, output)

    handles = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    handles.append(
        encoder.aggregator.register_forward_pre_hook(
            lambda _module, inputs: seen.__setitem__("pooled", inputs[0])
        )
    )
    with torch.inference_mode():
        seen["joint"] = encoder(golden_clips()[None, :1])
    for handle in handles:
        handle.remove()
    return seen


@functools.cache
def patch_tokens() -> torch.Tensor:
    """Of the three clips and of an all-zero one: [4, 393, 512]."""
    clips = torch.cat([golden_clips()[1:], torch.zeros_like(golden_clips()[:1])])
    with torch.inference_mode():
        others = [golden_model().patch_tokens(clip[None]) for clip in clips]
    return torch.cat([first_clip()["patch_tokens"], *others])


@functools.cache
def rounded_patch_tokens() -> torch.Tensor:
    """The same with clips that were rounded to float16 before the encoder."""
    clips = golden_clips().half().float()
    with torch.inference_mode():
        real = [golden_model().patch_tokens(clip[None]) for clip in clips]
    # Zero is zero in float16 too.
    return torch.cat([*real, patch_tokens()[3:]])
