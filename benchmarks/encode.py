"""Seconds per clip of the DeepCORO-CLIP video encoder, beside torchvision's MViTv2-S.

All forms hold the same weights, which mean nothing, and are timed in turn in one process.  A form
is everything from normalised clips to the joint embedding; only the backbone differs.

OMP_WAIT_POLICY=passive python -m benchmarks.encode [--torchvision FOLDER]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import profile

from benchmarks import torchvision_mvit
from benchmarks.record import write
from benchmarks.turns import in_turn
from embedder.encoders.backbone import Backbone, prepare
from embedder.encoders.deepcoro import DeepCoroEncoder
from embedder.encoders.precision import full_precision
from embedder.encoders.self_check import check_clip
from embedder.encoders.video_encoder import VideoEncoder
from embedder.preprocess import preprocess
from tests.support.golden import golden_model, golden_spec

ROUNDS = {1: 11, 4: 3}
"""Rounds by clips a batch: more than ten clips of each."""
GFLOP = 128.4
"""Of a clip: linear layers 95.8, attention 29.4, convolutions 3.2, as torch counts them in
torchvision's model."""
_OPERATORS = 9


def main(torchvision: Path | None = None) -> dict[str, Any]:
    figures = {}
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        figures[device] = measure(torch.device(device), torchvision)
        print(device, figures[device])
    write("encode", figures)
    return figures


def measure(device: torch.device, torchvision: Path | None) -> dict[str, Any]:
    """Measure every form on one device."""
    model = golden_model().to(device)
    reference, forms = forms_of(model, torchvision)
    figures: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "active"),
        "gflop_per_clip": GFLOP,
        "matmul_gflops": {
            name: matmul_gflops(device, dtype)
            for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items()
        },
    }
    with full_precision():
        exact = joint(model, forms[reference], clips(4, device))
        for batch, count in ROUNDS.items():
            batch_clips = clips(batch, device)
            works = {
                name: partial(finished, model, backbone, batch_clips, name)
                for name, backbone in forms.items()
                if name != "plain fp32" or name == reference
            }
            took = in_turn(works, count)
            base = took[reference]
            figures[f"batch {batch}"] = {
                name: {
                    "median_seconds_per_clip": each.median / batch,
                    "min": min(each.wall) / batch,
                    "max": max(each.wall) / batch,
                    "clips": count * batch,
                    "core_seconds_per_clip": each.median_cores / batch,
                    f"times {reference}": base.median / each.median,
                    f"times {reference} by cores": base.median_cores / each.median_cores,
                }
                for name, each in took.items()
            }
            print(batch, figures[f"batch {batch}"])
        figures["cosine"] = {
            name: least_cosine(exact, joint(model, backbone, clips(4, device), name))
            for name, backbone in forms.items()
        }
        one = clips(1, device)
        figures["profile_ms"] = {
            name: operators(partial(finished, model, backbone, one, name))
            for name, backbone in forms.items()
        }
    figures["from 512 x 512"] = whole(model, device)
    model.to("cpu")
    return figures


def forms_of(model: VideoEncoder, torchvision: Path | None) -> tuple[str, dict[str, Backbone]]:
    """Return the forms by name, and which of them the others are held against."""
    forms: dict[str, Backbone] = {
        "plain fp32": model.model,
        "fp32": prepare(model.model, "fp32"),
        "bf16": prepare(model.model, "bf16"),
    }
    if model.model.norm.weight.is_cuda:
        forms["tf32"] = model.model
    video = torchvision_mvit.find(torchvision)
    if video is None:
        return "plain fp32", forms
    other = torchvision_mvit.with_weights(video, model.model)
    return "torchvision fp32", {"torchvision fp32": other, **forms}


def clips(count: int, device: torch.device) -> Tensor:
    """Make normalised grey clips: the check clip under noise of its own."""
    rng = np.random.default_rng(0)
    noisy = [check_clip() + rng.normal(0, 8, check_clip().shape) for _ in range(count)]
    frames = [torch.from_numpy(each.clip(0, 255).astype(np.uint8)) for each in noisy]
    return torch.stack([preprocess(f, size=224, mean=110.5, std=37.8) for f in frames]).to(device)


def joint(model: VideoEncoder, backbone: Backbone, clips: Tensor, name: str = "") -> Tensor:
    """Return the joint embedding of each clip, not normalised."""
    with tf32() if name == "tf32" else nullcontext():
        tokens = backbone(clips)
    found: Tensor = model.aggregator(model.pool(model.project(tokens))[:, None])
    return found


def finished(model: VideoEncoder, backbone: Backbone, clips: Tensor, name: str) -> Tensor:
    """Do the same, and wait for the device."""
    return joint(model, backbone, clips, name).cpu()


def least_cosine(exact: Tensor, found: Tensor) -> float:
    return float(F.cosine_similarity(exact.double(), found.double()).min())


@contextmanager
def tf32() -> Iterator[None]:
    """Let float32 products and convolutions round their inputs to TF32."""
    torch.set_float32_matmul_precision("high")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=True):
            yield
    finally:
        torch.set_float32_matmul_precision("highest")


def operators(work: Callable[[], object]) -> dict[str, float]:
    """Return the milliseconds of the operators that take most."""
    with profile() as measured:
        work()
    events = measured.key_averages()
    on_gpu = any(event.self_device_time_total for event in events)
    times = {
        event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1000
        for event in events
    }
    most = sorted(times, key=lambda name: -times[name])[:_OPERATORS]
    rest = sum(times.values()) - sum(times[name] for name in most)
    return {name: round(times[name], 1) for name in most} | {"all others": round(rest, 1)}


def matmul_gflops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the rate of a large product, the limit of all others."""
    size = 8192 if device.type == "cuda" else 3072
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    (took,) = in_turn({"product": lambda: (a @ b)[0, 0].item()}, 5).values()
    return 2 * size**3 / min(took.wall) / 1e9


def whole(model: VideoEncoder, device: torch.device) -> dict[str, float]:
    """Return the seconds per clip from decoded frames to rows, preprocessing included."""
    clip = np.random.default_rng(0).integers(0, 256, (16, 512, 512), np.uint8)
    encoders = {
        name: DeepCoroEncoder(golden_spec(), model, device=str(device), precision=name)
        for name in ("fp32", "bf16")
    }
    batch = [clip] * encoders["fp32"].batch_size
    works = {name: partial(each.encode_videos, batch) for name, each in encoders.items()}
    return {name: took.median / len(batch) for name, took in in_turn(works, 5).items()}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torchvision", type=Path, help="folder that holds torchvision")
    return parser.parse_args(given)


if __name__ == "__main__":
    main(arguments().torchvision)
