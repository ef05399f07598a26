"""Seconds per clip of the DeepCORO-CLIP video encoder, on weights that mean nothing.

python -m benchmarks.encode
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import torch

from benchmarks.record import write
from embedder.encoders.deepcoro import DeepCoroEncoder
from embedder.encoders.deepcoro_spec import DeepCoroSpec
from embedder.encoders.spec import FileRef
from embedder.encoders.video_encoder import VideoEncoder

CLIPS = 10


def main() -> dict[str, Any]:
    torch.manual_seed(0)
    none = FileRef(file="none", sha256="0" * 64)
    spec = DeepCoroSpec(
        name="bench", mean=110.0, std=38.0, heads=16, depth=1, study_rule="mean",
        weights=none, source=none,
    )  # fmt: skip
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    figures = {}
    for device in devices:
        encoder = DeepCoroEncoder(spec, VideoEncoder(heads=16, depth=1), device=device)
        rng = np.random.default_rng(0)
        clip = rng.integers(0, 256, (16, 512, 512), np.uint8)
        batch = [clip] * encoder.batch_size
        encoder.encode_videos(batch)
        seconds = []
        for _ in range(CLIPS):
            began = time.perf_counter()
            encoder.encode_videos(batch)
            seconds.append((time.perf_counter() - began) / len(batch))
        figures[device] = {
            "batch": len(batch),
            "threads": torch.get_num_threads(),
            "median_seconds_per_clip": statistics.median(seconds),
            "min": min(seconds),
            "max": max(seconds),
        }
    print("encode:", figures)
    write("encode", figures)
    return figures


if __name__ == "__main__":
    main()
