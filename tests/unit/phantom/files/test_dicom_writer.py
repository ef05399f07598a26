"""Files of phantoms: valid objects of the standard, which come back as they were written."""

import dataclasses
import datetime as dt

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames

from core.schema import View
from embedder.frames import read_clip
from embedder.inputs import Input, read_input
from embedder.runs import left_out
from embedder.sampling import ClipRule, frame_indices
from phantom.files.dicom_writer import PatientFacts, RunIdentity, description, write_run
from phantom.files.transfer_syntax import TransferSyntax
from phantom.picture.acquisition import Acquisition
from tests.support.dicom import moving_frames as any_frames
from tests.support.iod import faults

XA = frozenset({"XA"})

LEFT = Acquisition("left", -25.04, 24.96, 120.0, 20, 1000 / 15, 70.0, seed=3)
SOMEBODY = PatientFacts("PHANTOM-1-00001", "PHANTOM^00001", "F", dt.date(1950, 3, 4))
SECOND = RunIdentity(
    study_uid="2.25.11",
    series_uid="2.25.12",
    sop_uid="2.25.13",
    study_number=1,
    run_number=2,
    study_started=dt.datetime(2020, 3, 3, 8, 3),
    started=dt.datetime(2020, 3, 3, 8, 5, 3, 120_000),
)


def moving_frames(*size, **options):
    return any_frames(*size, **options).astype(np.uint8)


def written(path, frames=None, *, acquisition=LEFT, syntax=TransferSyntax.EXPLICIT):
    write_run(
        path,
        moving_frames() if frames is None else frames,
        patient=SOMEBODY,
        run=SECOND,
        acquisition=acquisition,
        transfer_syntax=syntax,
    )
    return path


@pytest.mark.parametrize("syntax", TransferSyntax)
def test_the_standards_definition_of_the_object_is_met(tmp_path, syntax):
    assert faults(dcmread(written(tmp_path / "run.dcm", syntax=syntax))) == set()


@pytest.mark.parametrize(
    ("keyword", "value", "fault"),
    [
        ("FrameTime", None, ("cine", "(0018,1063)", "TagMissing")),
        ("RadiationSetting", "", ("x-ray-acquisition", "(0018,1155)", "TagEmpty")),
        ("PositionerMotion", None, ("xa-positioner", "(0018,1500)", "TagMissing")),
        ("EchoTime", 3.0, ("General", "(0018,0081)", "TagUnexpected")),
    ],
)
def test_the_validator_notices_what_is_wrong(tmp_path, keyword, value, fault):
    data = dcmread(written(tmp_path / "run.dcm"))
    if value is None:
        del data[keyword]
    else:
        setattr(data, keyword, value)
    assert fault in faults(data)


@pytest.mark.parametrize("syntax", TransferSyntax)
@pytest.mark.parametrize("side", [33, 64])  # an odd number of bytes is padded
def test_pixels_come_back(tmp_path, syntax, side):
    frames = moving_frames(20, side, side)
    path = written(tmp_path / "run.dcm", frames, syntax=syntax)
    back = dcmread(path).pixel_array
    clip = read_clip(path, rule=ClipRule("original")).frames
    np.testing.assert_array_equal(clip, back[frame_indices(20)])
    if syntax.lossy:
        assert 0 < np.abs(back.astype(int) - frames).max() <= 16
        assert np.abs(back.astype(int) - frames).mean() < 2
    else:
        np.testing.assert_array_equal(back, frames)


@pytest.mark.parametrize("syntax", TransferSyntax)
def test_the_embedder_reads_the_run_as_it_was_taken(tmp_path, syntax):
    path = written(tmp_path / "run.dcm", syntax=syntax)
    cine, facts = read_input(Input(path), modalities=XA)
    assert left_out(facts, min_frames=8) is None
    assert facts.term == ""
    assert (cine.study_uid, cine.series_uid, cine.sop_uid) == ("2.25.11", "2.25.12", "2.25.13")
    assert (cine.patient_known, cine.patient_sex, cine.patient_age_years) == (True, "F", 69.0)
    assert cine.study_date == dt.date(2020, 3, 3)
    assert cine.acquisition_datetime == SECOND.started
    assert (cine.series_time, cine.instance_number) == ("080503.120000", 2)
    assert (cine.primary_angle_deg, cine.secondary_angle_deg) == (-25.0, 25.0)
    assert cine.view is View.RAO_CRANIAL
    assert (cine.n_frames, cine.rows, cine.columns) == (20, 48, 64)
    assert cine.frame_time_ms == pytest.approx(1000 / 15, abs=1e-3)
    assert cine.transfer_syntax_uid == syntax.uid


@pytest.mark.parametrize(
    ("primary", "secondary", "view"),
    [
        (40, 25, View.LAO_CRANIAL),
        (45, -28, View.LAO_CAUDAL),
        (0, 35, View.AP_CRANIAL),
        (-25, -22, View.RAO_CAUDAL),
        (-30, 0, View.RAO_STRAIGHT),
    ],
)
def test_angles_are_those_of_the_view(tmp_path, primary, secondary, view):
    taken = dataclasses.replace(LEFT, primary_deg=primary, secondary_deg=secondary)
    cine, _ = read_input(Input(written(tmp_path / "run.dcm", acquisition=taken)), modalities=XA)
    assert cine.view is view


def test_the_file_says_that_nobody_was_examined(tmp_path):
    data = dcmread(written(tmp_path / "run.dcm"))
    assert data.SyntheticData == "YES"
    assert "synthetic" in data.StudyDescription
    assert data.ImageComments.startswith("SYNTHETIC")
    assert data.ManufacturerModelName == "phantom"
    assert not any(data.get(keyword) for keyword in ("InstitutionName", "ReferringPhysicianName"))


def test_pixel_spacing_and_distances_make_the_field_of_view(tmp_path):
    data = dcmread(written(tmp_path / "run.dcm"))
    magnified = data.DistanceSourceToDetector / data.DistanceSourceToPatient
    assert data.EstimatedRadiographicMagnificationFactor == pytest.approx(magnified, rel=1e-5)
    rows, columns = (float(each) for each in data.ImagerPixelSpacing)
    assert rows * data.Rows / magnified == pytest.approx(LEFT.field_of_view_mm, rel=1e-4)
    assert columns * data.Columns / magnified == pytest.approx(LEFT.field_of_view_mm, rel=1e-4)


def test_a_year_older_on_the_birthday_itself(tmp_path):
    born = dataclasses.replace(SOMEBODY, birth_date=dt.date(1950, 3, 3))
    write_run(
        tmp_path / "run.dcm",
        moving_frames(),
        patient=born,
        run=SECOND,
        acquisition=LEFT,
        transfer_syntax=TransferSyntax.EXPLICIT,
    )
    assert dcmread(tmp_path / "run.dcm").PatientAge == "070Y"


def test_lossy_files_say_how_and_how_much(tmp_path):
    data = dcmread(written(tmp_path / "run.dcm", syntax=TransferSyntax.JPEG))
    frames = list(generate_frames(data.PixelData, number_of_frames=20))
    # Start of frame 0: the baseline process (ITU-T T.81, table B.1).
    assert all(b"\xff\xc0" in frame and b"\xff\xc2" not in frame[:300] for frame in frames)
    raw = 20 * data.Rows * data.Columns
    assert data.LossyImageCompression == "01"
    assert data.LossyImageCompressionMethod == "ISO_10918_1"
    assert data.LossyImageCompressionRatio == pytest.approx(raw / sum(map(len, frames)), rel=0.02)


@pytest.mark.parametrize("syntax", [each for each in TransferSyntax if not each.lossy])
def test_lossless_files_say_so(tmp_path, syntax):
    data = dcmread(written(tmp_path / "run.dcm", syntax=syntax))
    assert data.LossyImageCompression == "00"
    assert "LossyImageCompressionRatio" not in data


def test_no_run_of_equal_bytes_crosses_a_row(tmp_path):
    frames = np.full((20, 5, 7), 9, np.uint8)
    data = dcmread(written(tmp_path / "run.dcm", frames, syntax=TransferSyntax.RLE))
    first = next(generate_frames(data.PixelData, number_of_frames=20))
    # One segment that begins behind the header of 64 bytes; each row is 7 times the byte 9.
    assert first[:8] == b"\1\0\0\0\x40\0\0\0"
    assert first[64:74] == bytes([256 - 6, 9]) * 5


def test_the_same_run_is_the_same_bytes_and_nothing_is_left_beside_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "run.dcm", syntax=TransferSyntax.JPEG)
    one, two = (tmp_path / name / "run.dcm" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert list(one.parent.iterdir()) == [one]


@pytest.mark.parametrize(
    "frames",
    [moving_frames(19), any_frames(20, bits=16), np.zeros((20, 8, 8, 3), np.uint8)],
    ids=["count", "depth", "colour"],
)
def test_frames_of_another_form_are_refused(tmp_path, frames):
    with pytest.raises(ValueError, match="expected 20 grey frames of bytes, found"):
        written(tmp_path / "run.dcm", frames)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("artery", "primary", "secondary", "words"),
    [
        ("left", 40.6, 24.4, "Left coronary LAO 41 CRA 24"),
        ("right", -30, 0.2, "Right coronary RAO 30"),
        ("left", 0.3, -28, "Left coronary AP CAU 28"),
    ],
)
def test_a_run_is_named_by_artery_and_angles(artery, primary, secondary, words):
    run = dataclasses.replace(LEFT, artery=artery, primary_deg=primary, secondary_deg=secondary)
    assert description(run) == words
