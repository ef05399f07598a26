"""Make the weights of `phantom-mini`: phantoms, their dense truth, then studies and sentences.

`python -m angioatlas.phantom_mini --work FOLDER --out FOLDER` (`make phantom-encoder`).  Every step
keeps what it has done in the work folder: the same command takes it up where it was interrupted,
and ends in the same weights on the same kind of machine.  `--video FOLDER` takes the video encoder
of an encoder folder, and trains only what stands on it: for new sentences that is enough.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from core.provenance import software_version
from embedder.encoders.compact.folder import (
    CompactModels,
    as_written,
    open_compact_video,
    write_compact,
)
from embedder.encoders.compact.inputs import normalise
from embedder.encoders.compact.spec import ARCHITECTURE, WINDOW_MS, CompactSpec
from embedder.encoders.compact.study import CompactAggregator, CompactHeads
from embedder.encoders.compact.text import CompactText
from embedder.encoders.compact.video import CompactVideo
from embedder.encoders.compact.words import split_words
from embedder.encoders.registry import BUNDLED, read_spec
from embedder.sampling import BEFORE_MS, window_indices
from phantom.ids import patient_id
from phantom.seeds import TRAINING_SEEDS
from phantom.training.dataset import (
    SetSettings,
    TrainingSet,
    open_training_set,
    set_digest,
    write_training_set,
)
from phantom.training.dense import train_video
from phantom.training.features import VARIANTS, Studies, Variant, compute_tokens
from phantom.training.joint import train_joint
from phantom.training.loop import Log, Schedule
from phantom.training.models import Models
from phantom.training.retrieval import validate_joint
from phantom.training.validate import validate_video
from phantom.words.concepts import CONCEPTS, EVALUATION_QUERIES, wordings

TRAINING_SEED: Final = TRAINING_SEEDS[0]
HELD_OUT_SEED: Final = TRAINING_SEEDS[-1]
"""Of the studies that are watched during training: kept aside, but not those of the evaluation."""
SHIPPED: Final = BUNDLED / ARCHITECTURE
"""The folder of the encoder that comes with the package."""

VIDEO_STAGE: Final = Schedule(steps=20_000, batch=24, peak=2e-3, warm_up=300, check_every=1000)
JOINT_STAGE: Final = Schedule(steps=2000, batch=64, peak=1.5e-3, check_every=1000)


@dataclass(frozen=True)
class Recipe:
    """Everything that the weights follow from.

    Attributes
    ----------
    studies, held_out : int
        Studies to train on, and to watch.
    video, joint : Schedule
        Of the two stages; a batch is of videos, then of studies.
    seed : int
        Of the weights before training.
    """

    studies: int = 12_000
    held_out: int = 250
    video: Schedule = VIDEO_STAGE
    joint: Schedule = JOINT_STAGE
    seed: int = 7


def choose_frames(n_frames: int, frame_time_ms: float, onset_ms: float) -> list[int]:
    """Choose the frames of a training clip by the rule of the encoder, the onset being known."""
    start_ms = onset_ms - BEFORE_MS
    return window_indices(n_frames, frame_time_ms, window_ms=WINDOW_MS, start_ms=start_ms)


def new_models(seed: int, video: CompactVideo | None = None) -> tuple[CompactModels, Models]:
    """Return untrained models, as the encoder's writer and as the training take them.

    A `video` encoder that is given stays as it is, save its last projection, which is untrained.
    """
    torch.manual_seed(seed)
    if video is None:
        video = CompactVideo()
    else:
        video.requires_grad_(False)
        video.project.reset_parameters()
        video.project.requires_grad_(True)
    made = CompactModels(video, CompactAggregator(), CompactHeads(), CompactText())
    # Convolutions over channels that lie next to each other are faster on a CPU.
    torch.nn.Module.to(made.video, memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = Models(
        video=made.video,
        project=made.video.project,
        aggregator=made.aggregator,
        heads=made.heads,
        text=made.text,
        featurise=CompactText.featurise,
        normalise=normalise,
    )
    return made, parts


def make(
    out: Path,
    work: Path,
    recipe: Recipe,
    *,
    workers: int,
    log: Log,
    video_from: Path | None = None,
) -> None:
    """Make the encoder.

    Parameters
    ----------
    out : Path
        The encoder folder; the model card in it is kept.
    work : Path
        Training set, checkpoints and tokens; gigabytes.
    recipe : Recipe
    workers : int
        Processes that render.
    log : callable
        Told lines.
    video_from : Path, optional
        An encoder folder whose video encoder is taken as it is, instead of training one.
    """
    began = time.perf_counter()
    work.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data, held_out = _sets(work, recipe, workers=workers, log=log)
    if video_from is None:
        video = _train_video(data, held_out, work, recipe, log, device)
    else:
        video = open_compact_video(video_from)
    # The tokens are those of the weights that are written, rounding and all.
    made, models = new_models(recipe.seed, as_written(video))
    place = work / f"over-{_digest(video)}"
    place.mkdir(exist_ok=True)
    studies = Studies(data, _tokens(place / "tokens", models, data, VARIANTS, device, log))
    watched = Studies(
        held_out,
        _tokens(place / "held-out-tokens", models, held_out, ("plain", "short"), device, log),
    )
    checkpoint = place / "joint.pt"
    train_joint(models, studies, recipe.joint, log=log, device=device, checkpoint=checkpoint)
    measured = validate_joint(models, watched, held_out, device=device)
    log(f"held out: {_line(measured)}")
    for model in (made.video, made.aggregator, made.heads, made.text):
        model.cpu().eval()
    facts = training_facts(recipe, data, work, video_from) | {
        f"held_out_{k}": v for k, v in measured.items()
    }
    spec = write_compact(out, made, lexicon=lexicon(), training=facts, trained_on=_trained_on())
    log(f"{spec.encoder_id} in {out} after {(time.perf_counter() - began) / 60:.0f} min")


def _train_video(
    data: TrainingSet,
    held_out: TrainingSet,
    work: Path,
    recipe: Recipe,
    log: Log,
    device: torch.device,
) -> CompactVideo:
    made, models = new_models(recipe.seed)

    def watch(step: int, averaged: torch.nn.ModuleDict) -> None:
        log(f"held out at step {step}: {_line(validate_video(models, averaged, held_out))}")

    train_video(
        models,
        data,
        recipe.video,
        log=log,
        device=device,
        checkpoint=work / "video.pt",
        on_check=watch,
    )
    return made.video.cpu()


def _digest(video: CompactVideo) -> str:
    digest = hashlib.sha256()
    for tensor in video.state_dict().values():
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def _trained_on() -> list[str]:
    """Return the patients of the cohorts that the training learns from and watches."""
    return [f"{patient_id(seed, 0)[:-5]}*" for seed in (TRAINING_SEED, HELD_OUT_SEED)]


def lexicon() -> frozenset[str]:
    """Return the words of every sentence of the training."""
    texts = [text for concept in CONCEPTS for text in wordings(concept)]
    return frozenset(word for text in (*texts, *EVALUATION_QUERIES) for word in split_words(text))


def training_facts(
    recipe: Recipe, data: TrainingSet, work: Path, video_from: Path | None
) -> dict[str, str | int | float]:
    """Return how the weights were made, for `encoder.json`."""
    return {
        "software": software_version(),
        "training_seed": TRAINING_SEED,
        "training_studies": len(data.lvef),
        "training_videos": len(data),
        "training_set_sha256": set_digest(work / "training"),
        "held_out_seed": HELD_OUT_SEED,
        "held_out_studies": recipe.held_out,
        **_video_facts(recipe, video_from),
        "joint_steps": recipe.joint.steps,
        "joint_batch": recipe.joint.batch,
        "weights_seed": recipe.seed,
    }


def _video_facts(recipe: Recipe, video_from: Path | None) -> dict[str, str | int | float]:
    if video_from is None:
        return {"video_steps": recipe.video.steps, "video_batch": recipe.video.batch}
    spec = read_spec(video_from)
    told = spec.training if isinstance(spec, CompactSpec) else {}
    return {
        "video_from": spec.encoder_id,
        **{name: told[name] for name in ("video_steps", "video_batch") if name in told},
    }


def _sets(work: Path, recipe: Recipe, *, workers: int, log: Log) -> tuple[TrainingSet, TrainingSet]:
    # What is watched has the findings that patients have.
    watched = SetSettings(HELD_OUT_SEED, recipe.held_out, enriched_share=0.0, spread_share=0.0)
    trained = SetSettings(TRAINING_SEED, recipe.studies)
    for name, settings in (("held-out", watched), ("training", trained)):
        tell = _shards_told(f"{name} set", log)
        write_training_set(
            work / name, settings, choose=choose_frames, workers=workers, on_progress=tell
        )
    return open_training_set(work / "training"), open_training_set(work / "held-out")


def _shards_told(what: str, log: Log) -> Callable[[int, int], None]:
    began = time.perf_counter()
    first: list[int] = []

    def tell(done: int, total: int) -> None:
        first.append(done)
        rate = (time.perf_counter() - began) / max(1, done - first[0])
        left = f", {rate * (total - done) / 60:.1f} min left" if done > first[0] else ""
        log(f"{what}: {done} of {total} shards{left}")

    return tell


def _tokens(
    stem: Path,
    models: Models,
    data: TrainingSet,
    variants: Sequence[Variant],
    device: torch.device,
    log: Log,
) -> dict[Variant, NDArray[np.float16]]:
    found = {}
    for variant in variants:
        file = stem.with_name(f"{stem.name}-{variant}.npy")
        if not file.exists():
            tokens = compute_tokens(models, data, device=device, log=log, variant=variant)
            aside = file.with_suffix(".part.npy")
            np.save(aside, tokens)
            aside.replace(file)
        found[variant] = np.load(file)
    return found


def _line(figures: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m angioatlas.phantom_mini", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where the training set goes")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the encoder folder to write")
    parser.add_argument("--studies", type=int, default=Recipe.studies)
    parser.add_argument("--video-steps", type=int, default=Recipe.video.steps)
    parser.add_argument("--joint-steps", type=int, default=Recipe.joint.steps)
    parser.add_argument("--video", type=Path, help="an encoder folder whose video encoder is taken")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    recipe = Recipe(
        studies=given.studies,
        video=_with_steps(Recipe.video, given.video_steps),
        joint=_with_steps(Recipe.joint, given.joint_steps),
    )
    began = time.perf_counter()

    def log(line: str) -> None:
        sys.stdout.write(f"[{(time.perf_counter() - began) / 60:6.1f} min] {line}\n")
        sys.stdout.flush()

    make(
        given.out,
        given.work,
        recipe,
        workers=given.workers,
        log=log,
        video_from=given.video,
    )


def _with_steps(schedule: Schedule, steps: int) -> Schedule:
    return replace(schedule, steps=steps)


if __name__ == "__main__":
    main()
