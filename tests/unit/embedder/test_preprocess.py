import numpy as np
import pytest
import torch

from embedder.preprocess import preprocess


def triangle_resize(row: np.ndarray, out: int) -> np.ndarray:
    """One axis, in exact arithmetic, tap by tap: the reference is the formula, not torch."""
    scale = len(row) / out
    support = max(scale, 1.0)
    result = np.empty(out)
    for i in range(out):
        centre = (i + 0.5) * scale
        taps = np.arange(
            max(0, int(centre - support + 0.5)), min(len(row), int(centre + support + 0.5))
        )
        weights = np.maximum(0.0, 1.0 - np.abs(taps + 0.5 - centre) / support)
        result[i] = (weights * row[taps]).sum() / weights.sum()
    return result


@pytest.mark.parametrize(("rows", "columns"), [(50, 33), (16, 70), (7, 9), (16, 16)])
def test_each_axis_is_resized_by_a_triangle_that_widens_when_shrinking(rows, columns):
    clip = np.random.default_rng(0).integers(0, 256, (2, rows, columns), dtype=np.uint8)
    found = preprocess(torch.from_numpy(clip), size=16, mean=0.0, std=1.0)[0]
    along_rows = np.apply_along_axis(triangle_resize, 1, clip.astype(np.float64), 16)
    expected = np.apply_along_axis(triangle_resize, 2, along_rows, 16)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_normalises_after_resizing_and_rounds_nothing():
    clip = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 40, 40), dtype=np.uint8))
    plain = preprocess(clip, size=16, mean=0.0, std=1.0)
    assert not torch.equal(plain, plain.round())
    torch.testing.assert_close(preprocess(clip, size=16, mean=100.0, std=25.0), (plain - 100) / 25)


def test_grey_and_the_same_grey_as_rgb_give_the_same_clip():
    grey = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (3, 20, 30), dtype=np.uint8))
    found = preprocess(grey, size=16, mean=90.0, std=30.0)
    assert found.shape == (3, 3, 16, 16)
    colour = grey[..., None].expand(-1, -1, -1, 3)
    assert torch.equal(found, preprocess(colour, size=16, mean=90.0, std=30.0))


def test_colours_stay_in_their_channels():
    clip = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    clip[..., 2] = 255
    found = preprocess(clip, size=8, mean=0.0, std=1.0)
    assert found.amax(dim=(1, 2, 3)).tolist() == [0.0, 0.0, 255.0]


def test_floats_are_not_taken_for_pixels():
    with pytest.raises(Exception, match="clip"):
        preprocess(torch.zeros(1, 8, 8), size=8, mean=0.0, std=1.0)
