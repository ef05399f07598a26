"""What an encoder is: what every `encoder.json` says, its vectors, and the `Encoder` protocol.

A folder holds up to three parts: the video encoder, whose vectors make a space; finding heads; a
text encoder.  Each id hashes all that its numbers depend on, so two encoders that could give
different vectors never share an id, and a vocabulary or heads that come later leave the vectors in
a store as they are.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from embedder.sampling import ClipRule

Profile = Literal["display", "original"]
StudyRule = Literal["aggregator", "mean"]
PrecisionName = Literal["fp32", "bf16"]
LEAST_COSINE = 0.9998
"""Of a vector computed in bfloat16 to the same in float32: below it an encoder is not used so."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A bare file name: a specification can never point outside its own folder.
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=255)]


class FileRef(BaseModel):
    """A file, by name and content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: FileName
    sha256: Sha256


class EncoderSpec(BaseModel, ABC):
    """What every `encoder.json` says; each architecture says more.

    Attributes
    ----------
    notice : str or None
        What must be said wherever the encoder is used.
    name : str
        Lower-case letters, digits and hyphens; at most 41 characters.
    architecture : str
        Which specification this is.
    dim, frames, size : int
        Length of a vector; frames of a clip; rows and columns of a frame as the model sees it.
    profile : {"display", "original"}
        How stored DICOM pixels become 8-bit grey; the decoder knows what it means.
    study_rule : {"aggregator", "mean"}
        How the videos of a study become one vector: the aggregator over them in order, or the
        normalised mean of their embeddings.
    weights : FileRef
        The safetensors file of the video encoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    notice: ClassVar[str | None]

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    architecture: str
    dim: int
    frames: int
    size: int
    profile: Profile
    study_rule: StudyRule
    weights: FileRef

    @property
    @abstractmethod
    def clip_rule(self) -> ClipRule:
        """How clips are made of cines."""

    @property
    @abstractmethod
    def is_joint(self) -> bool:
        """Whether the vectors are in a joint space with text."""

    @property
    @abstractmethod
    def can_read_text(self) -> bool:
        """Whether there is a text encoder with its vocabulary."""

    @property
    @abstractmethod
    def head_names(self) -> tuple[str, ...]:
        """The finding heads, in the order of their outputs; empty without."""

    @property
    @abstractmethod
    def encoder_id(self) -> str:
        """The name, and 12 hex digits of the SHA-256 of all that the vectors depend on."""

    @property
    @abstractmethod
    def heads_id(self) -> str | None:
        """What names the finding heads: 12 hex digits of all that the findings depend on."""

    @property
    @abstractmethod
    def text_id(self) -> str | None:
        """What names the text encoder: 12 hex digits of all that a query's vector depends on."""

    @property
    @abstractmethod
    def video_files(self) -> tuple[FileRef, ...]:
        """The files of the video encoder and the finding heads."""

    @property
    @abstractmethod
    def text_files(self) -> tuple[FileRef, ...]:
        """The files of the text encoder, as far as they are there."""

    @property
    def files(self) -> tuple[FileRef, ...]:
        """Every file beside `encoder.json`, once."""
        return tuple(dict.fromkeys(self.video_files + self.text_files))

    def to_json(self) -> str:
        """Return the text of `encoder.json`."""
        return self.model_dump_json(indent=2) + "\n"


def digest(pinned: Mapping[str, Any]) -> str:
    """Return 12 hex digits that stand for some facts, whatever their order."""
    canonical = json.dumps(pinned, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Precision:
    """What the vectors of an encoder are computed in.

    Attributes
    ----------
    name : {"fp32", "bf16"}
    cosine : float
        Of the check clip's embedding to that in float32, by the same weights on the same device.
    """

    name: PrecisionName
    cosine: float


FULL = Precision("fp32", 1.0)


@dataclass(frozen=True)
class VideoVectors:
    """The vectors of some videos, row by row.

    Attributes
    ----------
    pooled : float32 array of shape (videos, 512)
        Before the aggregator, not normalised.
    embedding : float32 array of shape (videos, 512)
        Joint space (the aggregator over that video alone), L2-normalised.
    summaries : float32 array of shape (videos, parts, width) or None
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
    pooled : float32 array of shape (width,)
        What the heads read, as one vector.
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
    def clip_rule(self) -> ClipRule:
        """How its clips must have been made of cines."""
        ...

    @property
    def precision(self) -> Precision:
        """What its videos are computed in."""
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

    def encode_studies(self, studies: Sequence[VideoVectors]) -> NDArray[np.float32]:
        """Combine the videos of each of several studies, into float32 (studies, 512).

        As `encode_study` would, but for float32 rounding, in a fraction of the time.
        """
        ...

    def encode_findings(self, videos: VideoVectors) -> Findings | None:
        """Say what is found in one study's videos, in their order; None without heads."""
        ...


@dataclass(frozen=True)
class Coverage:
    """Which words of a text a text encoder knows.

    Attributes
    ----------
    known, unknown : tuple of str
        As in the text, each once.  Numbers and words such as "of" are neither.
    """

    known: tuple[str, ...]
    unknown: tuple[str, ...]


@runtime_checkable
class TextEmbedder(Protocol):
    """Places texts in the space of an encoder."""

    @property
    def encoder_id(self) -> str:
        """The id of the vector space."""
        ...

    @property
    def text_id(self) -> str | None:
        """The id of the text encoder, which names all that a text's vector depends on."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into float32 (texts, 512), L2-normalised."""
        ...

    def coverage(self, text: str) -> Coverage | None:
        """Tell which words of a text it knows; None when it can read any word."""
        ...
