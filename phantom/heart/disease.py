"""What is wrong with a phantom heart: the truth that pictures show and tables tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from phantom.heart.anatomy import Anatomy

OCCLUDED_PERCENT: Final = 100.0


@dataclass(frozen=True)
class SegmentState:
    """What one segment has.

    Attributes
    ----------
    stenosis_percent : float
        Diameter stenosis of its worst lesion, 0 to 100; 100 is an occlusion.
    cto : bool
        The occlusion is a chronic total one: a tapered stump, late collaterals.
    thrombus : bool
        A filling defect that leaves a rim of contrast.
    calcification : float
        0 none to 1 heavy.
    stent : bool
    centre : float
        Where the lesion (thrombus, stent) is, 0 to 1 along the segment.
    length_mm : float
        How long it is.
    eccentricity : float
        0 concentric to 1 all of the narrowing from one side.
    """

    stenosis_percent: float = 0.0
    cto: bool = False
    thrombus: bool = False
    calcification: float = 0.0
    stent: bool = False
    centre: float = 0.5
    length_mm: float = 12.0
    eccentricity: float = 0.3

    @property
    def occluded(self) -> bool:
        """Whether nothing flows past."""
        return self.stenosis_percent >= OCCLUDED_PERCENT


@dataclass(frozen=True)
class Disease:
    """The state of a heart at one time.

    Attributes
    ----------
    segments : mapping of str to SegmentState
        By short name (`core.segments.SEGMENTS`); a segment that is not named is healthy.
    lvef_percent : float
        True left-ventricular ejection fraction.  The motion in a picture follows it with scatter.
    """

    segments: Mapping[str, SegmentState]
    lvef_percent: float

    def state(self, segment: str) -> SegmentState:
        """Return the state of a segment."""
        return self.segments.get(segment, _HEALTHY)


_HEALTHY = SegmentState()


def visible(anatomy: Anatomy, disease: Disease) -> Disease:
    """Return what of a disease the pictures of a whole study can show.

    Parameters
    ----------
    anatomy : Anatomy
    disease : Disease

    Returns
    -------
    Disease
        Downstream of a total occlusion only calcium and stents are left, for no contrast comes
        there, or with a chronic one too little for a lesion to be told; segments that the heart
        does not have are gone.
    """
    cut: set[str] = set()
    seen: dict[str, SegmentState] = {}
    for name, branch in anatomy.branches.items():
        state = disease.state(name)
        if branch.parent is not None and is_downstream(
            disease.state(branch.parent), branch.at, cut=branch.parent in cut
        ):
            cut.add(name)
            state = replace(
                _HEALTHY,
                calcification=state.calcification,
                stent=state.stent,
                centre=state.centre,
                length_mm=state.length_mm,
                eccentricity=state.eccentricity,
            )
        if name in disease.segments:
            seen[name] = state
    return Disease(seen, disease.lvef_percent)


def is_downstream(parent: SegmentState, at: float, *, cut: bool) -> bool:
    """Return whether a branch is fed by nothing.

    Parameters
    ----------
    parent : SegmentState
        Of the segment that it leaves.
    at : float
        Where it leaves, 0 to 1 along the parent.
    cut : bool
        Whether the parent is itself downstream of an occlusion.
    """
    return cut or (parent.occluded and at >= parent.centre)
