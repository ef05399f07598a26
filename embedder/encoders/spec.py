"""What an encoder is: its specification (`encoder.json`), its vectors, and the `Encoder` protocol.

A folder holds up to three parts: the video encoder, whose vectors make a space; finding heads; a
text encoder.  Each id hashes all that its numbers depend on, so two encoders that could give
different vectors never share an id, and a vocabulary or heads that come later leave the vectors in
a store as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.schema import CLIP_FRAMES, EMBEDDING_DIM
from core.segments import HEADS

FRAME_SIZE = 224
"""Rows and columns of a frame as the model sees it."""
MAX_DEPTH = 64
"""More aggregator blocks than anybody has; the count comes from files."""
PADDED_VIDEOS = 10
"""Videos per study to which the original pads with zero clips."""

Profile = Literal["display", "original"]
TokenPooling = Literal["mean", "attention", "cls_token"]
StudyRule = Literal["aggregator", "mean"]
Padding = Literal["masked", "unmasked"]
Mode = Literal["masked", "exact"]
HeadsPooling = Literal[
    "mean", "max", "attention", "cls_token", "mean+cls_token", "attention+cls_token"
]
HeadsNorm = Literal["post_norm", "pre_norm"]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A bare file name: a specification can never point outside its own folder.
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=255)]


class FileRef(BaseModel):
    """A file, by name and content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: FileName
    sha256: Sha256


class HeadsSpec(BaseModel):
    """Finding heads over the tokens of a study's videos.

    Attributes
    ----------
    video : FileRef
        The video encoder whose tokens the heads read; may be the encoder's own file.
    mean, std : float
        Statistics of that encoder's training pixels, 0 to 255.
    pooling, hidden, separate : str, int, bool
        As the weights have it; see `embedder.encoders.finding_heads`.
    attention_heads, norm : int, str
        Not in any checkpoint.  The release runs with 8 and "post_norm", whatever its configuration
        file says.
    mode : {"masked", "exact"}
        "exact" does as the original: clips rounded to float16, the first `padded_videos` videos of
        a study, zero clips up to that number, which the heads attend to.  "masked" takes every
        video of the study and nothing else.
    names : tuple of str
        The heads, of `core.segments.HEADS`, in the order of the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weights: FileRef
    video: FileRef
    source: FileRef
    mean: Annotated[float, Field(ge=0, le=255)]
    std: Annotated[float, Field(gt=0, le=255)]
    pooling: HeadsPooling
    hidden: Annotated[int, Field(ge=1, le=4096)]
    attention_heads: Annotated[int, Field(ge=1)]
    separate: bool
    norm: HeadsNorm
    mode: Mode = "masked"
    padded_videos: Annotated[int, Field(ge=1, le=1024)] | None = None
    names: tuple[str, ...]

    @model_validator(mode="after")
    def _consistent(self) -> HeadsSpec:
        if EMBEDDING_DIM % self.attention_heads:
            raise ValueError(
                f"attention_heads must divide {EMBEDDING_DIM}, found {self.attention_heads}"
            )
        if (self.mode == "exact") != (self.padded_videos is not None):
            raise ValueError("padded_videos goes with mode 'exact', and only with it")
        unknown = [name for name in self.names if name not in HEADS]
        if unknown or not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"expected heads that are known, each once; found {unknown[:5]}")
        return self

    @property
    def rounds_clips(self) -> bool:
        """Whether clips are rounded to float16 before the encoder, as the original's release."""
        return self.mode == "exact"


class TextSpec(BaseModel):
    """The text encoder of a joint space; without a vocabulary it cannot read any text yet."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weights: FileRef
    source: FileRef
    vocabulary: FileRef | None = None


class EncoderSpec(BaseModel):
    """The whole of `encoder.json`.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and hyphens; at most 41 characters.
    mean, std : float
        Statistics of the training pixels, 0 to 255.  No checkpoint holds them.
    profile : {"display", "original"}
        How stored DICOM pixels become 8-bit grey; the decoder knows what it means.
    token_pooling : {"mean", "attention", "cls_token"}
        How the tokens of a clip become one vector.
    heads, depth : int
        Attention heads and blocks of the aggregator.  No checkpoint tells the heads.  Depth 0
        means no aggregator and so no joint space with text: the embedding of a video is its pooled
        vector, normalised (encoders that were tuned for finding heads).
    study_rule : {"aggregator", "mean"}
        How the videos of a study become one vector: the aggregator over them in order (only for
        encoders trained on several videos), or the normalised mean of their embeddings.
    padding : {"masked", "unmasked"}
        With "unmasked" the aggregator sees zero clips up to `padded_videos`, and no video beyond
        them, as the original does; otherwise it sees the study's videos and nothing else.
    clip_rounding : {"float16"} or None
        Clips are rounded to it before the encoder, as the original's release does.
    weights, source : FileRef
        The safetensors file beside `encoder.json`, and the checkpoint that it came from.
    findings : HeadsSpec or None
    text : TextSpec or None
        Parts of their own, with ids of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    architecture: Literal["deepcoro-clip"] = "deepcoro-clip"
    dim: int = EMBEDDING_DIM
    frames: int = CLIP_FRAMES
    size: int = FRAME_SIZE
    mean: Annotated[float, Field(ge=0, le=255)]
    std: Annotated[float, Field(gt=0, le=255)]
    profile: Profile = "display"
    token_pooling: TokenPooling = "mean"
    heads: Annotated[int, Field(ge=1)]
    depth: Annotated[int, Field(ge=0, le=MAX_DEPTH)]
    study_rule: StudyRule
    padding: Padding = "masked"
    padded_videos: Annotated[int, Field(ge=1, le=1024)] | None = None
    clip_rounding: Literal["float16"] | None = None
    weights: FileRef
    source: FileRef
    findings: HeadsSpec | None = None
    text: TextSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> EncoderSpec:
        if (self.dim, self.frames, self.size) != (EMBEDDING_DIM, CLIP_FRAMES, FRAME_SIZE):
            raise ValueError(
                f"deepcoro-clip has dim {EMBEDDING_DIM}, frames {CLIP_FRAMES}, size {FRAME_SIZE}; "
                f"found {self.dim}, {self.frames}, {self.size}"
            )
        if self.dim % self.heads:
            raise ValueError(f"heads must divide {self.dim}, found {self.heads}")
        if self.padding == "unmasked" and self.study_rule != "aggregator":
            raise ValueError("padding 'unmasked' needs study_rule 'aggregator': a mean has no pad")
        if (self.padding == "unmasked") != (self.padded_videos is not None):
            raise ValueError("padded_videos goes with padding 'unmasked', and only with it")
        if not self.is_joint and (self.study_rule != "mean" or self.text is not None):
            raise ValueError("without an aggregator (depth 0) there is study_rule 'mean', no text")
        return self

    @property
    def is_joint(self) -> bool:
        """Whether the vectors are in a joint space with text."""
        return self.depth > 0

    @property
    def can_read_text(self) -> bool:
        """Whether there is a text encoder with its vocabulary."""
        return self.text is not None and self.text.vocabulary is not None

    @property
    def encoder_id(self) -> str:
        """The name, and 12 hex digits of the SHA-256 of all that the vectors depend on."""
        pinned = self.model_dump(mode="json", exclude={"findings", "text"})
        if self.clip_rounding is None:  # a later field: ids from before it stay as they are
            del pinned["clip_rounding"]
        return f"{self.name}-{_digest(pinned)}"

    @property
    def heads_id(self) -> str | None:
        """What names the finding heads: 12 hex digits of all that the findings depend on."""
        if self.findings is None:
            return None
        frames = {"frames": self.frames, "size": self.size, "profile": self.profile}
        return f"heads-{_digest(frames | _numbers(self.findings))}"

    @property
    def text_id(self) -> str | None:
        """What names the text encoder: 12 hex digits of all that a query's vector depends on."""
        if self.text is None:
            return None
        return f"text-{_digest(_numbers(self.text))}"

    @property
    def files(self) -> tuple[FileRef, ...]:
        """Every file beside `encoder.json`, once."""
        found = [self.weights]
        if self.findings is not None:
            found += [self.findings.weights, self.findings.video]
        if self.text is not None:
            found += [self.text.weights]
            found += [self.text.vocabulary] if self.text.vocabulary is not None else []
        return tuple(dict.fromkeys(found))

    def to_json(self) -> str:
        """Return the text of `encoder.json`."""
        return self.model_dump_json(indent=2) + "\n"


def _numbers(part: HeadsSpec | TextSpec) -> dict[str, Any]:
    """Return what the numbers of a part depend on: files by content, whatever their names."""
    facts = part.model_dump(mode="json", exclude={"source"})
    return {
        name: value["sha256"] if isinstance(value, dict) else value for name, value in facts.items()
    }


def _digest(pinned: Mapping[str, Any]) -> str:
    canonical = json.dumps(pinned, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class VideoVectors:
    """The vectors of some videos, row by row.

    Attributes
    ----------
    pooled : float32 array of shape (videos, 512)
        Before the aggregator, not normalised.
    embedding : float32 array of shape (videos, 512)
        Joint space (the aggregator over that video alone), L2-normalised.
    summaries : float32 array of shape (videos, parts, 512) or None
        What the finding heads keep of each video; None without heads.
    """

    pooled: NDArray[np.float32]
    embedding: NDArray[np.float32]
    summaries: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Findings:
    """What the finding heads say of one study.

    Attributes
    ----------
    raw : mapping of str to float
        By head: percent diameter stenosis (unbounded) or a logit, see `core.segments`.
    pooled : float32 array of shape (512,) or (1024,)
        The vector that the heads read.
    """

    raw: Mapping[str, float]
    pooled: NDArray[np.float32]


@runtime_checkable
class Encoder(Protocol):
    """Turns clips into vectors of one space."""

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        ...

    @property
    def heads_id(self) -> str | None:
        """The id of its finding heads; None without heads."""
        ...

    @property
    def frames(self) -> int:
        """Frames per clip."""
        ...

    @property
    def profile(self) -> str:
        """How the pixels of a clip must have been made 8-bit grey."""
        ...

    @property
    def batch_size(self) -> int:
        """Clips per call that suit the device."""
        ...

    def encode_videos(self, clips: Sequence[NDArray[np.uint8]]) -> VideoVectors:
        """Encode clips, uint8 of shape (frames, rows, columns), whose sizes may differ."""
        ...

    def encode_study(self, videos: VideoVectors) -> NDArray[np.float32]:
        """Combine one study's videos, in their order, into float32 (512,), L2-normalised."""
        ...

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        """Say what is found in one study's videos, in their order; None without heads."""
        ...


@runtime_checkable
class TextEmbedder(Protocol):
    """Places texts in the space of an encoder."""

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into float32 (texts, 512), L2-normalised."""
        ...
