"""The contrast signal: on a drawn run with and without vessels, and on a real one."""

from pathlib import Path

import numpy as np
import pytest

from core.settings import EmbedSettings
from embedder.contrast import contrast_signal
from embedder.dicom.cine import HEADER_TAGS
from embedder.dicom.claims import claims_of
from embedder.dicom.header import open_regular, parse_header
from embedder.frames import read_clip, read_frames
from embedder.sampling import ClipRule, frame_indices
from tests.support.fluoroscopy import fluoroscopy

REAL = Path(__file__).parents[2] / "data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
THRESHOLD = EmbedSettings().min_contrast


def repeated(frame, noise, seed=0):
    rng = np.random.default_rng(seed)
    many = frame + rng.normal(0, noise, (16, *frame.shape)) if noise else frame[None].repeat(16, 0)
    return np.clip(many, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("noise", [1, 3, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_vessels_that_fill_raise_it_the_more_the_darker_they_are(noise, seed):
    signals = [
        contrast_signal(fluoroscopy(vessels=depth, noise=noise, seed=seed))
        for depth in (0, 10, 20, 40)
    ]
    assert signals == sorted(signals)
    assert signals[3] > 2 * signals[0]
    assert signals[2] > THRESHOLD


def test_a_picture_in_which_nothing_happens_is_below_the_threshold():
    full = fluoroscopy(vessels=40)[-1]
    assert contrast_signal(repeated(full, 0)) == 0
    assert contrast_signal(repeated(full, 1)) < THRESHOLD / 2
    assert contrast_signal(repeated(full, 3)) < THRESHOLD


def test_noise_alone_never_hides_contrast():
    """What cannot be judged for noise is kept."""
    noise = np.random.default_rng(1).integers(0, 256, (16, 512, 512)).astype(np.uint8)
    assert contrast_signal(noise) > THRESHOLD
    assert contrast_signal(fluoroscopy(vessels=20, noise=20)) > THRESHOLD


def test_order_gain_and_offset_do_not_matter():
    run = fluoroscopy(vessels=30)
    signal = contrast_signal(run)
    assert contrast_signal(run[::-1]) == signal
    assert contrast_signal(np.flip(run, (1, 2))) == pytest.approx(signal, rel=1e-4)
    assert contrast_signal((run // 2 + 60).astype(np.uint8)) == pytest.approx(signal, rel=0.03)
    assert contrast_signal(run.repeat(2, 1).repeat(2, 2)) == pytest.approx(signal, rel=1e-4)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_shutter_however_little_of_it_shows_is_nothing_thin(axis, width):
    run = fluoroscopy(vessels=40)
    blades = run.copy()
    seen_from_there = np.moveaxis(blades, axis, 0)
    seen_from_there[:width] = seen_from_there[-width:] = 20
    assert contrast_signal(blades) == pytest.approx(contrast_signal(run), rel=0.03)


@pytest.mark.parametrize("shape", [(16, 1, 1), (16, 2, 3), (1, 5, 5), (16, 3, 900), (2, 130, 7)])
def test_any_size_gives_a_number(shape):
    frames = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    assert 0 <= contrast_signal(frames) < np.inf
    assert contrast_signal(np.zeros(shape, np.uint8)) == 0


def test_the_real_cine_is_far_above_the_threshold_and_its_start_is_lower():
    clip = read_clip(REAL, rule=ClipRule("display"))
    assert clip.contrast == contrast_signal(clip.frames)
    assert clip.contrast > 3 * THRESHOLD
    # Vessels are bright where MONOCHROME1 is not inverted.
    assert contrast_signal(255 - clip.frames) > 3 * THRESHOLD
    file, status = open_regular(REAL)
    with file:
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        # From the 17th frame on there is contrast in the left main artery.
        before = read_frames(header, claims_of(header), frame_indices(16), profile="display")
    assert contrast_signal(before) < 0.6 * clip.contrast
