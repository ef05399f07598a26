"""What an encoder is: its specification (`encoder.json`), its vectors, and the `Encoder` protocol.

A vector space is pinned by the whole specification: `EncoderSpec.encoder_id` hashes every field, so
two encoders that could give different vectors never share an id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.schema import CLIP_FRAMES, EMBEDDING_DIM

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

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A bare file name: a specification can never point outside its own folder.
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=255)]


class FileRef(BaseModel):
    """A file, by name and content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: FileName
    sha256: Sha256


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
        Attention heads and blocks of the aggregator.  No checkpoint tells the heads.
    study_rule : {"aggregator", "mean"}
        How the videos of a study become one vector: the aggregator over them in order (only for
        encoders trained on several videos), or the normalised mean of their embeddings.
    padding : {"masked", "unmasked"}
        With "unmasked" the aggregator sees zero clips up to `padded_videos`, and no video beyond
        them, as the original does; otherwise it sees the study's videos and nothing else.
    weights, source : FileRef
        The safetensors file beside `encoder.json`, and the checkpoint that it came from.
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
    depth: Annotated[int, Field(ge=1, le=MAX_DEPTH)]
    study_rule: StudyRule
    padding: Padding = "masked"
    padded_videos: Annotated[int, Field(ge=1, le=1024)] | None = None
    weights: FileRef
    source: FileRef

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
        return self

    @property
    def encoder_id(self) -> str:
        """The name and the first 12 hex digits of the SHA-256 of the canonical JSON."""
        canonical = json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )
        return f"{self.name}-{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"

    def to_json(self) -> str:
        """Return the text of `encoder.json`."""
        return self.model_dump_json(indent=2) + "\n"


@dataclass(frozen=True)
class VideoVectors:
    """The vectors of some videos, row by row.

    Attributes
    ----------
    pooled : float32 array of shape (videos, 512)
        Before the aggregator, not normalised.
    embedding : float32 array of shape (videos, 512)
        Joint space (the aggregator over that video alone), L2-normalised.
    """

    pooled: NDArray[np.float32]
    embedding: NDArray[np.float32]


@runtime_checkable
class Encoder(Protocol):
    """Turns clips into vectors of one space."""

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
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
