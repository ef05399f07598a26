"""Damaged files: each ends embedded, skipped or quarantined, in bounded time and memory."""

from pathlib import Path

import pytest
from pydicom import uid

from tests.support import guard_tasks
from tests.support.dicom import moving_frames, write_cine
from tests.support.fuzz import fuzz
from tests.support.mutate import DAMAGES, mutant

COPIES = Path(__file__).parents[1] / "data/dicom"
REAL = (
    "xa/philips_cathsample_75f_jpeg_baseline.dcm",
    "cine_other/acuson_stress_echo_a_10f.dcm",
    "cine_other/emri_10f.dcm",
    "cine_other/emri_10f_rle.dcm",
    "cine_other/emri_10f_j2k.dcm",
    "cine_other/ct_enh_2f_fragmented_no_bot_jpeg57.dcm",
    "cine_other/ct_enh_2f_fragmented_no_bot_jpegls80.dcm",
    "cine_other/ct_enh_2f_bot_rle.dcm",
    "nasty/deflated_sr.dcm",
    "nasty/us_palette_rle_no_spacing.dcm",
)
SYNTHETIC = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.RLELossless,
)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    paths = [COPIES / name for name in REAL]
    for number, syntax in enumerate(SYNTHETIC):
        frames = moving_frames(18, 64, 72, bits=8 if number % 2 else 12)
        paths.append(
            write_cine(
                folder / str(number), frames, transfer_syntax=syntax,
                offsets="empty" if number % 3 else "basic", WindowCenter=100, WindowWidth=150,
                SOPInstanceUID=f"1.2.3.4.{number}", SeriesInstanceUID="1.2.3",
                StudyInstanceUID="1.2",
            )
        )  # fmt: skip
    return [path.read_bytes() for path in paths]


def test_a_mutant_is_the_same_every_time():
    original = bytes(range(256)) * 20
    assert mutant(original, 7) == mutant(original, 7) != original
    assert len(DAMAGES) == 6


def test_the_seeds_themselves_are_read(seeds, tmp_path):
    ends = []
    for number, content in enumerate(seeds):
        (tmp_path / str(number)).write_bytes(content)
        ends.append(guard_tasks.read_all(tmp_path / str(number))[0])
    assert ends.count("embedded") == len(seeds) - 2
    assert sorted(set(ends)) == ["embedded", "skipped not_an_image", "skipped single_frame"]


def test_two_hundred_mutants(seeds, tmp_path):
    found = fuzz(guard_tasks.read_all, seeds, tmp_path, 200)
    found.check(200)
    assert len(found.ends) >= 6  # the damage reaches many kinds of reason


@pytest.mark.slow
def test_many_mutants(seeds, tmp_path, capsys):
    found = fuzz(guard_tasks.read_all, seeds, tmp_path, 6000)
    with capsys.disabled():
        print(found)  # noqa: T201
    found.check(6000)
