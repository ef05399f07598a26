"""The parts of an encoder folder, each written from a checkpoint: video, text, finding heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import EncoderError, UsageError
from embedder.encoders.deepcoro_spec import (
    MAX_DEPTH,
    PADDED_VIDEOS,
    DeepCoroSpec,
    HeadsSpec,
    TextSpec,
)
from embedder.encoders.importing.folder import (
    HEADS_FILE,
    HEADS_VIDEO_FILE,
    TEXT_FILE,
    WEIGHTS_FILE,
    take_file,
    write_tensors,
)
from embedder.encoders.importing.heads import heads_facts
from embedder.encoders.importing.options import ImportOptions, space_facts, specification
from embedder.encoders.importing.reader import HINT, Checkpoint, read_checkpoint
from embedder.encoders.registry import file_sha256
from embedder.encoders.spec import FileRef
from embedder.encoders.text_encoder import IGNORED_KEYS, TextEncoder
from embedder.encoders.tokenizer import Tokenizer
from embedder.encoders.weights import fit, shapes_of, video_encoder_shapes

RELEASE_STATISTICS = (122.09012603759766, 28.790834426879883)
"""Mean and standard deviation of the stenosis release, the one probing checkpoint in public."""


class Parts:
    """Writes the parts of an encoder into a folder.

    Parameters
    ----------
    folder : Path
    options : ImportOptions

    Attributes
    ----------
    unused : dict of str to list of str
        By checkpoint: the names that no part uses.
    notes : list of str
        What was assumed, or is still missing.
    """

    def __init__(self, folder: Path, options: ImportOptions) -> None:
        self.folder = folder
        self.options = options
        self.unused: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self._video: dict[str, Tensor] = {}

    def space(self, source: Checkpoint, *, name: str) -> dict[str, Any]:
        """Write the video encoder of the joint space; return the facts of its specification."""
        options = self.options
        if options.mean is None or options.std is None:
            raise UsageError(
                f"{source.path.name} needs the pixel statistics of its training: no checkpoint "
                "holds them",
                "give --mean and --std; docs/encoders.md lists those that are known",
            )
        has_aggregator = any(key.startswith("aggregator.") for key in source.video)
        depth = _depth(source) if has_aggregator or source.text else 0
        if not depth:
            self.notes.append(
                f"{source.path.name} has no aggregator: the vectors are pooled tokens, and text "
                "cannot be searched"
            )
        facts = space_facts(options, name=name, statistics=(options.mean, options.std), depth=depth)
        return facts | self._write_video(source, facts)

    def tuned_space(self, source: Checkpoint, *, name: str) -> dict[str, Any]:
        """Write the video encoder of a probing checkpoint as a space of its own."""
        options = self.options
        if options.study_rule != "mean" or options.token_pooling != "mean":
            raise UsageError(
                f"{source.path.name} is a probing checkpoint: the videos of a study, and the "
                "tokens of a video, can only be averaged",
                "leave --study-rule and --token-pooling out, or offer the contrastive checkpoint",
            )
        given = (options.heads_mean, options.heads_std)
        if None in given:  # there is one video encoder, so --mean and --std can mean no other
            given = (options.mean, options.std)
        facts = space_facts(options, name=name, statistics=self._heads_statistics(*given), depth=0)
        self.notes.append(
            "a probing checkpoint alone: similar cases are by the pooled tokens of its encoder; "
            "text needs the contrastive checkpoint"
        )
        rounding = "float16" if options.mode == "exact" else None
        facts |= {"clip_rounding": rounding, "token_pooling": "mean"}
        return facts | self._write_video(source, facts)

    def text(
        self, state: dict[str, Tensor], source: Path, vocabulary: Path | None
    ) -> TextSpec | None:
        """Write the text encoder, if there is one, and its vocabulary, if that is there."""
        if not state:
            if vocabulary is not None:
                self.notes.append(f"{vocabulary.name} was left out: there is no text encoder")
            return None
        known = {key: value for key, value in state.items() if key not in IGNORED_KEYS}
        hint = "is this the text encoder of a contrastive checkpoint?"
        tensors, unused = fit(known, shapes_of(TextEncoder), what=source.name, hint=hint)
        self.unused.setdefault(source.name, []).extend(unused)
        weights = write_tensors(self.folder, TEXT_FILE, tensors)
        if vocabulary is None:
            self.notes.append(
                "the text encoder has no vocabulary yet, so text cannot be searched: "
                "angioatlas encoders add NAME --tokenizer FOLDER (docs/encoders.md)"
            )
        return TextSpec(
            weights=weights,
            source=_reference(source),
            vocabulary=self._take_vocabulary(vocabulary) if vocabulary else None,
        )

    def vocabulary(self, spec: DeepCoroSpec, source: Path, *, overwrite: bool) -> TextSpec:
        """Bring a vocabulary to the text encoder that an encoder has."""
        if spec.text is None:
            raise UsageError(
                f"{spec.name} has no text encoder, so a vocabulary is of no use to it",
                "import the contrastive checkpoint, whose text encoder it belongs to",
            )
        if spec.text.vocabulary is not None and not overwrite:
            raise UsageError(f"{spec.name} has a vocabulary already", "add --overwrite")
        return spec.text.model_copy(update={"vocabulary": self._take_vocabulary(source)})

    def findings(self, source: Checkpoint, space: DeepCoroSpec) -> HeadsSpec:
        """Write finding heads, and their video encoder unless it is the one of the space."""
        options = self.options
        facts, tensors, unused = heads_facts(
            source.heads,
            what=source.path.name,
            pooling=options.heads_pooling,
            attention_heads=options.attention_heads,
            norm=options.heads_norm,
        )
        self.unused.setdefault(source.path.name, []).extend(unused)
        video = self._heads_video(source, space)
        if not space.is_joint and video == space.weights and options.heads_mean is None:
            mean, std = space.mean, space.std  # one video encoder, tuned for these heads
        else:
            mean, std = self._heads_statistics(options.heads_mean, options.heads_std)
        is_exact = options.mode == "exact"
        if is_exact and space.profile != "original":
            self.notes.append(
                f"exact in all but the pixels: this encoder has profile {space.profile}; for "
                "pixels as stored import it with --profile original"
            )
        return specification(
            HeadsSpec,
            facts
            | {
                "weights": write_tensors(self.folder, HEADS_FILE, tensors),
                "video": video,
                "source": _reference(source.path),
                "mean": mean,
                "std": std,
                "mode": options.mode,
                "padded_videos": PADDED_VIDEOS if is_exact else None,
            },
        )

    def _heads_video(self, source: Checkpoint, space: DeepCoroSpec) -> FileRef:
        expected = video_encoder_shapes(heads=1, depth=0, token_pooling="mean")
        tensors, unused = fit(source.video, expected, what=source.path.name, hint=HINT)
        self.unused[source.path.name] += [key for key in unused if not _is_known_unused(key)]
        if not self._video:
            self._video = read_checkpoint(self.folder / space.weights.file).video
        same = all(
            key in self._video and torch.equal(self._video[key], tensor)
            for key, tensor in tensors.items()
        )
        if same:
            return space.weights
        return write_tensors(self.folder, HEADS_VIDEO_FILE, tensors)

    def _heads_statistics(self, mean: float | None, std: float | None) -> tuple[float, float]:
        if mean is not None and std is not None:
            return mean, std
        self.notes.append(
            f"the pixel statistics of the stenosis release were taken for the finding heads "
            f"({RELEASE_STATISTICS[0]:.2f}, {RELEASE_STATISTICS[1]:.2f}); for another probing "
            "checkpoint give --heads-mean and --heads-std"
        )
        return RELEASE_STATISTICS

    def _write_video(self, source: Checkpoint, facts: dict[str, Any]) -> dict[str, Any]:
        pooling = facts["token_pooling"]
        expected = video_encoder_shapes(
            heads=facts["heads"], depth=facts["depth"], token_pooling=pooling
        )
        hint = f"is this a checkpoint with --token-pooling {pooling}?"
        self._video, unused = fit(source.video, expected, what=source.path.name, hint=hint)
        self.unused[source.path.name] = [
            *source.ignored,
            *(key for key in unused if facts["depth"] or not _is_known_unused(key)),
        ]
        return {
            "weights": write_tensors(self.folder, WEIGHTS_FILE, self._video),
            "source": _reference(source.path),
        }

    def _take_vocabulary(self, source: Path) -> FileRef:
        Tokenizer.load(source)  # refuses another model's
        # Under a name of ours: that of the source could be one of the folder's other files.
        name = "tokenizer.json" if source.suffix == ".json" else "vocab.txt"
        return take_file(source, self.folder / name)


def _depth(source: Checkpoint) -> int:
    prefix = "aggregator.blocks."
    found = len({key.split(".")[2] for key in source.video if key.startswith(prefix)})
    if found > MAX_DEPTH:
        raise EncoderError(
            f"{source.path.name} holds {found} aggregator blocks, expected {MAX_DEPTH} at most",
            HINT,
        )
    # Without any block the missing ones are named with all that is missing.
    return max(1, found)


def _is_known_unused(key: str) -> bool:
    """Whether a probing checkpoint always has it and its heads never read it."""
    return key.startswith("aggregator.")


def _reference(path: Path) -> FileRef:
    return FileRef(file=path.name, sha256=file_sha256(path))
