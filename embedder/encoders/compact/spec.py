"""The specification of a `phantom-mini` encoder: all of its parts are trained together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, final

from pydantic import Field

from core.segments import HEADS
from embedder.encoders.spec import EncoderSpec, FileRef, digest
from embedder.sampling import ClipRule

ARCHITECTURE: Final = "phantom-mini"
WINDOW_MS: Final = 4000.0
"""Length of the window that the frames are chosen from, milliseconds."""


@final
class CompactSpec(EncoderSpec):
    """The whole of `encoder.json`.

    Attributes
    ----------
    window_ms : float
        Length of the window that the frames are chosen from, milliseconds.
    heads, text, lexicon : FileRef
        The weights of the finding heads and of the text tower, and the words it was trained with.
    training : mapping of str to str or number
        How the weights were made, for people; no id depends on it.
    """

    notice: ClassVar[str | None] = (
        "phantom-mini was trained on phantom angiograms alone: its vectors and findings have no "
        "clinical meaning; for real angiograms import the published weights "
        "(angioatlas encoders import)"
    )

    architecture: Literal["phantom-mini"] = ARCHITECTURE
    dim: Literal[512] = 512
    frames: Literal[16] = 16
    size: Literal[128] = 128
    profile: Literal["display"] = "display"
    study_rule: Literal["aggregator"] = "aggregator"
    window_ms: Annotated[float, Field(gt=0, le=60_000)] = WINDOW_MS
    heads: FileRef
    text: FileRef
    lexicon: FileRef
    training: Mapping[str, str | int | float]

    @property
    def clip_rule(self) -> ClipRule:
        """How clips are made: of a window of time around the arrival of contrast medium."""
        return ClipRule(self.profile, self.window_ms)

    @property
    def is_joint(self) -> bool:
        """Whether the vectors are in a joint space with text: always."""
        return True

    @property
    def can_read_text(self) -> bool:
        """Whether there is a text encoder with its vocabulary: always."""
        return True

    @property
    def head_names(self) -> tuple[str, ...]:
        """The finding heads: all that are known."""
        return HEADS

    @property
    def encoder_id(self) -> str:
        """The name, and 12 hex digits of the SHA-256 of all that the vectors depend on."""
        apart = {"heads", "text", "lexicon", "training"}
        return f"{self.name}-{digest(self.model_dump(mode='json', exclude=apart))}"

    @property
    def heads_id(self) -> str:
        """What names the finding heads: 12 hex digits of all that the findings depend on."""
        clips = self.model_dump(mode="json", include={"frames", "size", "profile", "window_ms"})
        files = {"weights": self.weights.sha256, "heads": self.heads.sha256}
        return f"heads-{digest(clips | files)}"

    @property
    def text_id(self) -> str:
        """What names the text tower: 12 hex digits of what a query's vector and note depend on."""
        return f"text-{digest({'text': self.text.sha256, 'lexicon': self.lexicon.sha256})}"

    @property
    def video_files(self) -> tuple[FileRef, ...]:
        """The files of the video encoder and the finding heads."""
        return self.weights, self.heads

    @property
    def text_files(self) -> tuple[FileRef, ...]:
        """The files of the text tower."""
        return self.text, self.lexicon
