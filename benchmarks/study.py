"""Seconds per study, stage by stage, with findings, on weights that mean nothing.

The study is the real 75-frame cine under several SOPInstanceUIDs, as so many views.

python -m benchmarks.study
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import torch
from pydicom.uid import UID

from angioatlas.atlas import Atlas
from angioatlas.ingest import EncoderHandle
from benchmarks.record import ROOT, write
from core.segments import HEADS
from core.settings import Settings
from embedder.dicom.cine import read_header
from embedder.encoders.deepcoro import DeepCoroEncoder, make_heads
from embedder.encoders.deepcoro_spec import DeepCoroSpec, HeadsSpec
from embedder.encoders.precision import full_precision
from embedder.encoders.spec import FileRef
from embedder.encoders.video_encoder import VideoEncoder
from embedder.frames import read_clip
from embedder.sampling import ClipRule

CINE = ROOT / "tests/data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
VIEWS = 5
RUNS = 3
_OWN = FileRef(file="weights", sha256="0" * 64)
_TUNED = FileRef(file="heads_video", sha256="1" * 64)


def make_encoder(*, tuned: bool) -> DeepCoroEncoder:
    """Make an encoder with 90 heads; `tuned` ones read the tokens of a video encoder of theirs."""
    torch.manual_seed(0)
    heads = HeadsSpec(
        weights=_OWN, video=_TUNED if tuned else _OWN, source=_OWN, mean=122.0 if tuned else 110.0,
        std=38.0, pooling="attention+cls_token", hidden=256, attention_heads=8, separate=True,
        norm="post_norm", names=HEADS,
    )  # fmt: skip
    spec = DeepCoroSpec(
        name="bench", mean=110.0, std=38.0, heads=16, depth=1, study_rule="mean", weights=_OWN,
        source=_OWN, findings=heads,
    )  # fmt: skip
    model = VideoEncoder(heads=16, depth=1)
    other = VideoEncoder(heads=1, depth=0) if tuned else model
    return DeepCoroEncoder(spec, model, heads=make_heads(heads), heads_video=other)


def write_study(folder: Path) -> list[Path]:
    """Write the study's cines."""
    paths = []
    for number in range(VIEWS):
        data = pydicom.dcmread(CINE)
        uid = UID(f"{data.StudyInstanceUID}.{number}")
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
        data.InstanceNumber = number + 1
        paths.append(folder / f"{number}.dcm")
        data.save_as(paths[-1])
    return paths


def stages(encoder: DeepCoroEncoder, paths: list[Path]) -> dict[str, float]:
    """Take the stages one after the other; return the median seconds of each for the study."""
    assert encoder.findings is not None
    findings = encoder.findings
    seconds: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[..., Any], *given: Any) -> Any:
        began = time.perf_counter()
        done = work(*given)
        seconds.setdefault(stage, []).append(time.perf_counter() - began)
        return done

    def each(work: Callable[..., Any], items: Any) -> list[Any]:
        return [work(item) for item in items]

    def decode(path: Path) -> Any:
        return read_clip(path, rule=ClipRule("display")).frames

    for _ in range(RUNS):
        timed("header", each, read_header, paths)
        clips = timed("decode 16 frames", each, decode, paths)
        alone = [[clip] for clip in clips]
        with full_precision():
            tokens = timed("video encoder", each, encoder.video.tokens, alone)
            if not findings.video.sees_like(encoder.video):
                tokens = timed("video encoder of the heads", each, findings.video.tokens, alone)
            timed("heads within each video", each, findings.summarise, tokens)
        videos = encoder.encode_videos(clips)
        timed("study vector", encoder.encode_study, videos)
        timed("findings across the videos", encoder.encode_findings, videos)
    return {stage: statistics.median(found) for stage, found in seconds.items()}


def whole_run(encoder: DeepCoroEncoder, archive: Path, store: Path) -> float:
    """Embed the study into a new store: walking, identity and commit included."""
    handle = EncoderHandle(
        encoder.encoder_id, encoder.clip_rule, lambda: encoder, heads_id=encoder.heads_id
    )
    settings = Settings(state_dir=store / "state", identity_key=store / "key")
    report = Atlas.embed_into(store / "store", [archive], encoder=handle, settings=settings)
    assert (report.studies_embedded, report.videos_embedded) == (1, VIEWS)
    return report.seconds


def main() -> dict[str, Any]:
    figures: dict[str, Any] = {"views": VIEWS, "runs": RUNS, "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive.mkdir()
        paths = write_study(archive)
        for name, tuned in {"one video encoder": False, "two video encoders": True}.items():
            encoder = make_encoder(tuned=tuned)
            figures[name] = {
                "median_seconds_per_study": stages(encoder, paths),
                "embed_seconds": whole_run(encoder, archive, Path(folder) / name),
            }
    print("study:", figures)
    write("study", figures)
    return figures


if __name__ == "__main__":
    main()
