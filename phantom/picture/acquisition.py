"""How a run was acquired: the artery that is injected, the C-arm, the timing, the detector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from phantom.heart.anatomy import Artery


@dataclass(frozen=True)
class StandardView:
    """A projection that operators use.

    Attributes
    ----------
    name : str
    artery : {"left", "right"}
        Which coronary artery is injected.
    primary_deg, secondary_deg : float
        C-arm angles: positive toward LAO, positive toward cranial (DICOM PS3.3 C.8.7.5.1.2).
    """

    name: str
    artery: Artery
    primary_deg: float
    secondary_deg: float


STANDARD_VIEWS: Final = (
    StandardView("LAO cranial", "left", 40, 25),
    StandardView("RAO caudal", "left", -25, -22),
    StandardView("RAO cranial", "left", -25, 25),
    StandardView("spider", "left", 45, -28),
    StandardView("AP cranial", "left", 0, 35),
    StandardView("AP caudal", "left", 0, -28),
    StandardView("LAO", "right", 40, 0),
    StandardView("RAO", "right", -30, 0),
    StandardView("LAO cranial", "right", 20, 25),
)


@dataclass(frozen=True)
class Acquisition:
    """One run.

    Attributes
    ----------
    artery : {"left", "right"}
    primary_deg, secondary_deg : float
        C-arm angles, as for `StandardView`.
    field_of_view_mm : float
        Side of the detector's square at the heart, millimetres.
    n_frames : int
    frame_time_ms : float
    heart_rate_bpm : float
    seed : int
        Of everything else that differs from run to run: bolus, breathing, background, noise,
        collimator, grey curve.  The same acquisition of the same heart is the same picture.
    """

    artery: Artery
    primary_deg: float
    secondary_deg: float
    field_of_view_mm: float
    n_frames: int
    frame_time_ms: float
    heart_rate_bpm: float
    seed: int


_FRAME_TIMES_MS: Final = (1000 / 7.5, 100.0, 80.0, 1000 / 15, 40.0, 1000 / 30)
_RATE_SHARES: Final = (0.10, 0.15, 0.15, 0.35, 0.10, 0.15)
_LEFT_COUNTS: Final = (3, 4, 5)
_RIGHT_COUNTS: Final = (1, 2, 3)
_JITTER_DEG: Final = (5.0, 4.0)
_LAB_BITS: Final = 32


def draw_protocol(
    rng: np.random.Generator,
    *,
    fields_of_view_mm: tuple[float, float] = (95.0, 150.0),
    durations_s: tuple[float, float] = (2.1, 5.5),
) -> tuple[Acquisition, ...]:
    """Draw the runs of one exam.

    Parameters
    ----------
    rng : numpy Generator
    fields_of_view_mm, durations_s : tuple of two floats
        Least and greatest.

    Returns
    -------
    tuple of Acquisition
        Three to five of the left coronary artery, at least one from either side, then one to
        three of the right, the first of them LAO.  The runs share a laboratory (the upper
        half of their seeds: its way of showing grey), nearly the heart rate, and mostly the frame
        rate.
    """
    lab = int(rng.integers(1, 2**30)) << _LAB_BITS
    heart_rate = float(np.clip(rng.normal(74, 13), 50, 110))
    usual = int(rng.choice(len(_FRAME_TIMES_MS), p=_RATE_SHARES))
    field = float(np.clip(rng.normal(121, 11), *fields_of_view_mm))
    runs = []
    for view in _left_views(rng) + _right_views(rng):
        rate = usual if rng.uniform() < 0.85 else int(rng.choice(len(_FRAME_TIMES_MS)))
        frame_time = _FRAME_TIMES_MS[rate]
        seconds = float(np.clip(rng.normal(3.6, 0.9), *durations_s))
        runs.append(
            Acquisition(
                artery=view.artery,
                primary_deg=float(view.primary_deg + rng.normal(0, _JITTER_DEG[0])),
                secondary_deg=float(view.secondary_deg + rng.normal(0, _JITTER_DEG[1])),
                field_of_view_mm=float(np.clip(field + rng.normal(0, 5), *fields_of_view_mm)),
                n_frames=round(seconds * 1000 / frame_time),
                frame_time_ms=frame_time,
                heart_rate_bpm=float(np.clip(heart_rate + rng.normal(0, 3), 50, 110)),
                seed=lab + int(rng.integers(2**_LAB_BITS)),
            )
        )
    return tuple(runs)


def spread(rng: np.random.Generator, runs: tuple[Acquisition, ...]) -> tuple[Acquisition, ...]:
    """Return the runs of an exam with fields of view and durations that are seldom used.

    Parameters
    ----------
    rng : numpy Generator
    runs : tuple of Acquisition

    Returns
    -------
    tuple of Acquisition
        Each of 90 to 160 mm, nearly the same throughout, and of 1.8 to 5.5 s, drawn evenly.
    """
    field = rng.uniform(90, 160)
    return tuple(
        replace(
            run,
            field_of_view_mm=float(np.clip(field + rng.normal(0, 5), 90, 160)),
            n_frames=round(1000 * rng.uniform(1.8, 5.5) / run.frame_time_ms),
        )
        for run in runs
    )


def laboratory(acquisition: Acquisition) -> int:
    """Return what the runs of one exam share of their seeds."""
    return acquisition.seed >> _LAB_BITS


def _left_views(rng: np.random.Generator) -> list[StandardView]:
    """Draw views of the left artery: one from the left, one from the right, and others."""
    views = [view for view in STANDARD_VIEWS if view.artery == "left"]
    from_left = [view for view in views if view.primary_deg > 0]
    from_right = [view for view in views if view.primary_deg < 0]
    chosen = [from_left[int(rng.integers(2))], from_right[int(rng.integers(2))]]
    rest = [view for view in views if view not in chosen]
    count = int(rng.choice(_LEFT_COUNTS, p=(0.3, 0.45, 0.25)))
    chosen += [rest[int(i)] for i in rng.permutation(len(rest))[: count - 2]]
    return [chosen[int(i)] for i in rng.permutation(count)]


def _right_views(rng: np.random.Generator) -> list[StandardView]:
    views = [view for view in STANDARD_VIEWS if view.artery == "right"]
    count = int(rng.choice(_RIGHT_COUNTS, p=(0.25, 0.5, 0.25)))
    return views[:1] + [views[1:][int(i)] for i in rng.permutation(2)[: count - 1]]
