"""The bolus: it arrives later further on, and leaves."""

import numpy as np

from phantom.picture.bolus import Bolus, filling, smooth_step

BOLUS = Bolus(start_s=0.5, duration_s=2.0, speed_mm_s=180, mu_per_mm=0.18)
TIMES = np.linspace(0, 6, 121).astype(np.float32)


def test_nothing_before_the_front_and_all_of_it_after():
    full = filling(TIMES, np.zeros(1, np.float32), np.zeros(1, np.float32), bolus=BOLUS)[:, 0]
    assert full[TIMES < 0.49].max() == 0
    assert full[(TIMES > 0.8) & (TIMES < 2.4)].min() > 0.99
    assert full[TIMES > 3.1].max() < 0.01


def test_further_is_later_and_standing_contrast_stays():
    after = np.array([0.0, 0.5, 0.5], np.float32)
    hold = np.array([0.0, 0.0, 1.0], np.float32)
    full = filling(TIMES, after, hold, bolus=BOLUS)
    half = [TIMES[np.argmax(column > 0.5)] for column in full.T]
    assert half[1] - half[0] > 0.4
    assert half[1] == half[2]
    gone = [TIMES[np.flatnonzero(column > 0.5)[-1]] for column in full.T]
    assert gone[2] - gone[1] > 0.9


def test_the_step_is_smooth_and_bounded():
    np.testing.assert_allclose(smooth_step(np.array([-1, 0, 0.5, 1, 2.0])), [0, 0, 0.5, 1, 1])
