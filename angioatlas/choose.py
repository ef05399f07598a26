"""Which runs of a study count: the rules of `embedder.runs` with the rest of the study in view.

A study is decided as a whole, from all its runs that can be read, by the rules in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.outcomes import Code, InputRefused
from core.schema import Cine
from embedder.runs import Classified, RunFacts, Structure, left_out

_NOTHING = Classified()


@dataclass(frozen=True)
class Choice:
    """What decides which runs of a study count.

    Attributes
    ----------
    min_frames : int
        Frames of a run at the least.
    videos_per_study : int or None
        Runs of a study at the most, the first in study order; None for all of them.
    all_runs : bool
        Ask no rule.  `videos_per_study` holds all the same.
    classified : mapping
        What a classifier said, by SOPInstanceUID as the store has it.
    """

    min_frames: int = 1
    videos_per_study: int | None = None
    all_runs: bool = False
    classified: Mapping[str, Classified] = field(default_factory=dict)

    def saw_contrast(self, sop_uid: str) -> bool:
        """Whether contrast medium need not be measured in a run."""
        return self.all_runs or self.classified.get(sop_uid, _NOTHING).contrast is True

    def refusals(self, runs: Sequence[tuple[Cine, RunFacts]]) -> dict[str, InputRefused]:
        """Return the runs of a study that a rule leaves out.

        Parameters
        ----------
        runs : sequence of (Cine, RunFacts)
            Of one study, in any order.

        Returns
        -------
        dict of str to InputRefused
            By SOPInstanceUID.
        """
        if self.all_runs:
            return {}
        refusals = {}
        stents: list[Structure | None] = []
        for cine, facts in sorted(runs, key=lambda run: run[0].order):
            said = self.classified.get(cine.sop_uid, _NOTHING)
            before = any(_may_be_of_one_side(said.side, side) for side in stents)
            facts = replace(facts, classified=said, stent_before=before)
            refusal = left_out(facts, min_frames=self.min_frames)
            if refusal is not None:
                refusals[cine.sop_uid] = refusal
            if said.stent:
                stents.append(said.side)
        return refusals

    def over(self, cines: Sequence[Cine]) -> dict[str, InputRefused]:
        """Return what comes after the first `videos_per_study` cines of a study, by SOP UID.

        Parameters
        ----------
        cines : sequence of Cine
            In study order.
        """
        most = self.videos_per_study
        if most is None:
            return {}
        return {
            cine.sop_uid: InputRefused(
                Code.OVER_VIDEOS_PER_STUDY, f"run {i} of its study, expected {most} at the most"
            )
            for i, cine in enumerate(cines[most:], start=most + 1)
        }


AS_IT_IS = Choice(all_runs=True)
"""Leaves nothing out."""


def _may_be_of_one_side(one: Structure | None, other: Structure | None) -> bool:
    """Whether two runs may show the same coronary artery: unless both sides are known and differ.

    A stent in the right coronary artery changes nothing in the left one.
    """
    return one is None or other is None or one is other
