"""The specification of a `deepcoro-clip` encoder, with finding heads and a text encoder or without.

Each of the three parts comes from a file of its own, at a time of its own.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.schema import CLIP_FRAMES, EMBEDDING_DIM
from core.segments import HEADS
from embedder.encoders.spec import EncoderSpec, FileRef, Profile, StudyRule, digest
from embedder.sampling import ClipRule

FRAME_SIZE = 224
"""Rows and columns of a frame as the model sees it."""
MAX_DEPTH = 64
"""More aggregator blocks than anybody has; the count comes from files."""
PADDED_VIDEOS = 10
"""Videos per study to which the original pads with zero clips."""

TokenPooling = Literal["mean", "attention", "cls_token"]
Padding = Literal["masked", "unmasked"]
Mode = Literal["masked", "exact"]
HeadsPooling = Literal[
    "mean", "max", "attention", "cls_token", "mean+cls_token", "attention+cls_token"
]
HeadsNorm = Literal["post_norm", "pre_norm"]


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


@final
class DeepCoroSpec(EncoderSpec):
    """The whole of `encoder.json`.

    Attributes
    ----------
    mean, std : float
        Statistics of the training pixels, 0 to 255.  No checkpoint holds them.
    token_pooling : {"mean", "attention", "cls_token"}
        How the tokens of a clip become one vector.
    heads, depth : int
        Attention heads and blocks of the aggregator.  No checkpoint tells the heads.  Depth 0
        means no aggregator and so no joint space with text: the embedding of a video is its pooled
        vector, normalised (encoders that were tuned for finding heads).
    study_rule : {"aggregator", "mean"}
        "aggregator" only for encoders trained on several videos.
    padding : {"masked", "unmasked"}
        With "unmasked" the aggregator sees zero clips up to `padded_videos`, and no video beyond
        them, as the original does; otherwise it sees the study's videos and nothing else.
    clip_rounding : {"float16"} or None
        Clips are rounded to it before the encoder, as the original's release does.
    source : FileRef
        The checkpoint that the weights came from.
    findings : HeadsSpec or None
    text : TextSpec or None
        Parts of their own, with ids of their own.
    """

    notice: ClassVar[str | None] = None

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
    source: FileRef
    findings: HeadsSpec | None = None
    text: TextSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> DeepCoroSpec:
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
    def clip_rule(self) -> ClipRule:
        """How clips are made: of the whole cine, evenly, as the original does."""
        return ClipRule(self.profile)

    @property
    def head_names(self) -> tuple[str, ...]:
        """The finding heads, in the order of their outputs; empty without."""
        return self.findings.names if self.findings is not None else ()

    @property
    def encoder_id(self) -> str:
        """The name, and 12 hex digits of the SHA-256 of all that the vectors depend on."""
        pinned = self.model_dump(mode="json", exclude={"findings", "text"})
        if self.clip_rounding is None:  # a later field: ids from before it stay as they are
            del pinned["clip_rounding"]
        return f"{self.name}-{digest(pinned)}"

    @property
    def heads_id(self) -> str | None:
        """What names the finding heads: 12 hex digits of all that the findings depend on."""
        if self.findings is None:
            return None
        frames = {"frames": self.frames, "size": self.size, "profile": self.profile}
        return f"heads-{digest(frames | _numbers(self.findings))}"

    @property
    def text_id(self) -> str | None:
        """What names the text encoder: 12 hex digits of all that a query's vector depends on."""
        if self.text is None:
            return None
        return f"text-{digest(_numbers(self.text))}"

    @property
    def video_files(self) -> tuple[FileRef, ...]:
        """The files of the video encoder and the finding heads."""
        found = [self.weights]
        if self.findings is not None:
            found += [self.findings.weights, self.findings.video]
        return tuple(dict.fromkeys(found))

    @property
    def text_files(self) -> tuple[FileRef, ...]:
        """The files of the text encoder, as far as they are there."""
        if self.text is None:
            return ()
        return tuple(each for each in (self.text.weights, self.text.vocabulary) if each is not None)


def _numbers(part: HeadsSpec | TextSpec) -> dict[str, Any]:
    """Return what the numbers of a part depend on: files by content, whatever their names."""
    facts = part.model_dump(mode="json", exclude={"source"})
    return {
        name: value["sha256"] if isinstance(value, dict) else value for name, value in facts.items()
    }
