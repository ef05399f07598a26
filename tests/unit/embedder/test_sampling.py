"""Which frames: by time and not by number, from shortly before the contrast medium."""

import numpy as np
import pytest

from embedder.sampling import (
    BEFORE_MS,
    ClipRule,
    clip_frames,
    duration_ms,
    frame_indices,
    onset_ms,
    window_indices,
)
from tests.support.fluoroscopy import fluoroscopy

WINDOW = ClipRule("display", window_ms=4000.0)
STEP = 4000 / 15


class Tape:
    """A cine whose frame i is grey value i, which notes what is read of it."""

    def __init__(self, frames):
        self.frames = frames
        self.read = []

    def __call__(self, indices):
        self.read += list(indices)
        return self.frames[list(indices)]


def numbered(n_frames):
    return np.broadcast_to(np.arange(n_frames, dtype=np.uint8)[:, None, None], (n_frames, 8, 8))


def test_fifteen_frames_a_second_are_every_fourth():
    assert window_indices(61, 1000 / 15, window_ms=4000, start_ms=0) == list(range(0, 61, 4))


@pytest.mark.parametrize("rate", [7.5, 10, 12.5, 15, 25, 30])
@pytest.mark.parametrize("start_ms", [0.0, 333.0, 1900.0])
def test_the_times_are_the_same_at_every_frame_rate(rate, start_ms):
    frame_time = 1000 / rate
    n_frames = int(6.5 * rate)
    chosen = np.array(window_indices(n_frames, frame_time, window_ms=4000, start_ms=start_ms))
    wanted = start_ms + STEP * np.arange(16)
    assert np.abs(chosen * frame_time - wanted).max() <= frame_time / 2 + 1e-9


def test_a_short_cine_repeats_its_last_frame():
    chosen = window_indices(31, 1000 / 15, window_ms=4000, start_ms=700)
    assert chosen == [min(4 * i, 30) for i in range(16)]


@pytest.mark.parametrize(("start_ms", "first", "last"), [(-900, 0, 60), (99_999, 60, 120)])
def test_a_window_stays_inside_the_cine(start_ms, first, last):
    chosen = window_indices(121, 1000 / 15, window_ms=4000, start_ms=start_ms)
    assert (chosen[0], chosen[-1]) == (first, last)


def test_one_frame_is_all_there_is():
    assert window_indices(1, 66.7, window_ms=4000, start_ms=0) == [0] * 16


@pytest.mark.parametrize(("n_frames", "frame_time"), [(0, 66.7), (9, 0.0), (9, float("nan"))])
def test_nothing_to_choose_from(n_frames, frame_time):
    with pytest.raises(ValueError, match="cannot choose"):
        window_indices(n_frames, frame_time, window_ms=4000, start_ms=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_onset_is_where_the_vessels_fill(seed):
    """The drawn vessels begin to fill at a quarter of the run and are full at a half."""
    frames = fluoroscopy(vessels=40, n_frames=24, seed=seed)
    onset = onset_ms(frames, [100.0 * i for i in range(24)])
    assert onset is not None
    assert 600 < onset < 1100


@pytest.mark.parametrize("seed", range(4))
def test_without_contrast_medium_there_is_no_onset(seed):
    frames = fluoroscopy(n_frames=24, seed=seed)
    assert onset_ms(frames, [100.0 * i for i in range(24)]) is None


def test_vessels_that_are_full_from_the_start_have_no_onset():
    frames = fluoroscopy(vessels=40, n_frames=24)[13:]
    assert onset_ms(frames, [100.0 * i for i in range(11)]) is None


def test_the_onset_does_not_depend_on_gain_and_offset():
    frames = fluoroscopy(vessels=40, n_frames=24, noise=0)
    times = [100.0 * i for i in range(24)]
    darker = (frames // 2 + 60).astype(np.uint8)
    assert onset_ms(darker, times) == pytest.approx(onset_ms(frames, times), abs=60)


def test_without_a_window_the_whole_cine_counts():
    tape = Tape(numbered(75))
    clip = clip_frames(75, 66.7, rule=ClipRule("display"), read=tape)
    assert clip[:, 0, 0].tolist() == frame_indices(75)


def test_without_a_frame_time_the_whole_cine_counts():
    clip = clip_frames(75, None, rule=WINDOW, read=Tape(numbered(75)))
    assert clip[:, 0, 0].tolist() == frame_indices(75)


def test_a_cine_as_long_as_the_window_is_read_once():
    tape = Tape(numbered(61))
    clip = clip_frames(61, 1000 / 15, rule=WINDOW, read=tape)
    assert clip[:, 0, 0].tolist() == tape.read == list(range(0, 61, 4))


def test_the_window_of_a_long_cine_begins_before_the_contrast_medium():
    """120 frames, 8 s: filling begins at 2 s and is complete at 4 s."""
    frame_time = 1000 / 15
    cine = fluoroscopy(vessels=40, n_frames=121)
    tape = Tape(cine)
    clip = clip_frames(121, frame_time, rule=WINDOW, read=tape)
    first = int(np.argmax((cine == clip[0]).all(axis=(1, 2)))) * frame_time
    assert 2000 - BEFORE_MS < first < 3200 - BEFORE_MS
    expected = window_indices(121, frame_time, window_ms=4000, start_ms=first)
    np.testing.assert_array_equal(clip, cine[expected])


def test_no_frame_of_a_long_cine_is_read_twice():
    cine = fluoroscopy(vessels=40, n_frames=121)
    tape = Tape(cine)
    clip_frames(121, 1000 / 15, rule=WINDOW, read=tape)
    assert len(tape.read) == len(set(tape.read)) <= 32


def test_a_long_cine_without_onset_is_seen_from_its_start():
    clip = clip_frames(121, 1000 / 15, rule=WINDOW, read=Tape(numbered(121)))
    assert clip[:, 0, 0].tolist() == list(range(0, 61, 4))


def test_the_duration_is_from_the_first_frame_to_the_last():
    assert duration_ms(61, 1000 / 15) == pytest.approx(4000)
