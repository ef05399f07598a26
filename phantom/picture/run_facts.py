"""What one run has of its own: the bolus, the beat, the breath, the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom.heart.anatomy import Anatomy
from phantom.heart.disease import Disease
from phantom.heart.motion import Floats, contraction, place
from phantom.picture.acquisition import Acquisition
from phantom.picture.bolus import Bolus, smooth_step
from phantom.picture.projection import project, projection

_TIMING, _TABLE = 1, 2
_WALL_SCATTER_SHARED = 2.0
_WALL_SCATTER = 2.9


@dataclass(frozen=True)
class RunFacts:
    """Drawn from the seed of an acquisition.

    Attributes
    ----------
    bolus : Bolus
    beat_phase : float
        Where in the beat the first frame is, 0 to 1.
    breath_mm, breath_period_s, breath_phase : float
        The chest's contents go up and down as a sine.
    off_centre_mm : tuple of two floats
        How far the middle of the injected artery is from the middle of the picture.
    table_mm : tuple of two floats
        How far the table goes in a panning run (right, up); zeros in the others.
    table_s : tuple of two floats
        When it starts and stops.
    """

    bolus: Bolus
    beat_phase: float
    breath_mm: float
    breath_period_s: float
    breath_phase: float
    off_centre_mm: tuple[float, float]
    table_mm: tuple[float, float]
    table_s: tuple[float, float]


def run_facts(acquisition: Acquisition) -> RunFacts:
    """Draw what is a run's own."""
    rng = np.random.default_rng([acquisition.seed, _TIMING])
    bolus = Bolus(
        start_s=rng.uniform(0.2, 1.3),
        duration_s=rng.uniform(1.5, 2.8),
        speed_mm_s=rng.uniform(140, 230),
        mu_per_mm=rng.uniform(0.15, 0.21),
    )
    phase, breath_phase = rng.uniform(0, 1, 2)
    breath = rng.uniform(0, 6) if rng.uniform() < 0.6 else 0.0
    period = rng.uniform(3, 5.5)
    table = np.random.default_rng([acquisition.seed, _TABLE])
    spread = 2.0 if table.uniform() < 0.85 else 6.0
    off_centre = table.normal(0, spread, 2)
    move = table.uniform(8, 25) if table.uniform() < 0.1 else 0.0
    turn = table.uniform(0, 2 * np.pi)
    start = table.uniform(0.5, 1.5)
    return RunFacts(
        bolus,
        float(phase),
        float(breath),
        float(period),
        float(breath_phase),
        (float(off_centre[0]), float(off_centre[1])),
        (float(move * np.cos(turn)), float(move * np.sin(turn))),
        (float(start), float(start + table.uniform(0.6, 1.2))),
    )


def arrival_s(anatomy: Anatomy, disease: Disease, acquisition: Acquisition) -> float:
    """Return when contrast reaches the ostium, seconds from the first frame.

    It is a matter of the run alone; heart and disease are taken so that the signature is that of
    `phantom.picture.render.render`.
    """
    del anatomy, disease
    return run_facts(acquisition).bolus.start_s


def wall_motion(anatomy: Anatomy, disease: Disease) -> float:
    """Return the ejection fraction, 0 to 1, that the picture's wall motion is that of.

    Wall motion and ejection fraction agree only so far: the standard deviation between the two is
    3.5 points, the same at every look at the same heart in the same state.
    """
    of_heart = anatomy.generator(20).normal(0, _WALL_SCATTER_SHARED)
    state = round(disease.lvef_percent * 100)
    of_state = anatomy.generator(21, state).normal(0, _WALL_SCATTER)
    return float(np.clip(disease.lvef_percent + of_heart + of_state, 8, 85) / 100)


def contraction_at(acquisition: Acquisition, facts: RunFacts, times_s: Floats) -> Floats:
    """Return how far the heart is contracted at times of a run, 0 to 1."""
    rate = acquisition.heart_rate_bpm
    return contraction(times_s, heart_rate_bpm=rate, phase=facts.beat_phase)


def breath_at(facts: RunFacts, times_s: Floats) -> Floats:
    """Return how far the chest's contents are moved toward the head, millimetres."""
    turns = times_s / facts.breath_period_s + facts.breath_phase
    return np.asarray(facts.breath_mm / 2 * np.sin(2 * np.pi * turns), np.float32)


def centre_at(
    anatomy: Anatomy, acquisition: Acquisition, facts: RunFacts, times_s: Floats
) -> Floats:
    """Return what point of the plane through the isocentre is in the middle of the picture.

    Parameters
    ----------
    anatomy : Anatomy
    acquisition : Acquisition
    facts : RunFacts
    times_s : float32 array of shape (times,)

    Returns
    -------
    float32 array of shape (times, 2)
        Millimetres (right, up).  The operator has put the injected artery in the middle.  In a
        panning run the table moves past that point and the artery is whole in the picture half
        way.
    """
    tree = anatomy.tree(acquisition.artery)
    labelled = tree.points[: tree.n_labelled]
    half_way = np.full(1, 0.4, np.float32)
    view = projection(acquisition.primary_deg, acquisition.secondary_deg)
    plane = project(view, place(anatomy.shape, labelled, half_way, ejection_fraction=0.5))[0][0]
    middle = (plane.min(axis=0) + plane.max(axis=0)) / 2
    start, stop = facts.table_s
    moved = smooth_step((times_s - start) / (stop - start)) - 0.5
    fixed = middle + np.asarray(facts.off_centre_mm)
    return np.asarray(fixed + moved[:, None] * np.asarray(facts.table_mm), np.float32)
