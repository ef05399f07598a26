"""Real files: each ends as expected, lossless copies are equal, and 16 frames cost a fraction.

`tests/data/dicom` holds the files whose terms allow it; the others are read from the local sample
archive where it is at hand.
"""

import csv
import hashlib
import time
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from core.outcomes import Code, InputRefused
from core.schema import CINE_MODALITIES, View
from embedder.dicom.cine import HEADER_TAGS, read_header
from embedder.dicom.claims import claims_of
from embedder.dicom.decoders import decode_frame, decoder_for
from embedder.dicom.frame_table import frame_spans, pixel_element, read_spans
from embedder.dicom.header import open_regular, parse_header
from embedder.discover import discover
from embedder.frames import read_clip, read_frames
from embedder.guard.pool import GuardedPool
from embedder.sampling import ClipRule, frame_indices
from tests.support import guard_tasks

ROOT = Path(__file__).parents[2]
COPIES = ROOT / "tests/data/dicom"
ARCHIVE = (ROOT / "../shared/data/dicom").resolve()
with (ROOT / "tests/data/dicom_expectations.tsv").open() as table:
    EXPECTED = list(csv.DictReader(table, delimiter="\t"))
DEFAULT = frozenset(CINE_MODALITIES)
ADMITTED = DEFAULT | {"CT", "MR", "US", "OT", "NM", "RTDOSE"}
CINE = COPIES / "xa/philips_cathsample_75f_jpeg_baseline.dcm"


def sample(name):
    for folder in (COPIES, ARCHIVE):
        if (folder / name).exists():
            return folder / name
    pytest.skip("the local sample archive is not here")


def end_of(path, modalities):
    try:
        read_header(path, modalities=modalities)
        read_clip(path, rule=ClipRule("display"))
    except InputRefused as refusal:
        return refusal.status.value, refusal.reason.value
    return "embedded", ""


def decoded(path):
    """Decode every frame to stored codes."""
    file, status = open_regular(path)
    with file:
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        claims, decoder = claims_of(header), decoder_for(header.transfer_syntax)
        wanted = range(claims.n_frames)
        if decoder.encapsulated:
            spans = frame_spans(header, claims, wanted)
        else:
            start, size = pixel_element(header).start, claims.frame_bytes
            spans = {i: [(start + i * size, size)] for i in wanted}
        frames = [decode_frame(read_spans(file, spans[i]), claims, decoder) for i in wanted]
    return np.stack(frames), claims


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row["file"])
def test_each_file_ends_as_expected(row):
    path = sample(row["file"])
    assert end_of(path, DEFAULT) == (row["status"], row["code"])
    assert end_of(path, frozenset(ADMITTED)) == (row["admitted_status"], row["admitted_code"])


def test_every_sample_has_an_expectation():
    if not ARCHIVE.exists():
        pytest.skip("the local sample archive is not here")
    names = {str(each.path.relative_to(ARCHIVE)) for each in discover([ARCHIVE])}
    assert {name for name in names if "/" in name} == {row["file"] for row in EXPECTED}


def test_the_copies_are_unchanged():
    notice = (ROOT / "tests/data/NOTICE.md").read_text()
    for offered in discover([COPIES]):
        name = offered.path.relative_to(COPIES.parent)
        digest = hashlib.sha256(offered.path.read_bytes()).hexdigest()
        assert f"| `{name}` |" in notice
        assert digest in notice


def test_the_whole_folder_through_the_guarded_workers():
    paths = [offered.path for offered in discover([COPIES])]
    with GuardedPool(2, seconds=20) as pool:
        found = list(pool.map(read_header, paths, fallback=Code.BAD_HEADER, chunk=4))
        cines = [path for path, cine in found if not isinstance(cine, InputRefused)]
        clips = list(pool.map(guard_tasks.display, cines))
    assert [path for path, _ in found] == paths
    assert cines == [CINE]
    assert not isinstance(clips[0][1], InputRefused)
    assert clips[0][1].frames.shape == (16, 512, 512)


def test_the_real_cine():
    cine = read_header(CINE)
    assert cine.view is View.LAO_CRANIAL
    assert (cine.primary_angle_deg, cine.secondary_angle_deg) == (40.1, 27.0)
    assert (cine.n_frames, cine.rows, cine.columns) == (75, 512, 512)
    assert cine.frame_time_ms == pytest.approx(66.667, abs=1e-3)
    assert (cine.series_time, cine.patient_sex, cine.patient_age_years) == (
        "081054.000000", "M", 62.0,
    )  # fmt: skip
    assert cine.patient_known
    reference = dcmread(CINE).pixel_array
    clip = read_clip(CINE, rule=ClipRule("original"))
    np.testing.assert_array_equal(clip.frames, reference[frame_indices(75)])
    assert clip.sha256 == hashlib.sha256(CINE.read_bytes()).hexdigest()
    # The window of the file (127, 255) is all but the identity.
    shown = read_clip(CINE, rule=ClipRule("display")).frames.astype(int)
    assert np.abs(shown - clip.frames).max() <= 1


CT = "transfer_syntax/ct_{}TransferSyntax_{}.dcm"
REFERENCE = CT.format("LittleEndianExplicit", "1.2.840.10008.1.2.1")
EQUAL = {
    REFERENCE: [
        CT.format("JPEG2000LosslessOnly", "1.2.840.10008.1.2.4.90"),
        CT.format("JPEGLSLossless", "1.2.840.10008.1.2.4.80"),
        CT.format("JPEGProcess14SV1", "1.2.840.10008.1.2.4.70"),
        CT.format("RLELossless", "1.2.840.10008.1.2.5"),
        CT.format("LittleEndianImplicit", "1.2.840.10008.1.2"),
    ],
    "xa/wg04_XA1_UNC.dcm": [f"xa/wg04_XA1_{each}.dcm" for each in ("J2KR", "JLSL", "JPLL", "RLE")],
    "cine_other/emri_10f.dcm": ["cine_other/emri_10f_rle.dcm", "cine_other/emri_10f_j2k.dcm"],
    "cine_other/ct_enh_2f_bot_rle.dcm": [
        "cine_other/ct_enh_2f_fragmented_no_bot_jpeg57.dcm",
        "cine_other/ct_enh_2f_fragmented_no_bot_jpegls80.dcm",
        "cine_other/ct_enh_2f_explicit.dcm",
    ],
}


@pytest.mark.parametrize(
    ("reference", "other"), [(one, other) for one, others in EQUAL.items() for other in others]
)
def test_lossless_copies_decode_to_the_same_codes(reference, other):
    np.testing.assert_array_equal(decoded(sample(other))[0], decoded(sample(reference))[0])


@pytest.mark.parametrize(
    "name",
    [
        REFERENCE,
        CT.format("JPEG2000LosslessOnly", "1.2.840.10008.1.2.4.90"),
        "nasty/j2k_pixelrep_mismatch.dcm",
        "nasty/us_palette_rle_no_spacing.dcm",
        "cine_other/us_8f_jpeg2000_lossless.dcm",
        "nasty/odd_length_ob_1403.dcm",
        "rf/siemens_rf_single.dcm",
    ],
)
def test_codes_are_those_of_pydicom(name):
    codes, claims = decoded(sample(name))
    data = dcmread(sample(name))
    data.pixel_array_options(raw=True)
    expected = data.pixel_array.reshape(codes.shape).astype(int) & ((1 << claims.bits_stored) - 1)
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize(
    ("name", "reference", "mean"),
    [("xa/wg04_XA1_JPLY.dcm", "xa/wg04_XA1_UNC.dcm", 3.0)],
)
def test_twelve_bit_jpeg_is_close_to_its_original(name, reference, mean):
    lossy, original = decoded(sample(name))[0], decoded(sample(reference))[0]
    assert np.abs(lossy.astype(int) - original).mean() < mean
    assert np.corrcoef(lossy.ravel(), original.ravel())[0, 1] > 0.99


def test_two_twelve_bit_jpeg_processes_agree():
    # The same slice in extended sequential (.51) and in spectral selection (.53).
    one = decoded(sample(CT.format("JPEGProcess2_4", "1.2.840.10008.1.2.4.51")))[0]
    other = decoded(sample(CT.format("JPEGProcess6_8", "1.2.840.10008.1.2.4.53")))[0]
    assert np.abs(one.astype(int) - other).max() <= 1
    slope = np.corrcoef(one.ravel(), decoded(sample(REFERENCE))[0].view(np.int16).ravel())[0, 1]
    assert slope > 0.99


def _seconds(indices):
    file, status = open_regular(CINE)
    with file:
        header = parse_header(file, status.st_size, tags=HEADER_TAGS)
        claims = claims_of(header)
        started = time.process_time()
        read_frames(header, claims, indices, profile="display")
        return time.process_time() - started


def test_sixteen_of_75_frames_cost_at_most_a_third():
    some, everything = frame_indices(75), range(75)
    _seconds(some)  # the first call loads the decoder
    ratios = [_seconds(some) / _seconds(everything) for _ in range(3)]
    assert min(ratios) < 1 / 3
