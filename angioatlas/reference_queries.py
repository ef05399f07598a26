"""A fixed battery of sentences, which stands for what is asked of a store in words.

Scores of texts are calibrated on it, and it serves wherever typical text queries are needed.  A
change of a sentence changes what a score of a text means.
"""

from __future__ import annotations

from typing import Final

from core.segments import SEGMENTS, VESSELS

_OF_SEGMENTS: Final = ("{} severe stenosis", "{} occlusion", "calcified {}", "thrombus in {}")
_OF_VESSELS: Final = (
    "{} significant stenosis",
    "chronic total occlusion of the {}",
    "stent in the {}",
    "calcification of the {}",
    "no significant stenosis of the {}",
)
_OF_HEARTS: Final = (
    "normal coronary arteries",
    "no significant coronary artery disease",
    "multivessel disease",
    "three vessel disease",
    "left main disease",
    "left dominant circulation",
    "right dominant circulation",
    "collateral filling",
    "reduced ejection fraction",
    "severely calcified coronary arteries",
    "chronic total occlusion",
    "acute thrombotic occlusion",
    "coronary stent",
)

REFERENCE_QUERIES: Final[tuple[str, ...]] = (
    *(each.format(name) for name in SEGMENTS.values() for each in _OF_SEGMENTS),
    *(each.format(name) for name in VESSELS for each in _OF_VESSELS),
    *_OF_HEARTS,
)
"""The sentences: segments, vessels, then whole hearts."""
