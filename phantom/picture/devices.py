"""Catheter, reflux into the aorta, wires and leads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.heart.curves import Doubles, chord_lengths, even_steps, spline
from phantom.heart.motion import Floats, place
from phantom.picture.acquisition import Acquisition, laboratory
from phantom.picture.bolus import smooth_step
from phantom.picture.camera import Camera

_STEP_MM = 0.8
_REST = np.zeros(1, np.float32)
_WALL_MU_PER_MM = 0.075
_ROOT = np.array([[-0.1, -22.0, 0.33]], np.float32)
_FOLLOW_MM = 28.0
_PUFFS = 90


_FEMORAL = (
    *((8, 18, 88), (13, 42, 90), (15, 58, 70)),
    *((14, 64, 30), (12, 66, -40), (10, 66, -130)),
)
_RADIAL = ((-4, 3, 88), (-18, 6, 106), (-45, 8, 122), (-80, 10, 130))
"""From the aortic root over the arch, millimetres: down the aorta, or into the right arm."""


@dataclass(frozen=True, eq=False)
class Balls:
    """What devices and reflux put into the beam.

    Attributes
    ----------
    where : float32 array of shape (times, balls, 3)
        Patient axes, millimetres.
    radius_mm : float32 array of shape (balls,)
    mass_mm2 : float32 array of shape (times, balls)
    """

    where: Floats
    radius_mm: Floats
    mass_mm2: Floats


def devices(camera: Camera, acquisition: Acquisition) -> list[Balls]:
    """Return everything foreign in a run.

    Parameters
    ----------
    camera : Camera
    acquisition : Acquisition

    Returns
    -------
    list of Balls
        The guide catheter with what flows through it and past it; in some patients a pacing lead
        or sternal wires, in some runs a guide wire.
    """
    rng = np.random.default_rng([acquisition.seed, 3])
    ostium, root, moving = _landmarks(camera, acquisition)
    every = [*_catheter(rng, camera, acquisition, ostium, root, moving)]
    if rng.uniform() < 0.8:
        every.append(_reflux(rng, camera, ostium, root))
    if rng.uniform() < 0.07:
        every.append(_guide_wire(rng, camera, acquisition))
    own = camera.anatomy.generator(70)
    pacing, sternum = own.uniform(0, 1, 2)
    if pacing < 0.06:
        every.append(_pacing_lead(own, camera))
    if sternum < 0.08:
        every.append(_sternal_wires(own, camera))
    return every


def _landmarks(camera: Camera, acquisition: Acquisition) -> tuple[Floats, Floats, Floats]:
    """Return the ostium and the aortic root at rest, and the ostium's movement in time."""
    tree = camera.anatomy.tree(acquisition.artery)
    first = tree.points[:1]
    shape = camera.anatomy.shape
    ostium = place(shape, first, _REST, ejection_fraction=0)[0, 0]
    root = place(shape, _ROOT, _REST, ejection_fraction=0)[0, 0]
    return ostium, root, camera.place(first)[:, 0] - ostium


def _catheter(
    rng: np.random.Generator,
    camera: Camera,
    acquisition: Acquisition,
    ostium: Floats,
    root: Floats,
    moving: Floats,
) -> list[Balls]:
    femoral = np.random.default_rng([laboratory(acquisition), 4]).uniform() < 0.45
    radius = rng.choice([0.85, 1.0, 1.17], p=[0.35, 0.5, 0.15])
    points = _smooth(_catheter_points(rng, acquisition, ostium, root, femoral=bool(femoral)))
    from_tip = np.arange(len(points)) * _STEP_MM
    follow = np.exp(-from_tip / _FOLLOW_MM)[None, :, None]
    where = (points[None] + follow * moving[:, None]).astype(np.float32)
    n_times = len(moving)
    wall = np.full(len(points), _WALL_MU_PER_MM * np.pi * radius**2 * _STEP_MM, np.float32)
    outer = np.full(len(points), radius, np.float32)
    bolus = camera.facts.bolus
    since = camera.times_s - bolus.start_s + 0.15
    flowing = smooth_step(since / 0.12) * (1 - smooth_step((since - bolus.duration_s - 0.1) / 0.3))
    left_in = 0.35 * smooth_step(since / 0.12)
    filled = np.maximum(flowing, left_in)[:, None]
    inner = np.full(len(points), 0.78 * radius, np.float32)
    content = bolus.mu_per_mm * np.pi * inner**2 * _STEP_MM * filled
    return [
        Balls(where, outer, np.repeat(wall[None], n_times, axis=0)),
        Balls(where, inner, content.astype(np.float32)),
    ]


def _catheter_points(
    rng: np.random.Generator,
    acquisition: Acquisition,
    ostium: Floats,
    root: Floats,
    *,
    femoral: bool,
) -> NDArray[np.float64]:
    """Return way points from the tip backward: sinus, ascending aorta, arch, and out."""
    inward = root - ostium
    wander = rng.normal(0, 2.0, (12, 3))
    if acquisition.artery == "left":
        turn = [0.45 * inward + (0, 0, 3), 1.55 * inward + (0, 0, 16), 1.45 * inward + (0, 0, 38)]
    else:
        turn = [0.35 * inward + (0, 0, 8), 0.85 * inward + (0, 0, 22), 1.05 * inward + (0, 2, 42)]
    start = [ostium, *(ostium + each for each in turn), root + np.array([2, 0, 68])]
    way = _FEMORAL if femoral else _RADIAL
    points = np.asarray([*start, *(root + each for each in np.asarray(way))], np.float64)
    points[1:] += wander[: len(points) - 1]
    return points


def _smooth(points: Doubles) -> Doubles:
    """Return samples at even steps of a spline through points (points, 3)."""
    knots = chord_lengths(points)
    line = spline(knots, points, np.arange(0, knots[-1], _STEP_MM))
    along = chord_lengths(line)
    return even_steps(line, along, np.arange(0, along[-1], _STEP_MM))


def _reflux(rng: np.random.Generator, camera: Camera, ostium: Floats, root: Floats) -> Balls:
    """Return contrast that misses the ostium: puffs that fill a sinus and drift up the aorta."""
    bolus = camera.facts.bolus
    amount = rng.gamma(2.0, 0.5)
    begin = rng.uniform(0, 0.5, _PUFFS)
    since = camera.times_s[:, None] - bolus.start_s - begin
    stop = since - rng.uniform(0.5, bolus.duration_s, _PUFFS)
    there = smooth_step(since / 0.15) * (1 - smooth_step(stop / 0.4))
    centre = ostium + 0.35 * (root - ostium) + (0, 0, -1)
    scatter = rng.normal(0, 1, (_PUFFS, 3)) * (4.2, 4.2, 3.6)
    drift = rng.uniform(-4, 10, _PUFFS)[None, :, None] * np.array([0.0, 0.0, 1.0])
    wave = 1.5 * np.sin(2 * np.pi * (camera.times_s[:, None, None] * 1.2 + rng.uniform(0, 1, 3)))
    where = centre + scatter + drift * np.clip(since, 0, 2)[..., None] + wave
    radius = rng.uniform(1.4, 4.6, _PUFFS).astype(np.float32)
    volume = 4 / 3 * np.pi * radius**3
    mass = 0.034 * amount * bolus.mu_per_mm * volume * there
    return Balls(where.astype(np.float32), radius, mass.astype(np.float32))


def _guide_wire(rng: np.random.Generator, camera: Camera, acquisition: Acquisition) -> Balls:
    """Return a wire from the ostium into one of the vessels."""
    tree = camera.anatomy.tree(acquisition.artery)
    ends = ("dist_lad", "dist_lcx") if acquisition.artery == "left" else ("mid_rca",)
    run = tree.run(ends[int(rng.integers(len(ends)))])
    chain: list[NDArray[np.int64]] = []
    while run is not None:
        chain.insert(0, np.arange(run.start, run.stop))
        feeder = run.attach
        run = next((each for each in tree.runs if each.start <= feeder < each.stop), None)
    points = tree.points[np.concatenate(chain)]
    return _thin(camera.place(points), radius_mm=0.18, attenuation=0.14)


def _pacing_lead(own: np.random.Generator, camera: Camera) -> Balls:
    """Return a lead from the superior vena cava to the apex of the right ventricle."""
    inner = np.array([[-0.05, -110, 0.7], [0.35, -70, 0.62], [0.75, -50, 0.55]], np.float32)
    placed = camera.place(inner)
    above = np.array([[-38, 25, 120], [-36, 24, 75]]) + own.normal(0, 4, (2, 3))
    lines = [_smooth(np.concatenate([above, at.astype(np.float64)])) for at in placed]
    n = min(len(line) for line in lines)
    where = np.stack([line[:n] for line in lines]).astype(np.float32)
    lead = _thin(where, radius_mm=0.75, attenuation=0.30)
    lead.mass_mm2[:, -12:] *= 3
    return lead


def _sternal_wires(own: np.random.Generator, camera: Camera) -> Balls:
    """Return twisted loops down the breastbone."""
    angle = np.arange(0, 2 * np.pi, 0.05)
    loops = []
    for z in np.arange(62, -40, -own.uniform(20, 26)):
        wide, tall, tilt = own.uniform(9, 13), own.uniform(3, 6), own.normal(0, 0.25)
        x = wide * np.cos(angle)
        loop = np.stack([x - 24, -78 + 4 * np.sin(angle), z + tall * np.sin(angle) + tilt * x], 1)
        loops.append(loop)
    points = np.concatenate(loops)
    where = np.repeat(points[None].astype(np.float32), camera.times_s.size, axis=0)
    return _thin(where, radius_mm=0.35, attenuation=0.35)


def _thin(where: Floats, *, radius_mm: float, attenuation: float) -> Balls:
    """Return a metal line, so dense that its middle has this attenuation."""
    step = np.linalg.norm(np.diff(where, axis=1, append=where[:, -1:]), axis=2)
    mass = attenuation * 2 * radius_mm * np.clip(step, 0.1, 1.5)
    return Balls(where, np.full(where.shape[1], radius_mm, np.float32), mass.astype(np.float32))
