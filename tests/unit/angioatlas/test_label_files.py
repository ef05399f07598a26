import datetime as dt

import pytest

from angioatlas.label_files import LabelFile, Problems, find_files, read_file
from core.errors import UsageError
from core.labels import LABELS, LabelKind
from tests.support.label_tables import TABLES, write_tables


def read(path, kind, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    problems = Problems()
    return [row.cells for row in read_file(LabelFile(path, kind), problems)], problems


def test_a_folder_gives_its_tables_in_the_declared_order(tmp_path):
    folder = write_tables(tmp_path / "labels")
    (folder / "readme.csv").write_text("anything")
    found = find_files([folder])
    assert [file.kind for file in found] == list(LabelKind)
    assert [file.path.name for file in found] == [f"{kind}.csv" for kind in LabelKind]


def test_a_file_is_of_the_table_that_its_name_or_the_caller_tells(tmp_path):
    folder = write_tables(tmp_path)
    other = folder / "mace.csv"
    (folder / "events.csv").rename(other)
    assert find_files([other], LabelKind.EVENTS) == [LabelFile(other, LabelKind.EVENTS)]
    assert find_files([folder / "reports.csv"])[0].kind is LabelKind.REPORTS
    with pytest.raises(UsageError, match=r"name of .*mace\.csv does not tell") as error:
        find_files([other])
    assert "--kind events|follow_up" in error.value.hint


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file .*nowhere"):
        find_files([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="has no label table"):
        find_files([tmp_path])
    write_tables(tmp_path)
    with pytest.raises(UsageError, match="--kind tells one table"):
        find_files([tmp_path], LabelKind.EVENTS)


def test_cells_get_their_types(tmp_path):
    rows, problems = read(tmp_path / "t.csv", LabelKind.MEASUREMENTS, TABLES["measurements"])
    assert problems.said == []
    assert rows[1] == {
        "id": None,
        "patient_id": "P1",
        "study_uid": "1.2.1",
        "date": dt.date(2021, 3, 2),
        "name": "stenosis_percent@prox_lad",
        "value": 99.5,
        "unit": "%",
        "method": "qca",
    }
    rows, _ = read(tmp_path / "t.csv", LabelKind.PROCEDURES, TABLES["procedures"])
    assert rows[0]["segments"] == ["prox_lad", "mid_lad"]  # in anatomical order
    assert rows[1]["segments"] == []


def test_optional_columns_may_be_absent_and_order_is_free(tmp_path):
    rows, problems = read(
        tmp_path / "t.csv", LabelKind.EVENTS, ["kind;patient_id;date", "MI;P1;2021-03-01"]
    )
    assert problems.said == []
    assert rows == [{"patient_id": "P1", "date": dt.date(2021, 3, 1), "kind": "mi", "source": None}]


@pytest.mark.parametrize(
    ("kind", "header", "row", "column", "expected"),
    [
        ("events", "patient_id,date,kind", "P1,2021-02-29,mi", "date", "a date such as"),
        ("events", "patient_id,date,kind", "P1,20210301,mi", "date", "a date such as"),
        ("events", "patient_id,date,kind", "P1,01.03.2021,mi", "date", "a date such as"),
        ("events", "patient_id,date,kind", "P1,1021-03-01,mi", "date", "from 1900 to 2100"),
        ("events", "patient_id,date,kind", "P1,2021-03-01,infarct", "kind", "one of death_card"),
        ("events", "patient_id,date,kind", ",2021-03-01,mi", "patient_id", "found nothing"),
        ("events", "patient_id,date,kind", "ANON,2021-03-01,mi", "patient_id", "no placeholder"),
        ("follow_up", "patient_id,last_known_date,status", "P1,2021-03-01,ok", "status", "alive"),
        ("measurements", "patient_id,date,name,value", "P1,2021-03-01,lvef_percent,0.55", "value",
         "percent, 1 to 100, found 0.55"),
        ("measurements", "patient_id,date,name,value", "P1,2021-03-01,lvef_percent,nan", "value",
         "a number"),
        ("measurements", "patient_id,date,name,value", "P1,2021-03-01,lvef_percent,1_0", "value",
         "a number"),
        ("measurements", "patient_id,date,name,value", "P1,2021-03-01,ldl,1e999", "value",
         "a number"),
        ("measurements", "patient_id,date,name,value", "P1,2021-03-01,stenosis_percent,50", "name",
         "a segment after @: prox_rca"),
        ("measurements", "patient_id,date,name,value", "P1,2021-03-01,stenosis_percent@lad,50",
         "name", "a segment after @"),
        ("measurements", "patient_id,date,name,value",
         "P1,2021-03-01,stenosis_percent@prox_lad,101", "value", "percent, 0 to 100, found 101"),
        ("measurements", "patient_id,date,name,value", "P1,2021-03-01,LVEF,50", "name", "lower"),
        ("measurements", "patient_id,study_uid,date,name,value", "P1,x,2021-03-01,ldl,3",
         "study_uid", "a StudyInstanceUID"),
        ("procedures", "patient_id,date,kind,segments", "P1,2021-03-01,pci,prox_lad lad",
         "segments", "separated by spaces"),
        ("procedures", "patient_id,date,kind", "P1,2021-03-01,ptca", "kind", "one of pci, cabg"),
        ("covariates", "patient_id,name,value", "P1,Diabetes mellitus,1", "name", "lower case"),
        ("reports", "study_uid,text", "1.2,", "text", "a value, found nothing"),
    ],
)  # fmt: skip
def test_a_bad_cell_is_named_by_line_and_column(tmp_path, kind, header, row, column, expected):
    rows, problems = read(tmp_path / "t.csv", LabelKind(kind), [header, row])
    assert rows == []
    (said,) = problems.said
    assert said.startswith(f"{tmp_path / 't.csv'}, line 2, column {column}: expected ")
    assert expected in said


def test_all_problems_are_said_at_once_and_no_text_is_quoted(tmp_path):
    lines = ["patient_id,date,kind", *["Mueller^Hans,yesterday,mi"] * 30, "P1,2021-03-01,mi"]
    rows, problems = read(tmp_path / "t.csv", LabelKind.EVENTS, lines)
    assert len(rows) == 1
    with pytest.raises(UsageError, match="no label was imported, 30 cells") as error:
        problems.refuse()
    assert "line 21, column date" in error.value.message
    assert "line 22" not in error.value.message
    assert "and 10 more" in error.value.message
    assert "yesterday" not in error.value.message
    assert "Mueller" not in error.value.message


def test_columns_that_lack_or_are_not_known_are_refused(tmp_path):
    with pytest.raises(UsageError, match="expected the columns patient_id, date, kind, found pat"):
        read(tmp_path / "t.csv", LabelKind.EVENTS, ["patient_id,kind", "P1,mi"])
    with pytest.raises(UsageError, match=r"columns that are not known: 'cause' \(column 4\)"):
        read(
            tmp_path / "t.csv",
            LabelKind.EVENTS,
            ["patient_id,date,kind,cause", "P1,2021-03-01,mi,x"],
        )
    # Without a header the first line is a patient's: it is not quoted.
    with pytest.raises(UsageError, match=r"found none of them$"):
        read(tmp_path / "t.csv", LabelKind.EVENTS, ["P1,2021-03-01,mi"])


def test_a_table_without_rows_is_one(tmp_path):
    assert read(tmp_path / "t.csv", LabelKind.EVENTS, ["patient_id,date,kind"])[0] == []


def test_every_key_is_made_of_columns():
    for table in LABELS.values():
        assert set(table.key) <= set(table.names)
        assert "patient_id" in table.names
