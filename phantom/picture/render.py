"""The pictures of a run: contrast in a beating heart, the chest round it, the grey that is stored.

Beer-Lambert: a pixel is the exponential of minus what lies on its ray.  Everything that a run has
of its own follows from the seed of its acquisition, so the same heart, disease and acquisition are
the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from phantom.heart.anatomy import ARTERIES, Anatomy, Artery
from phantom.heart.disease import Disease
from phantom.heart.motion import Floats
from phantom.heart.tree import SPACING_MM
from phantom.picture.acquisition import Acquisition
from phantom.picture.backdrop import Backdrop
from phantom.picture.bolus import filling
from phantom.picture.camera import Camera, camera
from phantom.picture.collaterals import collaterals
from phantom.picture.deposits import deposits
from phantom.picture.devices import Balls, devices
from phantom.picture.exposure import blades, draw_look, expose
from phantom.picture.lumen import Lumen, contrast_of, joined, lumen
from phantom.picture.run_facts import arrival_s, run_facts
from phantom.picture.splat import splat
from phantom.picture.truth import TruthMaps, truth_maps

__all__ = ["TruthMaps", "arrival_s", "attenuation", "render", "truth_maps"]

_CHUNK_PIXELS = 2**20
_FINENESS = 0.95
_EDGES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_NOISE = 7


def render(
    anatomy: Anatomy,
    disease: Disease,
    acquisition: Acquisition,
    *,
    size: int,
    frames: Sequence[int] | None = None,
) -> NDArray[np.uint8]:
    """Draw a run.

    Parameters
    ----------
    anatomy : Anatomy
    disease : Disease
        As it is; what is hidden behind an occlusion is left out by the contrast that does not
        come there.
    acquisition : Acquisition
    size : int
        Rows and columns, 16 or more.  The same run at another size shows the same thing.
    frames : sequence of int, optional
        Numbers from 0 of the frames wanted; all of them by default.

    Returns
    -------
    uint8 array of shape (frames, size, size)
        Grey as stored for MONOCHROME2: contrast medium is dark.

    Raises
    ------
    ValueError
        A frame is not one of the run's.
    """
    index = _indices(acquisition, frames)
    pictures = np.empty((index.size, size, size), np.uint8)
    scene = _Scene(anatomy, disease, acquisition, size)
    step = max(_CHUNK_PIXELS // size**2, 1)
    for start in range(0, index.size, step):
        some = slice(start, start + step)
        pictures[some] = scene.draw(index[some])
    return pictures


def attenuation(
    anatomy: Anatomy,
    disease: Disease,
    acquisition: Acquisition,
    *,
    size: int,
    frames: Sequence[int] | None = None,
) -> Floats:
    """Return what contrast medium, calcium and stents alone put into the beam.

    Parameters
    ----------
    anatomy, disease, acquisition, size, frames
        As for `render`.

    Returns
    -------
    float32 array of shape (frames, size, size)
        Attenuation summed along rays; its sum times the area of a pixel does not depend on size.
    """
    index = _indices(acquisition, frames)
    scene = _Scene(anatomy, disease, acquisition, size)
    return scene.vessels(scene.camera_at(index))


def _indices(acquisition: Acquisition, frames: Sequence[int] | None) -> NDArray[np.int64]:
    if frames is None:
        return np.arange(acquisition.n_frames)
    index = np.asarray(frames, np.int64)
    if index.size and (index.min() < 0 or index.max() >= acquisition.n_frames):
        raise ValueError(
            f"frames {index.min()} to {index.max()} of a run of {acquisition.n_frames}"
        )
    return index


class _Scene:
    """All that is the same in every frame of a run."""

    def __init__(
        self,
        anatomy: Anatomy,
        disease: Disease,
        acquisition: Acquisition,
        size: int,
    ) -> None:
        self._anatomy, self._disease = anatomy, disease
        self._acquisition, self._size = acquisition, size
        self._look = look = draw_look(acquisition)
        self._pixel = acquisition.field_of_view_mm / size
        edge = float(np.hypot(1, look.blur_mm / self._pixel))
        self._edge = min(_EDGES, key=lambda each: abs(each - edge))
        speed = run_facts(acquisition).bolus.speed_mm_s
        lumens: dict[Artery, Lumen] = {
            artery: lumen(anatomy, disease, anatomy.tree(artery), speed_mm_s=speed)
            for artery in ARTERIES
        }
        injected = acquisition.artery
        tree, own = anatomy.tree(injected), lumens[injected]
        around = collaterals(anatomy, disease, injected, lumens=lumens)
        self._contrast = joined([contrast_of(own.points, own, tree), own.clots, around])
        self._deposits = [deposits(anatomy, disease, anatomy.tree(each)) for each in ARTERIES]

    @cached_property
    def _open(self) -> Floats:
        return blades(self._look, self._size)

    @cached_property
    def _backdrop(self) -> Backdrop:
        first = self.camera_at(np.zeros(1, np.int64))
        return Backdrop(self._acquisition, first, size=self._size)

    def camera_at(self, index: NDArray[np.int64]) -> Camera:
        """Return the camera at the times of frames."""
        times = (index * (self._acquisition.frame_time_ms / 1000)).astype(np.float32)
        return camera(self._anatomy, self._disease, self._acquisition, times)

    def draw(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Draw frames."""
        seen = self.camera_at(index)
        dark = self._lay(seen, [*self._vessels(seen), *devices(seen, self._acquisition)])
        every = zip(index, dark, self._backdrop.frames(seen), strict=True)
        return np.stack([self._exposed(int(number), *frame) for number, *frame in every])

    def _exposed(self, number: int, dark: Floats, behind: Floats) -> NDArray[np.uint8]:
        rng = np.random.default_rng([self._acquisition.seed, _NOISE, number])
        reference = self._backdrop.reference
        return expose(self._look, behind, dark, reference=reference, open_=self._open, rng=rng)

    def vessels(self, seen: Camera) -> Floats:
        """Return the attenuation of contrast medium, calcium and stents."""
        return self._lay(seen, self._vessels(seen))

    def _vessels(self, seen: Camera) -> list[Balls]:
        contrast = self._contrast
        bolus = seen.facts.bolus
        full = filling(seen.times_s, contrast.after_s, contrast.hold_s, bolus=bolus)
        mass = full * (contrast.volume_mm3 * np.float32(bolus.mu_per_mm))
        balls = Balls(seen.place(contrast.points), contrast.radius_mm, mass)
        every = [_filled(balls, contrast.linked, pixel_mm=self._pixel)]
        for fixed in self._deposits:
            always = np.repeat(fixed.mass_mm2[None], seen.times_s.size, axis=0)
            every.append(Balls(seen.place(fixed.points), fixed.radius_mm, always))
        return every

    def _lay(self, seen: Camera, every: list[Balls]) -> Floats:
        """Project balls and lay them on the pixels of the frames."""
        plane, magnification = seen.look(np.concatenate([each.where for each in every], axis=1))
        radius = np.concatenate([each.radius_mm for each in every])
        mass = np.concatenate([each.mass_mm2 for each in every], axis=1)
        scale = magnification / np.float32(self._pixel)
        middle = np.float32(self._size / 2 - 0.5)
        return splat(
            middle - plane[..., 1] / np.float32(self._pixel),
            middle + plane[..., 0] / np.float32(self._pixel),
            radius * scale,
            mass * scale * scale,
            size=self._size,
            edge=self._edge,
        )


def _filled(balls: Balls, linked: NDArray[np.bool_], *, pixel_mm: float) -> Balls:
    """Put more balls between those of a vessel that are further apart than they are wide.

    Parameters
    ----------
    balls : Balls
        `phantom.heart.tree.SPACING_MM` apart.
    linked : bool array of shape (balls,)
        Whether the vessel goes on from the ball before.
    pixel_mm : float

    Returns
    -------
    Balls
        Each ball as one or several, evenly about its place along the vessel, with its mass.
    """
    wide = np.maximum(_FINENESS * balls.radius_mm / pixel_mm, 1.0)
    parts = np.ceil(SPACING_MM / pixel_mm / wide).astype(np.int64)
    source = np.repeat(np.arange(parts.size), parts)
    first = np.repeat(np.cumsum(parts) - parts, parts)
    along = ((np.arange(source.size) - first + 0.5) / parts[source] - 0.5).astype(np.float32)
    step = np.diff(balls.where, axis=1, prepend=balls.where[:, :1]) * linked[:, None]
    where = balls.where[:, source] + step[:, source] * along[:, None]
    mass = (balls.mass_mm2 / parts.astype(np.float32))[:, source]
    return Balls(where, balls.radius_mm[source], mass)
