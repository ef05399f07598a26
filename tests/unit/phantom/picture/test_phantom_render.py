"""Pictures: pure, the same at every size, and true to the findings they are labelled with."""

import numpy as np
import pytest

from phantom.heart.anatomy import draw_anatomy
from phantom.heart.disease import Disease, SegmentState
from phantom.heart.tree import SEGMENT_NUMBERS
from phantom.picture.acquisition import Acquisition, draw_protocol
from phantom.picture.camera import camera
from phantom.picture.deposits import CALCIUM, deposits
from phantom.picture.render import arrival_s, attenuation, render, truth_maps
from phantom.picture.run_facts import run_facts

HEALTHY = Disease({}, 60.0)


def right_dominant(seed=3):
    rng = np.random.default_rng(seed)
    heart = draw_anatomy(rng)
    while heart.dominance != "right":
        heart = draw_anatomy(rng)
    return heart


HEART = right_dominant()
RIGHT = Acquisition("right", 40.0, 0.0, 130.0, 75, 1000 / 15, 72.0, 77)
LEFT = Acquisition("left", -25.0, 25.0, 130.0, 75, 1000 / 15, 72.0, 78)


def frame_at(run, seconds_after_arrival):
    wanted = arrival_s(HEART, HEALTHY, run) + seconds_after_arrival
    return round(wanted * 1000 / run.frame_time_ms)


def along(run, segment, frame, size, *, part=slice(None)):
    """Return row and column of a segment's pixels."""
    tree = HEART.tree(run.artery)
    each = tree.run(segment)
    times = np.array([frame * run.frame_time_ms / 1000], np.float32)
    seen = camera(HEART, HEALTHY, run, times)
    plane = seen.look(seen.place(tree.points[each.start : each.stop][part]))[0][0]
    at = np.rint(plane / run.field_of_view_mm * size * (1, -1) + size / 2 - 0.5).astype(int)
    return at[:, 1], at[:, 0]


def dark(disease, run, seconds, segment, size=192, **options):
    """Return the attenuation along a segment at a time after the bolus has arrived."""
    frame = frame_at(run, seconds)
    picture = attenuation(HEART, disease, run, size=size, frames=[frame])[0]
    return picture[along(run, segment, frame, size, **options)]


def test_the_same_input_is_the_same_bytes():
    other = right_dominant()
    first = render(HEART, HEALTHY, RIGHT, size=64)
    np.testing.assert_array_equal(first, render(other, Disease({}, 60.0), RIGHT, size=64))
    assert first.shape == (75, 64, 64)
    assert first.dtype == np.uint8


@pytest.mark.parametrize("seed", [77, 1])
def test_some_frames_are_those_of_all(seed):
    run = Acquisition("right", 40.0, 0.0, 130.0, 75, 1000 / 15, 72.0, seed)
    whole = render(HEART, HEALTHY, run, size=96)
    wanted = [0, 31, 17, 74, 74]
    np.testing.assert_array_equal(
        render(HEART, HEALTHY, run, size=96, frames=wanted), whole[wanted]
    )


@pytest.mark.parametrize("frames", [[75], [-1, 3]])
def test_a_frame_that_the_run_does_not_have_is_refused(frames):
    with pytest.raises(ValueError, match="of a run of 75"):
        render(HEART, HEALTHY, RIGHT, size=32, frames=frames)


@pytest.mark.parametrize("run", [RIGHT, LEFT])
def test_mass_does_not_depend_on_size(run):
    disease = Disease({"mid_lad": SegmentState(stent=True), "mid_rca": SegmentState(60.0)}, 60.0)
    frames = [0, frame_at(run, 1.0), frame_at(run, 1.6)]
    mass = []
    for size in (64, 128, 300, 512):
        total = attenuation(HEART, disease, run, size=size, frames=frames).sum(axis=(1, 2))
        mass.append(total / size**2)
    assert mass[0][1] > 0.002
    for other in mass[1:]:
        np.testing.assert_allclose(other, mass[0], rtol=0.02)


def test_the_same_picture_at_another_size():
    small = render(HEART, HEALTHY, RIGHT, size=96, frames=[40])[0].astype(float)
    large = render(HEART, HEALTHY, RIGHT, size=384, frames=[40])[0].astype(float)
    averaged = large.reshape(96, 4, 96, 4).mean(axis=(1, 3))
    assert np.abs(small - averaged).mean() < 1.5
    assert np.corrcoef(small.ravel(), averaged.ravel())[0, 1] > 0.99


def test_contrast_arrives_when_it_is_said_to_and_leaves():
    mass = attenuation(HEART, HEALTHY, RIGHT, size=64).sum(axis=(1, 2))
    times = np.arange(75) * RIGHT.frame_time_ms / 1000
    arrival = arrival_s(HEART, HEALTHY, RIGHT)
    assert mass[times < arrival].max() == 0
    assert mass[times > arrival + 0.3].max() > 0
    assert times[mass > 0.02 * mass.max()].min() - arrival < 0.4
    assert mass[-1] < 0.2 * mass.max()


@pytest.mark.parametrize(
    ("run", "occluded", "beyond"),
    [(RIGHT, "mid_rca", ["dist_rca", "pda"]), (LEFT, "prox_lad", ["mid_lad", "dist_lad"])],
)
def test_an_occluded_vessel_has_no_contrast_beyond(run, occluded, beyond):
    closed = Disease({occluded: SegmentState(100.0, centre=0.4)}, 60.0)
    for segment in beyond:
        open_, shut = (dark(each, run, 1.3, segment) for each in (HEALTHY, closed))
        assert np.median(open_) > 0.1
        assert np.quantile(shut / open_, 0.25) < 0.02
    start, end = slice(0, 5), slice(-5, None)
    assert dark(closed, run, 1.3, occluded, part=start).min() > 0.1
    assert (
        dark(closed, run, 1.3, occluded, part=end).max()
        < dark(HEALTHY, run, 1.3, occluded, part=end).min()
    )


def test_a_chronic_occlusion_fills_late_and_from_the_other_side():
    chronic = Disease({"mid_rca": SegmentState(100.0, cto=True, centre=0.4)}, 60.0)
    fresh = Disease({"mid_rca": SegmentState(100.0, centre=0.4)}, 60.0)
    assert np.median(dark(chronic, RIGHT, 0.5, "dist_rca")) < 0.01
    assert np.median(dark(chronic, RIGHT, 2.2, "dist_rca")) > 0.08
    assert np.median(dark(fresh, RIGHT, 2.2, "dist_rca")) < 0.01
    frame = frame_at(LEFT, 2.2)
    both = [
        attenuation(HEART, each, LEFT, size=128, frames=[frame]).sum() for each in (chronic, fresh)
    ]
    assert both[0] > 1.1 * both[1]


def test_a_stenosis_takes_away_what_its_percentage_says():
    narrow = SegmentState(70.0, centre=0.5, length_mm=14.0, eccentricity=0.0)
    n = HEART.right.run("mid_rca").stop - HEART.right.run("mid_rca").start
    middle = slice(n // 2 - 1, n // 2 + 2)
    before, after = (
        dark(each, RIGHT, 1.3, "mid_rca", size=512, part=middle).mean()
        for each in (HEALTHY, Disease({"mid_rca": narrow}, 60.0))
    )
    assert after / before == pytest.approx(0.3, abs=0.07)


def test_thrombus_is_a_defect_inside_a_contour_that_is_kept():
    clot = SegmentState(20.0, thrombus=True, centre=0.5, length_mm=14.0)
    narrow = SegmentState(50.0, centre=0.5, length_mm=14.0)
    frame = frame_at(RIGHT, 1.3)
    widths = {}
    for name, state in (("healthy", None), ("clot", clot), ("narrow", narrow)):
        disease = Disease({} if state is None else {"mid_rca": state}, 60.0)
        picture = attenuation(HEART, disease, RIGHT, size=512, frames=[frame])[0]
        n = HEART.right.run("mid_rca").stop - HEART.right.run("mid_rca").start
        row, column = along(RIGHT, "mid_rca", frame, 512, part=slice(n // 2, n // 2 + 1))
        across = picture[row[0], column[0] - 25 : column[0] + 26]
        widths[name] = np.flatnonzero(across > 0.1)
    extent = {name: at.max() - at.min() for name, at in widths.items()}
    assert extent["clot"] >= extent["healthy"]
    assert extent["narrow"] < 0.8 * extent["healthy"]


def test_contrast_stays_in_a_thrombus():
    clot = Disease({"mid_rca": SegmentState(0.0, thrombus=True, length_mm=14.0)}, 60.0)
    late = run_facts(RIGHT).bolus.duration_s + 1.2
    middle = slice(15, 30)
    assert dark(clot, RIGHT, late, "mid_rca", part=middle).mean() > 0.05
    assert dark(HEALTHY, RIGHT, late, "mid_rca", part=middle).mean() < 0.02


@pytest.mark.parametrize("amount", [0.1, 0.5, 1.0])
def test_calcium_is_there_before_contrast_and_moves_with_the_heart(amount):
    disease = Disease({"prox_rca": SegmentState(calcification=amount)}, 60.0)
    before = [0, 2, 4, 6]
    run = Acquisition("right", 40.0, 0.0, 130.0, 75, 1000 / 30, 72.0, 79)
    assert run.frame_time_ms * max(before) / 1000 < arrival_s(HEART, disease, run)
    pictures = attenuation(HEART, disease, run, size=128, frames=before)
    assert pictures.max() > 0.08
    rows, columns = np.mgrid[:128, :128]
    centres = [
        ((picture * rows).sum() / picture.sum(), (picture * columns).sum() / picture.sum())
        for picture in pictures
    ]
    assert np.ptp(np.asarray(centres), axis=0).max() > 0.3


def test_calcium_grows_where_it_was():
    little, much = (
        deposits(HEART, Disease({"mid_lad": SegmentState(calcification=each)}, 60.0), HEART.left)
        for each in (0.2, 0.7)
    )
    assert np.all(much.kind == CALCIUM)
    assert much.mass_mm2.sum() > 1.5 * little.mass_mm2.sum()
    kept = {tuple(point) for point in little.points.tolist()}
    assert kept <= {tuple(point) for point in much.points.tolist()}


def test_a_stent_is_seen_without_contrast_and_fainter_than_it():
    stent = Disease({"mid_rca": SegmentState(stent=True, length_mm=14.0)}, 60.0)
    still = attenuation(HEART, stent, RIGHT, size=256, frames=[0])[0]
    assert 0.03 < still.max() < 0.6
    full = attenuation(HEART, stent, RIGHT, size=256, frames=[frame_at(RIGHT, 1.3)])[0]
    assert still.mean() < 0.2 * full.mean()


def test_walls_move_more_the_greater_the_ejection_fraction():
    points = HEART.left.points[: HEART.left.n_labelled]
    times = (np.arange(30) / 30).astype(np.float32)
    reach = []
    for ef in (15, 30, 45, 60, 75):
        seen = camera(HEART, Disease({}, float(ef)), LEFT, times)
        reach.append(np.ptp(seen.look(seen.place(points))[0], axis=0).mean())
    assert np.corrcoef(reach, [15, 30, 45, 60, 75])[0, 1] > 0.9
    assert reach[-1] > 2.5 * reach[0]


def test_pictures_have_the_greys_of_cine_angiography():
    rng = np.random.default_rng(4)
    greys = []
    for _ in range(5):
        heart = draw_anatomy(rng)
        runs = draw_protocol(rng)
        greys += [
            np.percentile(render(heart, HEALTHY, run, size=64, frames=[0]), 50) for run in runs
        ]
    assert 60 < np.mean(greys) < 150
    assert np.std(greys) > 8


@pytest.mark.parametrize("run", [RIGHT, LEFT])
def test_segment_maps_say_where_each_segment_is(run):
    maps = truth_maps(HEART, HEALTHY, run).segments
    sums = maps.sum(axis=(1, 2))
    own = [name for name in HEART.segments if HEART.artery(name) == run.artery]
    for name, number in SEGMENT_NUMBERS.items():
        assert sums[number] == pytest.approx(1.0 if name in own else 0.0, abs=1e-5)
    frame = frame_at(run, 1.2)
    segment = "mid_rca" if run is RIGHT else "mid_lad"
    row, column = along(run, segment, frame, 16)
    assert maps[SEGMENT_NUMBERS[segment]][row, column].mean() > 0.02


def test_lesion_maps_show_what_is_visible():
    disease = Disease(
        {
            "prox_rca": SegmentState(60.0, thrombus=True),
            "mid_rca": SegmentState(100.0, centre=0.5),
            "dist_rca": SegmentState(80.0, calcification=0.5, stent=True),
            "mid_lad": SegmentState(90.0),
        },
        60.0,
    )
    maps = truth_maps(HEART, disease, RIGHT).lesions
    assert maps.shape == (6, 16, 16)
    assert maps.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(maps[1] & ~maps[0], False)
    np.testing.assert_array_equal(maps[2], maps[1])
    assert not truth_maps(HEART, HEALTHY, RIGHT).lesions.any()
    hidden = Disease({"mid_rca": SegmentState(100.0), "pda": SegmentState(90.0)}, 60.0)
    alone = Disease({"mid_rca": SegmentState(100.0)}, 60.0)
    first, second = (truth_maps(HEART, each, RIGHT).lesions for each in (hidden, alone))
    np.testing.assert_array_equal(first, second)
