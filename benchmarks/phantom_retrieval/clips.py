"""Clips of studies as the encoder would read them from files, kept on disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.phantom_retrieval.studies import StudySpec, draw
from embedder.encoders.compact.spec import WINDOW_MS
from embedder.sampling import ClipRule, clip_frames
from phantom.picture.acquisition import Acquisition
from phantom.picture.render import render
from phantom.processes import renderers
from phantom.training.dataset import PhantomStudy

SIZE = 256
SHARD = 10
RULE = ClipRule("display", WINDOW_MS)


def render_studies(
    folder: Path, name: str, specs: Sequence[StudySpec], *, workers: int
) -> list[Path]:
    """Render the clips of studies that are not there yet.

    Returns
    -------
    list of Path
        Files of up to `SHARD` studies each, in their order: uint8 (runs, 16, 256, 256).
    """
    digest = hashlib.sha256(repr((SIZE, RULE, list(specs))).encode()).hexdigest()[:12]
    place = folder / f"{name}-{digest}"
    place.mkdir(parents=True, exist_ok=True)
    parts = [specs[i : i + SHARD] for i in range(0, len(specs), SHARD)]
    files = [place / f"{i:04d}.npy" for i in range(len(parts))]
    wanted = [(f, part) for f, part in zip(files, parts, strict=True) if not f.exists()]
    began = time.perf_counter()
    with renderers(workers) as pool:
        jobs = [pool.submit(_write, file, part) for file, part in wanted]
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            seconds = time.perf_counter() - began
            print(f"{name}: {done}/{len(jobs)} parts, {seconds:.0f} s", flush=True)
    return files


def each_study(files: Sequence[Path], specs: Sequence[StudySpec]) -> Iterator[NDArray[np.uint8]]:
    """Yield the clips of each study, uint8 (runs, 16, 256, 256), in order."""
    for number, file in enumerate(files):
        clips, at = np.load(file, mmap_mode="r"), 0
        for spec in specs[number * SHARD : (number + 1) * SHARD]:
            count = len(draw(spec).acquisitions)
            yield clips[at : at + count]
            at += count


def _write(file: Path, specs: Sequence[StudySpec]) -> None:
    studies = [draw(spec) for spec in specs]
    clips = [_clip(study, run) for study in studies for run in study.acquisitions]
    aside = file.with_suffix(".part.npy")
    np.save(aside, np.stack(clips))
    aside.replace(file)


def _clip(study: PhantomStudy, run: Acquisition) -> NDArray[np.uint8]:
    def read(frames: Sequence[int]) -> NDArray[np.uint8]:
        return render(study.anatomy, study.disease, run, size=SIZE, frames=frames)

    return clip_frames(run.n_frames, run.frame_time_ms, rule=RULE, read=read)
