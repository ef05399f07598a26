"""The frames of a clip: the published formula, and what follows from it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedder.sampling import frame_indices


@given(st.integers(17, 20_000))
def test_long_cines_follow_the_published_float_formula(n_frames):
    published = np.linspace(0, n_frames - 1, 16).astype(int)
    # linspace may fall a rounding error below the integer that the exact formula gives.
    assert np.abs(published - frame_indices(n_frames)).max() <= 1
    assert frame_indices(n_frames) == [i * (n_frames - 1) // 15 for i in range(16)]


@given(st.integers(1, 20_000))
def test_first_and_last_frame_are_in_and_order_is_kept(n_frames):
    indices = frame_indices(n_frames)
    assert len(indices) == 16
    assert indices == sorted(indices)
    assert (indices[0], indices[-1]) == (0, n_frames - 1)


@given(st.integers(1, 16))
def test_short_cines_repeat_the_last_frame(n_frames):
    assert frame_indices(n_frames) == [*range(n_frames), *[n_frames - 1] * (16 - n_frames)]
