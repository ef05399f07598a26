"""The batch embedder end to end, against what its stages alone predict on the same cores.

Decoding alone and encoding alone are timed on all cores; where both share the cores, a cine costs
the time of both, so the rate to expect is ``1 / (1 / decode + 1 / device)``.  The run is whole: the
walk, the headers, the commits into a new store; only the encoder's loading is left out.

python -m benchmarks.pipeline [--encoder NAME|FOLDER] [--cines 210] [--archive FOLDER]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from angioatlas.atlas import Atlas
from angioatlas.ingest import EmbedOptions, EncoderHandle
from angioatlas.spaces import encoder_handle
from benchmarks.real_size_archive import write_archive
from benchmarks.record import write
from core.outcomes import Code
from core.settings import Settings, load_settings
from embedder.encoders.deepcoro import DeepCoroEncoder
from embedder.encoders.deepcoro_spec import DeepCoroSpec
from embedder.encoders.spec import Encoder, FileRef
from embedder.encoders.video_encoder import VideoEncoder
from embedder.frames import Clip
from embedder.guard.pool import GuardedPool
from embedder.inputs import CineFile, read_input_clip
from embedder.sampling import ClipRule

COMPACT, MVIT = "phantom-mini", "mvit"
REPEATS = 3


def untrained_deepcoro() -> DeepCoroEncoder:
    """Return the published architecture with weights that mean nothing."""
    torch.manual_seed(0)
    none = FileRef(file="none", sha256="0" * 64)
    spec = DeepCoroSpec(
        name="bench", mean=110.0, std=38.0, heads=16, depth=1, study_rule="mean",
        weights=none, source=none,
    )  # fmt: skip
    return DeepCoroEncoder(spec, VideoEncoder(heads=16, depth=1))


def decode_rate(paths: list[Path], rule: ClipRule, workers: int) -> float:
    """Return cines per second that the decode processes alone give, all of them at work."""
    with GuardedPool(workers, seconds=60) as pool:
        read = partial(read_input_clip, rule=rule)
        files = [CineFile(path, 60, None) for path in paths]
        began = time.perf_counter()
        for _, clip in pool.map(read, files, fallback=Code.DECODE_FAILED):
            assert isinstance(clip, Clip)
        return len(paths) / (time.perf_counter() - began)


def device_rate(paths: list[Path], encoder: Encoder, clips: int) -> float:
    """Return clips per second that the encoder alone gives."""
    read = [
        read_input_clip(CineFile(path, 60, None), rule=encoder.clip_rule).frames
        for path in paths[: encoder.batch_size]
    ]
    encoder.encode_videos(read)
    rounds = max(1, clips // len(read))
    began = time.perf_counter()
    for _ in range(rounds):
        encoder.encode_videos(read)
    return rounds * len(read) / (time.perf_counter() - began)


def whole_rate(archive: Path, handle: EncoderHandle, settings: Settings) -> dict[str, Any]:
    """Embed the archive into a new store."""
    with tempfile.TemporaryDirectory() as folder:
        report = Atlas.embed_into(
            Path(folder) / "store",
            [archive],
            encoder=handle,
            settings=settings,
            options=EmbedOptions(keep_identifiers=True),
        )
    assert report.by_status["embedded"] == report.inputs
    return {
        "cines": report.videos_embedded,
        "seconds": report.seconds,
        "rate": report.videos_embedded / report.seconds,
        "verdict": report.stages.verdict(),
    }


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--encoder", default=COMPACT, help=f"a name, a folder, or {MVIT}")
    parser.add_argument("--cines", type=int, default=210)
    parser.add_argument("--archive", type=Path, help="where the cines are, or are written to")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        return measure(options, options.archive or Path(temporary))


def measure(options: argparse.Namespace, archive: Path) -> dict[str, Any]:
    paths = write_archive(archive, options.cines)
    settings = load_settings()
    if options.encoder == MVIT:
        encoder: Encoder = untrained_deepcoro()
        handle = EncoderHandle(encoder.encoder_id, encoder.clip_rule, lambda: encoder)
    else:
        handle = encoder_handle(options.encoder, settings)
        encoder = handle.load()
        handle = replace(handle, load=lambda: encoder)
    workers = os.cpu_count() or 1
    rounds = []
    for _ in range(options.repeats):
        decode = decode_rate(paths, encoder.clip_rule, workers)
        device = device_rate(paths, encoder, clips=64 if options.encoder == COMPACT else 12)
        whole = whole_rate(archive, handle, settings)
        predicted = 1 / (1 / decode + 1 / device)
        rounds.append(
            {
                "decode_alone": decode,
                "device_alone": device,
                "predicted": predicted,
                **whole,
                "share": whole["rate"] / predicted,
            }
        )
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in rounds[-1].items()})
    figures = {
        "encoder": options.encoder,
        "cines": len(paths),
        "share, median": statistics.median(each["share"] for each in rounds),
        "rounds": rounds,
    }
    if options.record:
        write(f"pipeline_{options.encoder}", figures)
    return figures


if __name__ == "__main__":
    main()
