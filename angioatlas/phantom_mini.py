"""Make the weights of `phantom-mini`: phantoms, their dense truth, then studies and sentences.

`python -m angioatlas.phantom_mini --work FOLDER --out FOLDER` (`make phantom-encoder`).  Every step
keeps what it has done in the work folder: the same command takes it up where it was interrupted,
and ends in the same weights on the same kind of machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from core.provenance import software_version
from embedder.encoders.compact.folder import CompactModels, write_compact
from embedder.encoders.compact.inputs import normalise
from embedder.encoders.compact.spec import ARCHITECTURE, WINDOW_MS
from embedder.encoders.compact.study import CompactAggregator, CompactHeads
from embedder.encoders.compact.text import CompactText
from embedder.encoders.compact.video import CompactVideo
from embedder.encoders.compact.words import split_words
from embedder.encoders.registry import BUNDLED
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
from phantom.training.features import Studies, compute_tokens
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
    variants : int
        How often the tokens of each run are computed: once as it is, then augmented.
    seed : int
        Of the weights before training.
    """

    studies: int = 12_000
    held_out: int = 250
    video: Schedule = VIDEO_STAGE
    joint: Schedule = JOINT_STAGE
    variants: int = 2
    seed: int = 7


def choose_frames(n_frames: int, frame_time_ms: float, onset_ms: float) -> list[int]:
    """Choose the frames of a training clip by the rule of the encoder, the onset being known."""
    start_ms = onset_ms - BEFORE_MS
    return window_indices(n_frames, frame_time_ms, window_ms=WINDOW_MS, start_ms=start_ms)


def new_models(seed: int) -> tuple[CompactModels, Models]:
    """Return untrained models, as the encoder's writer and as the training take them."""
    torch.manual_seed(seed)
    made = CompactModels(CompactVideo(), CompactAggregator(), CompactHeads(), CompactText())
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


def make(out: Path, work: Path, recipe: Recipe, *, workers: int, log: Log) -> None:
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
    """
    began = time.perf_counter()
    work.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data, held_out = _sets(work, recipe, workers=workers, log=log)
    made, models = new_models(recipe.seed)

    def watch(step: int, averaged: torch.nn.ModuleDict) -> None:
        log(f"held out at step {step}: {_line(validate_video(models, averaged, held_out))}")

    dense = train_video(
        models,
        data,
        recipe.video,
        log=log,
        device=device,
        checkpoint=work / "video.pt",
        on_check=watch,
    )
    studies = Studies(data, _tokens(work / "tokens", models, data, recipe.variants, device, log))
    watched = Studies(held_out, _tokens(work / "held-out-tokens", models, held_out, 1, device, log))
    train_joint(
        models, studies, dense, recipe.joint, log=log, device=device, checkpoint=work / "joint.pt"
    )
    measured = validate_joint(models, watched, held_out, device=device)
    log(f"held out: {_line(measured)}")
    for model in (made.video, made.aggregator, made.heads, made.text):
        model.cpu().eval()
    facts = training_facts(recipe, data, work) | {f"held_out_{k}": v for k, v in measured.items()}
    spec = write_compact(out, made, lexicon=lexicon(), training=facts, trained_on=_trained_on())
    log(f"{spec.encoder_id} in {out} after {(time.perf_counter() - began) / 60:.0f} min")


def _trained_on() -> list[str]:
    """Return the patients of the cohorts that the training learns from and watches."""
    return [f"{patient_id(seed, 0)[:-5]}*" for seed in (TRAINING_SEED, HELD_OUT_SEED)]


def lexicon() -> frozenset[str]:
    """Return the words of every sentence of the training."""
    texts = [text for concept in CONCEPTS for text in wordings(concept)]
    return frozenset(word for text in (*texts, *EVALUATION_QUERIES) for word in split_words(text))


def training_facts(recipe: Recipe, data: TrainingSet, work: Path) -> dict[str, str | int | float]:
    """Return how the weights were made, for `encoder.json`."""
    return {
        "software": software_version(),
        "training_seed": TRAINING_SEED,
        "training_studies": len(data.lvef),
        "training_videos": len(data),
        "training_set_sha256": set_digest(work / "training"),
        "held_out_seed": HELD_OUT_SEED,
        "held_out_studies": recipe.held_out,
        "video_steps": recipe.video.steps,
        "video_batch": recipe.video.batch,
        "joint_steps": recipe.joint.steps,
        "joint_batch": recipe.joint.batch,
        "weights_seed": recipe.seed,
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
    stem: Path, models: Models, data: TrainingSet, variants: int, device: torch.device, log: Log
) -> list[NDArray[np.float16]]:
    found = []
    for variant in range(variants):
        file = stem.with_name(f"{stem.name}-{variant}.npy")
        if not file.exists():
            changed = variant > 0
            tokens = compute_tokens(
                models, data, device=device, log=log, changed=changed, seed=variant
            )
            aside = file.with_suffix(".part.npy")
            np.save(aside, tokens)
            aside.replace(file)
        found.append(np.load(file))
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

    make(given.out, given.work, recipe, workers=given.workers, log=log)


def _with_steps(schedule: Schedule, steps: int) -> Schedule:
    return replace(schedule, steps=steps)


if __name__ == "__main__":
    main()
