"""A training set: phantom clips with their dense truth and their labels, in shards on disk.

A shard holds some studies as plain NumPy files, read back as memory maps.  It is written aside and
renamed, so a set that was interrupted goes on where it stopped, and the same settings always give
the same set.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import UsageError
from core.segments import SEGMENTS
from phantom.heart.anatomy import Anatomy, draw_anatomy
from phantom.heart.disease import Disease, visible
from phantom.heart.lesions import ENRICHED, NATURAL, draw_disease
from phantom.picture.acquisition import Acquisition, draw_protocol, spread
from phantom.picture.render import arrival_s, render, truth_maps
from phantom.processes import renderers
from phantom.seeds import Purpose, generator
from phantom.words.concepts import CONCEPTS, labels

ChooseFrames = Callable[[int, float, float], list[int]]
"""From frames of a run, milliseconds a frame and the contrast's onset in milliseconds to the
indices of the clip's frames."""

CLIP_SIZE: Final = 128
GRID: Final = 16
ONSET_DELAY_MS: Final = 150.0
"""From contrast at the ostium to what a detector of contrast notices."""
DOMINANCE: Final = ("right", "left", "co")
STATE_COLUMNS: Final = (
    *("stenosis_percent", "cto", "thrombus", "calcification", "stent"),
    *("left", "right"),
)
"""What is known of each segment of a study, in this order; the last two tell which artery it
belongs to, neither when the heart does not have it."""
_SETTINGS: Final = "settings.json"
_ARRAYS: Final = (
    *("clips", "segments", "lesions", "study", "right", "angles", "video_labels"),
    *("states", "lvef", "dominance", "study_labels"),
)
_OF_RUNS: Final = _ARRAYS.index("states")


@dataclass(frozen=True)
class SetSettings:
    """What a training set is made of.

    Attributes
    ----------
    seed : int
        Of the cohort, see `phantom.seeds`.
    studies, shard_studies : int
        All of them, and how many go into one shard.
    enriched_share : float
        Studies with the enriched mix of findings, 0 to 1.
    spread_share : float
        Studies with unusual fields of view and durations, by `phantom.picture.acquisition.spread`,
        0 to 1.
    fine_share : float
        Runs rendered at twice the size and averaged down, as pictures at use are, 0 to 1.
    onset_jitter_s : float
        Standard deviation of the error of the onset of contrast, seconds.
    """

    seed: int
    studies: int
    shard_studies: int = 50
    enriched_share: float = 0.55
    spread_share: float = 0.4
    fine_share: float = 0.3
    onset_jitter_s: float = 0.2


@dataclass(frozen=True)
class PhantomStudy:
    """One study: a heart, what of its disease can be seen, and its runs."""

    anatomy: Anatomy
    disease: Disease
    visible: Disease
    acquisitions: tuple[Acquisition, ...]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Shards joined, by run and by study.

    Attributes
    ----------
    clips : tuple of uint8 arrays of shape (runs of the shard, 16, 128, 128)
        Memory maps.
    segments : uint8 array of shape (runs, 18, 16, 16)
        Where each segment projects, 255 where most of it does; all 0 when it is not in the picture.
    lesions : uint8 array of shape (runs, 6, 32)
        Bits of 16 x 16 maps, see `lesion_maps`.
    study : int64 array of shape (runs,)
        The study of each run; the runs of a study are neighbours.
    right : bool array of shape (runs,)
        Whether the right artery is injected.
    angles : float32 array of shape (runs, 2)
        Primary and secondary, degrees.
    video_labels : int8 array of shape (runs, concepts)
        1, 0, or -1 when a single run cannot tell.
    states : float32 array of shape (studies, 18, 7)
        `STATE_COLUMNS` of what is visible in the study.
    lvef : float32 array of shape (studies,)
        Percent.
    dominance : int64 array of shape (studies,)
        Index in `DOMINANCE`.
    study_labels : int8 array of shape (studies, concepts)
    """

    clips: tuple[NDArray[np.uint8], ...]
    segments: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    study: NDArray[np.int64]
    right: NDArray[np.bool_]
    angles: NDArray[np.float32]
    video_labels: NDArray[np.int8]
    states: NDArray[np.float32]
    lvef: NDArray[np.float32]
    dominance: NDArray[np.int64]
    study_labels: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.study)

    def read_clips(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the clips of some runs, uint8 (len(rows), 16, 128, 128)."""
        ends = np.cumsum([len(clips) for clips in self.clips])
        shards = np.searchsorted(ends, rows, side="right")
        out = np.empty((len(rows), *self.clips[0].shape[1:]), np.uint8)
        for i, (row, shard) in enumerate(zip(rows, shards, strict=True)):
            out[i] = self.clips[shard][row - ends[shard]]  # counted from the shard's end
        return out

    def lesion_maps(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the lesion maps of some runs, 0 or 1, (len(rows), 6, 16, 16)."""
        bits = np.unpackbits(self.lesions[rows], axis=-1)
        return bits.reshape(*bits.shape[:2], GRID, GRID)

    def seen(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which segments the injected artery of some runs fills, bool (len(rows), 18)."""
        left, right = (
            self.states[self.study[rows], :, STATE_COLUMNS.index(side)] > 0
            for side in ("left", "right")
        )
        return np.where(self.right[rows, None], right, left)


def draw_study(settings: SetSettings, index: int) -> PhantomStudy:
    """Draw a study of a set."""
    anatomy = draw_anatomy(generator(settings.seed, index, Purpose.ANATOMY))
    rng = generator(settings.seed, index, Purpose.DISEASE)
    mix = ENRICHED if rng.random() < settings.enriched_share else NATURAL
    disease = draw_disease(rng, anatomy, mix)
    protocol = draw_protocol(generator(settings.seed, index, Purpose.PICTURES))
    unusual = generator(settings.seed, index, Purpose.PICTURES, 1)
    if unusual.random() < settings.spread_share:
        protocol = spread(unusual, protocol)
    return PhantomStudy(anatomy, disease, visible(anatomy, disease), protocol)


def write_training_set(
    folder: Path,
    settings: SetSettings,
    *,
    choose: ChooseFrames,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the shards of a set that are not there yet.

    Parameters
    ----------
    folder : Path
    settings : SetSettings
    choose : ChooseFrames
        How the encoder chooses its frames; can be pickled when there are several workers.
    workers : int
        Processes.
    on_progress : callable, optional
        Told how many shards of how many are there.

    Raises
    ------
    UsageError
        The folder holds a set of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, settings)
    count = -(-settings.studies // settings.shard_studies)
    wanted = [i for i in range(count) if not shard_path(folder, i).exists()]
    tell = on_progress or (lambda done, total: None)
    tell(count - len(wanted), count)
    if workers == 1:
        for done, shard in enumerate(wanted, count - len(wanted) + 1):
            write_shard(folder, settings, shard, choose)
            tell(done, count)
        return
    with renderers(workers) as pool:
        jobs = [pool.submit(write_shard, folder, settings, shard, choose) for shard in wanted]
        for done, job in enumerate(as_completed(jobs), count - len(wanted) + 1):
            job.result()
            tell(done, count)


def write_shard(folder: Path, settings: SetSettings, shard: int, choose: ChooseFrames) -> None:
    """Render one shard and put it in its place."""
    first = shard * settings.shard_studies
    runs: dict[str, list[Any]] = {name: [] for name in _ARRAYS[:_OF_RUNS]}
    studies: dict[str, list[Any]] = {name: [] for name in _ARRAYS[_OF_RUNS:]}
    for number in range(first, min(first + settings.shard_studies, settings.studies)):
        study = draw_study(settings, number)
        for name, value in _study_rows(study).items():
            studies[name].append(value)
        for row in _run_rows(study, settings, number, choose):
            for name, value in row.items():
                runs[name].append(value)
    aside = folder / f".{shard_path(folder, shard).name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for name, values in (runs | studies).items():
        np.save(aside / f"{name}.npy", np.stack(values))
    aside.rename(shard_path(folder, shard))


def open_training_set(folder: Path) -> TrainingSet:
    """Open all shards of a folder.

    Raises
    ------
    UsageError
        There is none.
    """
    shards = sorted(folder.glob("shard-*"))
    if not shards:
        raise UsageError(f"no training set in {folder}", "write one: make phantom-encoder")
    arrays: dict[str, Any] = {
        name: np.concatenate([np.load(shard / f"{name}.npy") for shard in shards])
        for name in _ARRAYS[1:]
    }
    arrays["study"] = _renumber(arrays["study"])
    clips = tuple(np.load(shard / "clips.npy", mmap_mode="r") for shard in shards)
    return TrainingSet(clips=clips, **arrays)


def shard_path(folder: Path, shard: int) -> Path:
    """Return where a shard lies."""
    return folder / f"shard-{shard:05d}"


def _claim(folder: Path, settings: SetSettings) -> None:
    wanted = asdict(settings) | {"concepts": len(CONCEPTS), "version": 1}
    file = folder / _SETTINGS
    if not file.exists():
        file.write_text(json.dumps(wanted, indent=1) + "\n")
    elif (found := json.loads(file.read_text())) != wanted:
        raise UsageError(
            f"{folder} holds a set of other settings: {found}; expected {wanted}",
            "name another folder, or remove this one",
        )


def _study_rows(study: PhantomStudy) -> Mapping[str, Any]:
    return {
        "states": states(study.anatomy, study.visible),
        "lvef": np.float32(study.visible.lvef_percent),
        "dominance": np.int64(DOMINANCE.index(study.anatomy.dominance)),
        "study_labels": labels(study.anatomy, study.visible),
    }


def states(anatomy: Anatomy, disease: Disease) -> NDArray[np.float32]:
    """Return `STATE_COLUMNS` of each segment, float32 (18, 7)."""
    found = np.zeros((len(SEGMENTS), len(STATE_COLUMNS)), np.float32)
    for i, segment in enumerate(SEGMENTS):
        state = disease.state(segment)
        artery = anatomy.artery(segment) if segment in anatomy.segments else None
        found[i] = (
            *(state.stenosis_percent, state.cto, state.thrombus, state.calcification),
            *(state.stent, artery == "left", artery == "right"),
        )
    return found


def _run_rows(
    study: PhantomStudy, settings: SetSettings, number: int, choose: ChooseFrames
) -> Iterator[Mapping[str, Any]]:
    for acquisition in study.acquisitions:
        rng = np.random.default_rng([settings.seed, number, acquisition.seed])
        onset = 1000 * arrival_s(study.anatomy, study.disease, acquisition) + ONSET_DELAY_MS
        onset += 1000 * settings.onset_jitter_s * rng.standard_normal()
        frames = choose(acquisition.n_frames, acquisition.frame_time_ms, onset)
        maps = truth_maps(study.anatomy, study.disease, acquisition, grid=GRID, frames=frames)
        yield {
            "clips": _clip(study, acquisition, frames, fine=rng.random() < settings.fine_share),
            "segments": _quantised(maps.segments),
            "lesions": np.packbits(maps.lesions.reshape(len(maps.lesions), -1), axis=-1),
            "study": np.int64(number),
            "right": acquisition.artery == "right",
            "angles": np.array([acquisition.primary_deg, acquisition.secondary_deg], np.float32),
            "video_labels": labels(study.anatomy, study.visible, artery=acquisition.artery),
        }


def _clip(
    study: PhantomStudy, acquisition: Acquisition, frames: list[int], *, fine: bool
) -> NDArray[np.uint8]:
    scale = 2 if fine else 1
    pictures = render(
        study.anatomy, study.disease, acquisition, size=scale * CLIP_SIZE, frames=frames
    )
    blocks = pictures.reshape(len(frames), CLIP_SIZE, scale, CLIP_SIZE, scale)
    small: NDArray[np.uint8] = np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
    return small


def _quantised(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    peak = maps.max(axis=(1, 2), keepdims=True)
    scaled: NDArray[np.uint8] = np.rint(255 * maps / np.where(peak > 0, peak, 1)).astype(np.uint8)
    return scaled


def _renumber(study: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give studies new numbers from 0, in the order that they come in."""
    return np.cumsum(np.diff(study, prepend=study[:1]) != 0, dtype=np.int64)


def set_digest(folder: Path) -> str:
    """Return the SHA-256 of all labels and truth of a set, and of every clip's bytes."""
    digest = hashlib.sha256()
    for shard in sorted(folder.glob("shard-*")):
        for name in _ARRAYS:
            with (shard / f"{name}.npy").open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
