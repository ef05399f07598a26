"""Headers: what a cine says of itself, and every reason why a file is none."""

import datetime as dt
import gzip
import logging
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite, uid
from pydicom.dataset import Dataset

from core.outcomes import Code, InputRefused, Status
from core.schema import View
from core.uris import path_of
from embedder.dicom import header
from embedder.dicom.cine import read_header
from embedder.frames import read_clip
from embedder.sampling import ClipRule
from tests.support.dicom import LOSSLESS, moving_frames, patch, write_cine

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

STUDY, SERIES, SOP = "1.2.3", "1.2.3.4", "1.2.3.4.5"


def code_of(path, **options):
    with pytest.raises(InputRefused) as caught:
        read_header(path, **options)
    return caught.value.reason


def refusal_of(path, **options):
    with pytest.raises(InputRefused) as caught:
        read_header(path, **options)
    return caught.value


def cine(tmp_path, frames=None, **attributes):
    return read_header(write_cine(tmp_path / "f", frames, **attributes))


def change(path, edit):
    """Edit a file with pydicom, unvalidated."""
    data = dcmread(path)
    edit(data)
    dcmwrite(path, data, enforce_file_format=False)
    return path


# what is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda each: uid.UID(each).name)
def test_every_field_in_every_encoding(tmp_path, syntax):
    path = write_cine(
        tmp_path / "a b.dcm", moving_frames(20, 48, 64), transfer_syntax=syntax,
        SOPInstanceUID=SOP, StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, PatientID="P-17 ",
        InstanceNumber=7,
    )  # fmt: skip
    found = read_header(path)
    assert (found.sop_uid, found.study_uid, found.series_uid) == (SOP, STUDY, SERIES)
    assert (found.patient_id, found.patient_known) == ("P-17", True)
    assert (found.patient_sex, found.patient_age_years) == ("F", 63.0)
    assert found.study_date == dt.date(2024, 1, 31)
    assert found.series_time == "101500.000000"
    assert found.acquisition_datetime == dt.datetime(2024, 1, 31, 10, 15, 30, 250_000)
    assert found.instance_number == 7
    assert found.view is View.LAO_CAUDAL
    assert (found.primary_angle_deg, found.secondary_angle_deg) == (30.0, -20.0)
    assert (found.n_frames, found.rows, found.columns) == (20, 48, 64)
    assert found.frame_time_ms == 66.67
    assert found.transfer_syntax_uid == syntax
    assert path_of(found.source_uri) == path


@pytest.mark.parametrize(
    ("sop_class", "modality", "admitted"),
    [
        ("1.2.840.10008.5.1.4.1.1.12.1", "XA", True),
        ("1.2.840.10008.5.1.4.1.1.12.1", "OT", True),
        ("1.2.840.10008.5.1.4.1.1.12.1", None, True),
        ("1.2.840.10008.5.1.4.1.1.12.2", "RF", True),
        ("1.2.840.10008.5.1.4.1.1.12.1.1", "XA", True),
        ("1.2.840.10008.5.1.4.1.1.12.2.1", "RF", True),
        ("1.2.840.10008.5.1.4.1.1.7.2", "XA", True),  # multi-frame secondary capture
        ("1.2.840.10008.5.1.4.1.1.7.2", "xa ", True),
        ("1.3.46.670589.1", "XA", True),  # a private class
        ("1.2.840.10008.5.1.4.1.1.3.1", "US", False),
        ("1.2.840.10008.5.1.4.1.1.7.2", None, False),
        ("1.2.840.10008.5.1.4.1.1.13.1.1", "XA", False),  # a volume of a rotational run
    ],
)
def test_what_is_a_cine(tmp_path, sop_class, modality, admitted):
    path = write_cine(tmp_path / "f", SOPClassUID=sop_class, Modality=modality)
    if admitted:
        assert read_header(path).n_frames == 20
    else:
        assert code_of(path) is Code.OTHER_MODALITY


def test_other_modalities_by_option(tmp_path):
    path = write_cine(tmp_path / "f", SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", Modality="US")
    assert code_of(path) is Code.OTHER_MODALITY
    assert read_header(path, modalities=frozenset({"XA", "US"})).n_frames == 20


@pytest.mark.parametrize(
    "patient_id",
    [
        "",
        "  ",
        "0",
        "0000",
        "ANON",
        "anonymous",
        "Unknown",
        "N/A",
        "NONE",
        "-",
        "...",
        "x",
        "^",
        None,
    ],
)
def test_placeholders_are_no_patients(tmp_path, patient_id):
    found = cine(tmp_path, PatientID=patient_id)
    assert (found.patient_id, found.patient_known) == ("", False)


@pytest.mark.parametrize("patient_id", ["1", "ANON-17", "UNKNOWN_3", "000120", "ÄÖ-1"])
def test_pseudonyms_are_patients(tmp_path, patient_id):
    found = cine(tmp_path, PatientID=patient_id, SpecificCharacterSet="ISO_IR 192")
    assert (found.patient_id, found.patient_known) == (patient_id, True)


@pytest.mark.parametrize(
    "charset", ["ISO_IR 192", "NONSENSE", "\\ISO 2022 IR 87", "", "ISO_IR 100"]
)
def test_no_character_set_refuses_a_file(tmp_path, charset):
    path = write_cine(tmp_path / "f", SpecificCharacterSet="ISO_IR 100", PatientID="Zo\xeb")
    found = read_header(patch(path, "SpecificCharacterSet", charset.encode()))
    assert found.patient_known
    assert found.patient_id.startswith("Zo")


@pytest.mark.parametrize(
    ("attributes", "age"),
    [
        ({"PatientAge": "063Y"}, 63.0),
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": "010D"}, 10 / 365.25),
        ({"PatientAge": "003W"}, pytest.approx(21 / 365.25)),
        ({"PatientAge": None, "PatientBirthDate": "19540131"}, pytest.approx(70.0, abs=0.01)),
        ({"PatientAge": "old", "PatientBirthDate": "19540131"}, pytest.approx(70.0, abs=0.01)),
        ({"PatientAge": "063Y", "PatientBirthDate": "19000101"}, 63.0),
        ({"PatientAge": "130Y"}, None),
        ({"PatientAge": None, "PatientBirthDate": "20250101"}, None),
        ({"PatientAge": None, "PatientBirthDate": "19540131", "StudyDate": None}, None),
        ({"PatientAge": None}, None),
    ],
)
def test_age(tmp_path, attributes, age):
    assert cine(tmp_path, **attributes).patient_age_years == age


@pytest.mark.parametrize(
    ("sex", "expected"), [("M", "M"), ("f", "F"), ("O", "O"), ("?", None), (None, None)]
)
def test_sex(tmp_path, sex, expected):
    assert cine(tmp_path, PatientSex=sex).patient_sex == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"FrameTime": 40, "CineRate": 10}, 40.0),
        ({"FrameTime": None, "FrameTimeVector": [0, 50, 70], "CineRate": 10}, 60.0),
        ({"FrameTime": 0, "CineRate": 15}, pytest.approx(66.667, abs=1e-3)),
        ({"FrameTime": None, "RecommendedDisplayFrameRate": 25}, 40.0),
        ({"FrameTime": 1e6}, None),
        ({"FrameTime": -40}, None),
        ({"FrameTime": None, "CineRate": 0}, None),
        ({"FrameTime": None}, None),
    ],
)
def test_frame_time(tmp_path, attributes, expected):
    assert cine(tmp_path, **attributes).frame_time_ms == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10", "100000.000000"),
        ("1015", "101500.000000"),
        ("101502", "101502.000000"),
        ("101502.5", "101502.500000"),
        ("101502.123456", "101502.123456"),
        ("10:15:02", "101502.000000"),
        ("235960", "235959.000000"),
        ("250000", None),
        ("10150", None),
        ("noon", None),
        ("", None),
    ],
)
def test_series_time(tmp_path, value, expected):
    path = patch(write_cine(tmp_path / "f"), "SeriesTime", value.encode())
    assert read_header(path).series_time == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"AcquisitionDateTime": "20240131101530.25+0100"}, (10, 15, 30, 250_000)),
        ({"AcquisitionDateTime": "20240131101530"}, (10, 15, 30, 0)),
        (
            {"AcquisitionTime": None, "ContentDate": "20240131", "ContentTime": "1112"},
            (11, 12, 0, 0),
        ),
        ({"AcquisitionDate": None, "ContentDate": "20240131", "ContentTime": "11"}, (11, 0, 0, 0)),
        ({"AcquisitionTime": None}, None),
        ({"AcquisitionDate": "20240231"}, None),
    ],
)
def test_acquisition_time(tmp_path, attributes, expected):
    found = cine(tmp_path, **attributes).acquisition_datetime
    assert found == (None if expected is None else dt.datetime(2024, 1, 31, *expected))


DESCRIBING: dict[str, Any] = {
    "PatientAge": "063Y", "PatientSex": "F", "PatientBirthDate": "19540131", "PatientID": "P1",
    "StudyDate": "20240131", "SeriesTime": "10", "InstanceNumber": 1,
    "AcquisitionDateTime": "20240131101530", "AcquisitionDate": "20240131",
    "AcquisitionTime": "10", "FrameTime": 40, "CineRate": 15, "FrameTimeVector": [0, 40],
    "PositionerPrimaryAngle": 1, "PositionerSecondaryAngle": 1,
    "PositionerPrimaryAngleIncrement": [0, 0], "SeriesInstanceUID": "1.2", "WindowCenter": 1,
    "WindowWidth": 9, "RescaleSlope": 1, "RescaleIntercept": 0, "VOILUTFunction": "LINEAR",
}  # fmt: skip


@pytest.mark.parametrize("keyword", DESCRIBING)
@pytest.mark.parametrize(
    "value", [b"\xff\xfe\x00\x81", b"1\\2\\x3 ", b"1e999", b"\\\\", b"NaN", b""]
)
def test_bad_values_refuse_nothing(tmp_path, keyword, value):
    path = patch(write_cine(tmp_path / "f", **DESCRIBING), keyword, value)
    assert read_header(path).n_frames == 20
    assert read_clip(path, rule=ClipRule("display")).frames.shape == (16, 48, 64)


def test_order_inside_a_study(tmp_path):
    cines: list[dict[str, Any]] = [
        {"SeriesTime": None},
        {"SeriesTime": "1016"},
        {"SeriesTime": "101500", "AcquisitionTime": "1030"},
        {"SeriesTime": "1015", "InstanceNumber": 2},
        {"SeriesTime": "101500.0", "InstanceNumber": 1},
        {"SeriesTime": "101500", "InstanceNumber": None},
    ]
    found = [
        read_header(write_cine(tmp_path / str(i), SOPInstanceUID=f"1.2.{i}", **attributes))
        for i, attributes in enumerate(cines)
    ]
    assert [each.sop_uid[-1] for each in sorted(found, key=lambda each: each.order)] == [
        "4", "3", "5", "2", "1", "0",
    ]  # fmt: skip


# angles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "view", "angles"),
    [
        ({}, View.LAO_CAUDAL, (30.0, -20.0)),
        ({"PositionerPrimaryAngle": None}, View.OTHER, (None, -20.0)),
        ({"PositionerPrimaryAngle": 200}, View.OTHER, (None, -20.0)),
        ({"PositionerPrimaryAngleIncrement": [0] * 20}, View.LAO_CAUDAL, (30.0, -20.0)),
        ({"PositionerPrimaryAngleIncrement": [0.1] * 20}, View.LAO_CAUDAL, (30.0, -20.0)),
        ({"PositionerPrimaryAngleIncrement": [5, -5] * 10}, View.LAO_CAUDAL, (30.0, -20.0)),
        ({"PositionerPrimaryAngleIncrement": [0, *[2] * 19]}, View.OTHER, (30.0, -20.0)),
        ({"PositionerSecondaryAngleIncrement": [-1] * 20}, View.OTHER, (30.0, -20.0)),
    ],
)
def test_view(tmp_path, attributes, view, angles):
    found = cine(tmp_path, **attributes)
    assert found.view is view
    assert (found.primary_angle_deg, found.secondary_angle_deg) == angles


def groups(positions):
    items = []
    for primary, secondary in positions:
        position, item = Dataset(), Dataset()
        position.PositionerPrimaryAngle, position.PositionerSecondaryAngle = primary, secondary
        item.PositionerPositionSequence = [position]
        items.append(item)
    return items


@pytest.mark.parametrize(
    ("attributes", "view"),
    [
        ({"SharedFunctionalGroupsSequence": groups([(-30.0, 30.0)])}, View.RAO_CRANIAL),
        ({"PerFrameFunctionalGroupsSequence": groups([(-30.0, 0.0)] * 20)}, View.RAO_STRAIGHT),
        (
            {"PerFrameFunctionalGroupsSequence": groups([(3.0 * i, 0.0) for i in range(20)])},
            View.OTHER,
        ),
        ({"PerFrameFunctionalGroupsSequence": [Dataset()]}, View.OTHER),
    ],
)
def test_view_of_enhanced_objects(tmp_path, attributes, view):
    found = cine(
        tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.12.1.1", PositionerPrimaryAngle=None,
        PositionerSecondaryAngle=None, **attributes,
    )  # fmt: skip
    assert found.view is view


# what is skipped --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"x" * 500),
        b"PK\x03\x04" + b"\0" * 600,
        b"\x28\xb5\x2f\xfd" + b"\0" * 600,
        b"\0" * 257 + b"ustar" + b"\0" * 300,
    ],
    ids=["gzip", "zip", "zstandard", "tar"],
)
def test_archives(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    assert code_of(tmp_path / "f") is Code.ARCHIVE


@pytest.mark.parametrize(
    "content",
    [b"hello", b"\x08\x00\x16\x00", b"\0" * 5000, b"\x08\x00" * 4000, b"\x89PNG" * 99],
)
def test_not_dicom(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    assert code_of(tmp_path / "f") is Code.NOT_DICOM


def test_a_large_text_is_told_quickly(tmp_path):
    # A megabyte of what reads like empty elements of a bare data set.
    (tmp_path / "f").write_bytes(b"\x08\x00\x99\x00\0\0\0\0" * 130_000)
    assert code_of(tmp_path / "f") is Code.NOT_DICOM


def test_a_bare_data_set_is_dicom(tmp_path):
    path = write_cine(tmp_path / "f", transfer_syntax=uid.ImplicitVRLittleEndian)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x08\x00\x16\x00") :])
    found = read_header(path)
    assert found.transfer_syntax_uid == uid.ImplicitVRLittleEndian


def test_a_missing_transfer_syntax_is_found_out(tmp_path):
    for syntax in (
        uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian
    ):  # fmt: skip
        path = write_cine(tmp_path / "f", transfer_syntax=syntax)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI"))
        assert read_header(path).transfer_syntax_uid == syntax


def test_the_bytes_overrule_a_wrong_transfer_syntax(tmp_path):
    path = write_cine(tmp_path / "f", transfer_syntax=uid.ImplicitVRLittleEndian)
    patch(path, "TransferSyntaxUID", b"1.2.840.10008.1.2.1")
    assert read_header(path).n_frames == 20


@pytest.mark.parametrize(("modality", "said"), [("US", "US"), ("SMITHJOHN", "unknown")])
def test_only_known_modalities_are_repeated(tmp_path, modality, said):
    """A code string that is none could hold a name."""
    us_cine = "1.2.840.10008.5.1.4.1.1.3.1"
    with pytest.raises(InputRefused, match=f"modality {said}$") as caught:
        read_header(write_cine(tmp_path / "f", SOPClassUID=us_cine, Modality=modality))
    assert caught.value.reason is Code.OTHER_MODALITY


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.67", "SR"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "XA"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "OT"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "ECG"),
        ("1.2.840.10008.5.1.4.1.1.481.5", "RTPLAN"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "KO"),
        ("1.3.6.1.4.1.1", "XX"),
    ],
)
def test_objects_without_an_image(tmp_path, sop_class, modality):
    path = write_cine(tmp_path / "f", SOPClassUID=sop_class, Modality=modality)

    def strip(data):
        del data.PixelData, data.Rows, data.Columns, data.NumberOfFrames

    assert code_of(change(path, strip)) is Code.NOT_AN_IMAGE


@pytest.mark.parametrize("number", [None, 1, ""])
def test_a_single_frame(tmp_path, number):
    path = write_cine(tmp_path / "f", moving_frames(1), NumberOfFrames=number)
    assert code_of(path) is Code.SINGLE_FRAME


def test_a_single_frame_is_skipped_whatever_else_is_wrong(tmp_path):
    path = write_cine(
        tmp_path / "f", moving_frames(1), StudyInstanceUID=None, BitsAllocated=32, Rows=0
    )
    assert code_of(path) is Code.SINGLE_FRAME


def test_a_broken_object_of_another_kind_is_still_skipped(tmp_path):
    path = write_cine(tmp_path / "f", SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x02\x00")
    path.write_bytes(content[:at] + b"\x28\x00\x00\x00SQ\0\0\xff\xff\xff\xff" + b"\xee" * 100)
    assert code_of(path) is Code.OTHER_MODALITY
    refusal = refusal_of(path, modalities=frozenset({"CT"}))
    assert refusal.reason is Code.BAD_HEADER


# what is quarantined ----------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("value", [b"abc ", b"1.2..3", b"1." * 33, b"\0\0", b"1", b".1.2"])
def test_uids_must_be_uids(tmp_path, keyword, value):
    refusal = refusal_of(patch(write_cine(tmp_path / "f"), keyword, value))
    assert refusal.reason is Code.MISSING_ATTRIBUTE
    assert refusal.message == f"no valid {keyword}"


def test_a_missing_series_uid_is_no_reason(tmp_path):
    assert cine(tmp_path, SeriesInstanceUID=None).series_uid == ""


@pytest.mark.parametrize(
    "keyword", ["Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"]
)
def test_missing_pixel_attributes(tmp_path, keyword):
    nothing: dict[str, Any] = {keyword: None}
    path = write_cine(tmp_path / "f", **nothing)
    assert code_of(path) is Code.MISSING_ATTRIBUTE


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"Rows": 0}, "Rows is 0, expected 1 to 8192"),
        ({"Columns": 8193}, "Columns is 8193"),
        ({"Rows": 65535, "Columns": 65535}, "Rows is 65535"),
        ({"Rows": 8192, "Columns": 8192}, "8192 x 8192 pixels is over the limit"),
        ({"NumberOfFrames": 20_001}, "NumberOfFrames is 20001"),
        ({"NumberOfFrames": 0}, "NumberOfFrames is 0"),
        ({"NumberOfFrames": -3}, "NumberOfFrames is -3"),
        ({"BitsAllocated": 32}, "BitsAllocated is 32, expected 8 or 16"),
        ({"BitsAllocated": 1}, "BitsAllocated is 1"),
        ({"BitsStored": 9}, "BitsStored is 9"),
        ({"BitsStored": 0}, "BitsStored is 0"),
        ({"HighBit": 15}, "HighBit is 15"),
        ({"SamplesPerPixel": 2}, "SamplesPerPixel is 2, expected 1 or 3"),
        ({"PixelRepresentation": 7}, "PixelRepresentation is 7"),
    ],
)
def test_impossible_claims(tmp_path, attributes, message):
    refusal = refusal_of(write_cine(tmp_path / "f", **attributes))
    assert refusal.reason is Code.BAD_CLAIM
    assert refusal.message.startswith(message)


def test_a_number_of_frames_that_is_no_number(tmp_path):
    assert code_of(patch(write_cine(tmp_path / "f"), "NumberOfFrames", b"2A")) is Code.BAD_CLAIM


def test_no_pixel_data(tmp_path):
    path = write_cine(tmp_path / "f")

    def strip(data):
        del data.PixelData

    assert code_of(change(path, strip)) is Code.NO_PIXEL_DATA


def test_pixel_data_only_in_the_icon(tmp_path):
    path = write_cine(tmp_path / "f")

    def strip(data):
        icon = Dataset()
        icon.Rows = icon.Columns = 4
        icon.PixelData = b"\0" * 16
        icon["PixelData"].VR = "OB"
        data.IconImageSequence = [icon]
        del data.PixelData

    assert code_of(change(path, strip)) is Code.ICON_ONLY


def test_floating_point_pixels(tmp_path):
    path = write_cine(tmp_path / "f")

    def swap(data):
        del data.PixelData
        data.FloatPixelData = np.zeros(20 * 48 * 64, "<f4").tobytes()

    assert code_of(change(path, swap)) is Code.UNSUPPORTED_PIXELS


@pytest.mark.parametrize("left", [1, 0.5, 0.02])
def test_truncated_pixels(tmp_path, left):
    path = write_cine(tmp_path / "f")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left) - 100])
    refusal = refusal_of(path)
    assert refusal.reason in (Code.TRUNCATED, Code.NO_PIXEL_DATA)
    assert refusal.status is Status.QUARANTINED


def test_less_pixel_data_than_claimed(tmp_path):
    path = write_cine(tmp_path / "f", moving_frames(20), NumberOfFrames=21)
    assert (
        refusal_of(path).message == f"{20 * 48 * 64} bytes of pixel data of {21 * 48 * 64} claimed"
    )


def test_a_file_cut_at_any_byte_is_told(tmp_path):
    path = write_cine(tmp_path / "f", moving_frames(2, 8, 8))
    content = path.read_bytes()
    for end in range(1, len(content), 3):
        path.write_bytes(content[:end])
        refusal = refusal_of(path)
        inside = end > 400  # the data set has said by then what it is
        assert (refusal.status is Status.QUARANTINED) or not inside, (end, refusal.reason)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile"),
        ("1.2.840.113619.5.2", "1.2.840.113619.5.2"),
        ("1.2.3.4.5.6", "1.2.3.4.5.6"),
    ],
)
def test_transfer_syntaxes_without_decoder(tmp_path, syntax, name):
    refusal = refusal_of(patch(write_cine(tmp_path / "f"), "TransferSyntaxUID", syntax.encode()))
    assert refusal.reason is Code.UNSUPPORTED_TRANSFER_SYNTAX
    assert name in refusal.message


def test_compressed_pixels_that_are_not_in_items(tmp_path):
    path = patch(write_cine(tmp_path / "f"), "TransferSyntaxUID", b"1.2.840.10008.1.2.4.50")
    assert code_of(path) is Code.BAD_HEADER


def test_uncompressed_pixels_in_items(tmp_path):
    path = write_cine(tmp_path / "f", transfer_syntax=uid.JPEGBaseline8Bit)
    patch(path, "TransferSyntaxUID", b"1.2.840.10008.1.2.1")
    assert code_of(path) is Code.BAD_HEADER


def test_a_deflated_data_set_that_is_broken(tmp_path):
    path = write_cine(tmp_path / "f", transfer_syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    path.write_bytes(content[:400] + b"\xff" * 300 + content[700:])
    assert code_of(path) is Code.BAD_HEADER


def test_a_deflate_bomb_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(header, "MAX_INFLATED_BYTES", 2**20)
    path = write_cine(tmp_path / "f", transfer_syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    at = content.index(b"1.2.840.10008.1.2.1.99") + 22
    while content[at : at + 2] == b"\x02\x00":  # the rest of the meta information
        at += 8 + struct.unpack_from("<H", content, at + 6)[0]
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(b"\0" * 2**24) + packer.flush()
    path.write_bytes(content[:at] + bomb)
    assert refusal_of(path).message == "the data set inflates to more than 1048576 bytes"


def test_missing_empty_and_special_files(tmp_path):
    (tmp_path / "empty").touch()
    assert code_of(tmp_path / "gone") is Code.UNREADABLE
    assert code_of(tmp_path / "empty") is Code.EMPTY_FILE
    assert code_of(tmp_path) is Code.SPECIAL_FILE


# privacy and manners ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {"Modality": "DOE12345^JANE"},
        {"Rows": 0},
        {"StudyInstanceUID": None},
        {"NumberOfFrames": 1},
    ],
)
def test_refusals_hold_nothing_of_the_patient(tmp_path, caplog, attributes):
    path = write_cine(
        tmp_path / "f", PatientID="DOE12345", PatientName="DOE12345",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2", **attributes,
    )  # fmt: skip
    caplog.clear()
    refusal = refusal_of(path)
    assert "DOE" not in refusal.message + repr(refusal) + refusal.hint
    assert not caplog.records


def test_reading_leaves_pydicom_as_it_was(tmp_path):
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    read_header(patch(write_cine(tmp_path / "f"), "PatientAge", b"\xff\xff"))
    assert logger.disabled is before
