"""The golden check of one's own weights: numbers for a fixed clip and text, made at the import.

Whoever holds the folder later, on another machine or with another version of torch, can have the
same clip encoded and compare.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import EncoderError
from core.schema import CLIP_FRAMES
from core.segments import FINDINGS, SEGMENTS, head_name
from embedder.encoders.spec import Encoder, TextEmbedder

SELF_CHECK_FILE = "self_check.json"
TOLERANCE = 1e-4
"""Relative L2.  Float32 noise is 1e-6; wrong weights or arithmetic give 1e-2 and more."""
CHECK_TEXT = "Severe stenosis of the proximal left anterior descending artery."
_SIZE = 96
_LOGITS = frozenset(
    head_name(segment, finding)
    for segment in SEGMENTS
    for finding in FINDINGS
    if finding.is_probability
)


@dataclass
class SelfCheck:
    """Numbers of one encoder.

    Attributes
    ----------
    vectors : dict of str to list of float
        `pooled` and `embedding` of the check clip, the `study` vector of it and its mirror image,
        and as far as there are such parts the findings of the two, `percentages` and `logits` in
        the order of the heads, and `text`.
    """

    vectors: dict[str, list[float]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of `self_check.json`."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, path: Path) -> SelfCheck | None:
        """Read a file; None when there is none, or it holds something else."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            vectors = {
                str(name): [float(value) for value in values]
                for name, values in content["vectors"].items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return cls(vectors)

    def distance(self, other: SelfCheck, name: str) -> float:
        """Return how far a vector of another check is from this one's: relative L2."""
        mine, theirs = (np.asarray(each.vectors.get(name, ())) for each in (self, other))
        if mine.shape != theirs.shape or not mine.size:
            return float("inf")
        return float(np.linalg.norm(mine - theirs) / max(float(np.linalg.norm(mine)), 1e-12))


def check_clip() -> NDArray[np.uint8]:
    """Return the check clip: dark branches that fill over a bright field, by integer arithmetic.

    Returns
    -------
    uint8 array of shape (16, 96, 96)
    """
    row, column = np.mgrid[0:_SIZE, 0:_SIZE]
    clip = np.empty((CLIP_FRAMES, _SIZE, _SIZE), np.uint8)
    for frame in range(CLIP_FRAMES):
        field_ = 170 + (row * 3 + column * 2) % 31 - (row * column) % 17
        filled = column <= 8 + frame * 6
        branch = (abs(row - 20 - column // 3) <= 2) | (abs(row - 70 + column // 2) <= 1)
        clip[frame] = np.where(branch & filled, 60, field_)
    return clip


def self_check(encoder: Encoder, text: TextEmbedder | None = None) -> SelfCheck:
    """Compute the numbers of an encoder.

    Raises
    ------
    EncoderError
        It gives numbers that are not finite.
    """
    clip = check_clip()
    videos = encoder.encode_videos([clip, np.ascontiguousarray(clip[:, :, ::-1])])
    found: dict[str, Any] = {
        "pooled": videos.pooled[0],
        "embedding": videos.embedding[0],
        "study": encoder.encode_study(videos),
    }
    findings = encoder.encode_findings(videos)
    if findings is not None:
        # Apart, or percentages, being larger, would hide logits that are off.
        logits = {name: value for name, value in findings.raw.items() if name in _LOGITS}
        found["percentages"] = [v for name, v in findings.raw.items() if name not in logits]
        found["logits"] = list(logits.values())
    if text is not None:
        found["text"] = text.encode([CHECK_TEXT])[0]
    for name, vector in found.items():
        if not np.isfinite(vector).all():
            raise EncoderError(
                f"the encoder gives {name} numbers that are not finite for the check clip",
                "the weights are damaged, or not those of this model: copy them again",
            )
    numbers = {name: [float(v) for v in vector] for name, vector in found.items()}
    return SelfCheck({name: vector for name, vector in numbers.items() if vector})
