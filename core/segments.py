"""The coronary segments, what is found in each, and the names that the published heads give them.

Eighteen segments times five findings are the ninety heads of the stenosis release.  A head's *raw*
output is percent diameter stenosis, unbounded, or a logit; its
*reported* value is that percentage as it is, or the probability (the logistic function of the
logit).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SEGMENTS: Final[dict[str, str]] = {
    "prox_rca": "proximal RCA",
    "mid_rca": "mid RCA",
    "dist_rca": "distal RCA",
    "pda": "posterior descending artery",
    "posterolateral": "right posterolateral branch",
    "left_main": "left main",
    "prox_lad": "proximal LAD",
    "mid_lad": "mid LAD",
    "dist_lad": "distal LAD",
    "D1": "first diagonal",
    "D2": "second diagonal",
    "prox_lcx": "proximal LCX",
    "mid_lcx": "mid LCX",
    "dist_lcx": "distal LCX",
    "om1": "first obtuse marginal",
    "om2": "second obtuse marginal",
    "bx": "ramus intermedius",
    "lvp": "left posterolateral branch",
}
"""Short name, as in every table, and name in words; in anatomical order."""

VESSELS: Final[dict[str, tuple[str, ...]]] = {
    "LAD": ("prox_lad", "mid_lad", "dist_lad", "D1", "D2"),
    "LCX": ("prox_lcx", "mid_lcx", "dist_lcx", "om1", "om2", "bx", "lvp"),
    "RCA": ("prox_rca", "mid_rca", "dist_rca", "pda", "posterolateral"),
}
"""Which segments belong to each vessel, the left main to none of the three; the ramus counts as one
of the circumflex."""

SIGNIFICANT_PERCENT: Final = 70
"""A stenosis is significant strictly above this, in every segment, the left main included."""


@dataclass(frozen=True)
class Finding:
    """One of the five things said of a segment.

    Attributes
    ----------
    column : str
        Its name in tables.
    suffix : str
        What the head's name ends with after the segment and an underscore.
    is_probability : bool
        False for percent diameter stenosis, whose raw value is the reported one.
    meaning : str
    """

    column: str
    suffix: str
    is_probability: bool
    meaning: str


FINDINGS: Final = (
    Finding("stenosis_percent", "stenosis", False, "percent diameter stenosis, unbounded"),
    Finding(
        "stenosis",
        "stenosis_binary",
        True,
        f"probability of a stenosis above {SIGNIFICANT_PERCENT} %",
    ),
    Finding("calcification", "calcif_binary", True, "probability of any calcification"),
    Finding("cto", "cto", True, "probability of a chronic total occlusion"),
    Finding("thrombus", "thrombus", True, "probability of thrombus"),
)


def head_name(segment: str, finding: Finding) -> str:
    """Return the name of a head, such as ``prox_lad_stenosis_binary``."""
    return f"{segment}_{finding.suffix}"


HEADS: Final = tuple(head_name(segment, finding) for segment in SEGMENTS for finding in FINDINGS)
"""Every head that is known, by segment."""
