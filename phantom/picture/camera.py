"""Where points of the heart and the chest fall in the pictures of one run."""

from __future__ import annotations

from dataclasses import dataclass

from phantom.heart.anatomy import Anatomy
from phantom.heart.disease import Disease
from phantom.heart.motion import Floats, place
from phantom.picture.acquisition import Acquisition
from phantom.picture.projection import Projection, project, projection
from phantom.picture.run_facts import (
    RunFacts,
    breath_at,
    centre_at,
    contraction_at,
    run_facts,
    wall_motion,
)


@dataclass(frozen=True, eq=False)
class Camera:
    """A beating, breathing heart as the C-arm sees it at some times.

    Attributes
    ----------
    anatomy : Anatomy
    facts : RunFacts
    view : Projection
    times_s : float32 array of shape (times,)
        From the first frame.
    contraction : float32 array of shape (times,)
    ejection_fraction : float
        0 to 1, that of the wall's motion.
    breath_mm : float32 array of shape (times,)
        How far the chest's contents are moved toward the head.
    centre_mm : float32 array of shape (times, 2)
        The point (right, up) that is in the middle of the picture.
    """

    anatomy: Anatomy
    facts: RunFacts
    view: Projection
    times_s: Floats
    contraction: Floats
    ejection_fraction: float
    breath_mm: Floats
    centre_mm: Floats

    def place(self, points: Floats) -> Floats:
        """Return where points of the heart are: (points, 3) to (times, points, 3), mm."""
        where = place(
            self.anatomy.shape,
            points,
            self.contraction,
            ejection_fraction=self.ejection_fraction,
        )
        where[..., 2] += self.breath_mm[:, None]
        return where

    def look(self, where: Floats) -> tuple[Floats, Floats]:
        """Project points (times, points, 3) in patient axes.

        Returns
        -------
        plane : float32 array of shape (times, points, 2)
            Millimetres (right, up) from the middle of the picture.
        magnification : float32 array of shape (times, points)
        """
        plane, magnification = project(self.view, where)
        return plane - self.centre_mm[:, None], magnification


def camera(anatomy: Anatomy, disease: Disease, acquisition: Acquisition, times_s: Floats) -> Camera:
    """Set up what a run sees at times, seconds from its first frame."""
    facts = run_facts(acquisition)
    return Camera(
        anatomy=anatomy,
        facts=facts,
        view=projection(acquisition.primary_deg, acquisition.secondary_deg),
        times_s=times_s,
        contraction=contraction_at(acquisition, facts, times_s),
        ejection_fraction=wall_motion(anatomy, disease),
        breath_mm=breath_at(facts, times_s),
        centre_mm=centre_at(anatomy, acquisition, facts, times_s),
    )
