"""Damaged files: each ends embedded, skipped or quarantined, in bounded time and memory."""

import time
from collections import Counter
from pathlib import Path

import pytest
from pydicom import uid

from core.outcomes import OUTCOMES, Code, InputRefused
from embedder.guard.pool import GuardedPool
from tests.support import guard_tasks
from tests.support.dicom import moving_frames, write_cine
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
SECONDS = 9.0
ENDS = {"embedded", *(f"{outcome.status} {code}" for code, outcome in OUTCOMES.items())}


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


def run(seeds, folder, count):
    """Read `count` mutants, each from a file of its own that is gone afterwards."""

    def mutants():
        for number in range(count):
            path = folder / str(number)
            path.write_bytes(mutant(seeds[number % len(seeds)], number))
            yield path

    ends: Counter[str] = Counter()
    slowest, peak_kib = 0.0, 0
    with GuardedPool(2, seconds=SECONDS) as pool:
        started = time.monotonic()
        for path, result in pool.map(guard_tasks.read_all, mutants(), fallback=Code.BAD_HEADER):
            path.unlink()
            if isinstance(result, InputRefused):
                end = f"{result.status.value} {result.reason.value}"
                if result.reason is Code.BAD_HEADER:
                    end += f" (worker: {result.message})"
            else:
                end, seconds, kib = result
                slowest, peak_kib = max(slowest, seconds), max(peak_kib, kib)
            ends[end] += 1
    return ends, slowest, peak_kib / 1024, time.monotonic() - started


def check(ends, slowest, peak_mib, count):
    assert sum(ends.values()) == count
    assert set(ends) <= ENDS, set(ends) - ENDS
    assert slowest < 10
    assert peak_mib < 1024


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
    ends, slowest, peak_mib, _ = run(seeds, tmp_path, 200)
    check(ends, slowest, peak_mib, 200)
    assert len(ends) >= 6  # the damage reaches many kinds of reason


@pytest.mark.slow
def test_many_mutants(seeds, tmp_path, capsys):
    count = 6000
    ends, slowest, peak_mib, seconds = run(seeds, tmp_path, count)
    with capsys.disabled():
        report = "".join(f"\n{n:6} {end}" for end, n in ends.most_common())
        print(  # noqa: T201
            f"\n{count} mutants of {len(seeds)} files in {seconds:.0f} s; slowest that came back "
            f"{slowest:.2f} s, largest worker {peak_mib:.0f} MiB{report}"
        )
    check(ends, slowest, peak_mib, count)
