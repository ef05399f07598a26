"""Tables of movies: every column, every separator, and errors that say where."""

import datetime as dt

import pytest

from core.errors import UsageError
from core.schema import View
from core.uris import uri_of
from embedder.movies import rows
from embedder.movies.rows import read_movie_rows

UID = "1.2.840.1"


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "movies.csv"
    path.write_text(text, encoding=encoding)
    return path


def one(tmp_path, header, cells):
    (row,) = read_movie_rows(table(tmp_path, f"{header}\n{cells}\n")).values()
    return row


def test_two_columns_are_enough(tmp_path):
    found = read_movie_rows(table(tmp_path, f"FileName,StudyInstanceUID\na/b.avi,{UID}\n"))
    ((uri, row),) = found.items()
    assert uri == uri_of(tmp_path / "a/b.avi")
    assert row.study_uid == UID
    assert (row.sop_uid, row.series_uid, row.patient_known) == ("", "", False)
    assert row.view is View.OTHER
    assert row.frame_time_ms is None


def test_every_column_is_read(tmp_path):
    header = (
        "path,StudyInstanceUID,SOPInstanceUID,SeriesInstanceUID,patient_id,StudyDate,SeriesTime,"
        "InstanceNumber,primary_angle,secondary_angle,PatientSex,PatientAge,fps,more"
    )
    cells = f"/x.avi,{UID},{UID}.1,{UID}.2,Jane,2024-01-31,101500,3,40,-25.5,f,063Y,12.5,ignored"
    row = one(tmp_path, header, cells)
    assert (row.sop_uid, row.series_uid) == (f"{UID}.1", f"{UID}.2")
    assert (row.patient_id, row.patient_known) == ("Jane", True)
    assert "Jane" not in repr(row)
    assert row.study_date == dt.date(2024, 1, 31)
    assert (row.series_time, row.instance_number) == ("101500.000000", 3)
    assert (row.primary_angle_deg, row.secondary_angle_deg) == (40.0, -25.5)
    assert row.view is View.LAO_CAUDAL
    assert (row.patient_sex, row.patient_age_years) == ("F", 63.0)
    assert row.frame_time_ms == 80.0


@pytest.mark.parametrize("separator", [",", ";", "\t", "\u03b1"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_and_byte_order_mark(tmp_path, separator, encoding):
    lines = [["ss_patient_id", "FileName", "view_class", "StudyInstanceUID"]]
    lines += [["7", "x.avi", "rao cranial", UID]]
    text = "".join(separator.join(line) + "\r\n" for line in lines)
    (row,) = read_movie_rows(table(tmp_path, text, encoding)).values()
    assert (row.patient_id, row.view, row.study_uid) == ("7", View.RAO_CRANIAL, UID)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("101500", "101500.000000"),
        ("1015", "101500.000000"),
        ("10:15:00", "101500.000000"),
        ("101500.25", "101500.250000"),
        # Stored as a number, the leading zeros are lost.
        ("93005", "093005.000000"),
        ("93005.0", "093005.000000"),
        ("5.0", "000005.000000"),
    ],
)
def test_times_that_were_numbers(tmp_path, text, time):
    assert one(tmp_path, "path,StudyInstanceUID,SeriesTime", f"x,{UID},{text}").series_time == time


def test_what_programs_write_for_nothing_is_nothing(tmp_path):
    header = "path,StudyInstanceUID,SOPInstanceUID,patient_id,InstanceNumber,PatientAge,fps"
    row = one(tmp_path, header, f"x,{UID},nan,NaN,4.0,,None")
    assert (row.sop_uid, row.patient_known, row.instance_number) == ("", False, 4)
    assert (row.patient_age_years, row.frame_time_ms) == (None, None)
    placeholder = one(tmp_path, "path,StudyInstanceUID,patient_id", f"x,{UID},ANONYMOUS")
    assert (placeholder.patient_id, placeholder.patient_known) == ("", False)


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("SOPInstanceUID", "one", "a UID"),
        ("SeriesInstanceUID", "1", "a UID"),
        ("StudyDate", "31.01.2024", "a date, YYYYMMDD"),
        ("SeriesTime", "noon", "a time, HHMMSS"),
        ("InstanceNumber", "3.5", "a whole number"),
        ("InstanceNumber", "99999999999", "a whole number"),
        ("primary_angle", "200", "degrees, -180 to 180"),
        ("secondary_angle", "inf", "degrees, -90 to 90"),
        ("view_class", "LAO", "one of the twelve views"),
        ("PatientSex", "woman", "M, F or O"),
        ("PatientAge", "200Y", "years, or a DICOM age"),
        ("PatientAge", "-1", "years, or a DICOM age"),
        ("fps", "0", "frames a second"),
    ],
)
def test_a_bad_cell_is_named_and_not_quoted(tmp_path, column, cell, expected):
    text = (
        f"path,StudyInstanceUID,patient_id,{column}\nx,{UID},Doe^Jane,\ny,{UID},Doe^Jane,{cell}\n"
    )
    with pytest.raises(UsageError, match=f"line 3, column {column}: expected {expected}") as caught:
        read_movie_rows(table(tmp_path, text))
    assert "Doe" not in caught.value.message
    assert len(cell) <= 3 or cell not in caught.value.message


def test_a_row_needs_a_path_and_a_study(tmp_path):
    header = "path,StudyInstanceUID\n"
    with pytest.raises(UsageError, match="line 2, column StudyInstanceUID: expected a UID"):
        read_movie_rows(table(tmp_path, f"{header}x,\n"))
    with pytest.raises(UsageError, match=r"line 2, column StudyInstanceUID: .* 9 characters"):
        read_movie_rows(table(tmp_path, f"{header}x,1.2.not.a\n"))
    with pytest.raises(UsageError, match="line 2, column FileName: expected a path, found nothing"):
        read_movie_rows(table(tmp_path, f"{header},{UID}\n"))


def test_a_table_needs_its_columns_and_rows(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="found no StudyInstanceUID"):
        read_movie_rows(table(tmp_path, "FileName,patient_id\nx,1\n"))
    with pytest.raises(UsageError, match="found no FileName and no StudyInstanceUID"):
        read_movie_rows(table(tmp_path, "a,b\nx,1\n"))
    with pytest.raises(UsageError, match="has no rows"):
        read_movie_rows(table(tmp_path, "FileName,StudyInstanceUID\n"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_movie_rows(tmp_path / "nowhere.csv")
    monkeypatch.setattr(rows, "MAX_ROWS", 1)
    with pytest.raises(UsageError, match="has more than 1 rows"):
        read_movie_rows(table(tmp_path, f"path,StudyInstanceUID\nx,{UID}\ny,{UID}\n"))


def test_one_movie_has_one_row_however_its_path_is_written(tmp_path):
    text = f"path,StudyInstanceUID\na/x.avi,{UID}\n\n{tmp_path}/a/../a/x.avi,{UID}\n"
    with pytest.raises(UsageError, match="lines 2 and 4: expected one row a movie"):
        read_movie_rows(table(tmp_path, text))
