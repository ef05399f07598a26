"""What the compact model sees: area means, without background, in unit scale."""

import numpy as np
import pytest
import torch

from embedder.encoders.compact.inputs import LIMIT, SIZE, normalise, shrink, to_input
from tests.support.fluoroscopy import fluoroscopy


def noise(rows, columns, *, n=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, rows, columns), dtype=np.uint8)


@pytest.mark.parametrize(("high", "wide"), [(1, 1), (2, 2), (4, 4), (3, 5), (8, 8)])
def test_blocks_are_averaged(high, wide):
    clip = noise(SIZE * high, SIZE * wide)
    expected = clip.reshape(16, SIZE, high, SIZE, wide).mean(axis=(2, 4))
    found = shrink(clip)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_the_brightest_blocks_do_not_overflow():
    clip = np.full((16, SIZE * 16, SIZE * 2), 255, np.uint8)
    assert (shrink(clip) == 255).all()


@pytest.mark.parametrize("shape", [(300, 300), (200, 129), (512, 300), (64, 96), (500, 90)])
def test_any_size_keeps_its_mean(shape):
    clip = noise(*shape)
    found = shrink(clip)
    assert found.shape == (16, SIZE, SIZE)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), clip.mean(axis=(1, 2)), atol=1.5)
    assert found.min() >= 0
    assert found.max() <= 255


def test_a_clip_that_cannot_be_written_to_is_read():
    for size in (256, 200):
        clip = noise(size, size)
        clip.flags.writeable = False
        assert to_input(clip).shape == (16, SIZE, SIZE)


def scene(**how):
    return torch.from_numpy(fluoroscopy(vessels=40, noise=0, **how).astype(np.float32))


def test_gain_and_offset_make_no_difference():
    frames = scene()
    torch.testing.assert_close(normalise(0.4 * frames + 90), normalise(frames), atol=1e-3, rtol=0)


def test_a_background_makes_little_difference():
    """A slope as of a lung or of a grey curve, as strong as the vessels are."""
    slope = torch.linspace(0, 40, SIZE)[None, :, None]
    plain, tilted = normalise(scene()), normalise(scene() + slope)
    inside = (slice(None), slice(24, -24), slice(24, -24))
    assert (plain - tilted)[inside].abs().max() < 0.35
    assert plain[inside].std() > 0.7


def test_collimator_blades_make_no_difference_inside():
    frames = scene()
    closed = frames.clone()
    closed[:, :8] = closed[:, -8:] = closed[:, :, :8] = closed[:, :, -8:] = 5
    inside = (slice(None), slice(30, -30), slice(30, -30))
    a, b = normalise(frames)[inside], normalise(closed)[inside]
    assert (a - b).abs().max() < 0.05


def test_values_are_cut_off_and_dark_is_negative():
    frames = torch.full((16, SIZE, SIZE), 100.0)
    frames[:, 60:63] = 0
    found = normalise(frames)
    assert found.min() == -LIMIT
    assert found[:, 61].max() < 0


def test_an_empty_picture_stays_empty():
    assert normalise(torch.full((16, SIZE, SIZE), 77.0)).abs().max() == 0


def test_videos_do_not_depend_on_each_other():
    batch = torch.stack([scene(seed=1), scene(seed=2), 3 * scene(seed=3)])
    together = normalise(batch)
    for one, row in zip(batch, together, strict=True):
        torch.testing.assert_close(normalise(one), row, atol=1e-5, rtol=0)
