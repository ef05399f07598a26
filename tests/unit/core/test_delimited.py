import pytest

from core.delimited import MAX_BYTES, bad_cell, read_rows
from core.errors import UsageError

COLUMNS = {"uid": ("UID", "sop_uid"), "side": ("side",)}


def rows(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return [(row.line, dict(row.cells)) for row in read_rows(path, COLUMNS)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "α"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_line_ends_and_byte_order_marks(tmp_path, separator, end, encoding):
    lines = [("note", "Sop_UID ", "SIDE"), ("x", "1.2", " left "), ("", "1.3", "")]
    text = end.join(separator.join(cells) for cells in lines) + end + end
    assert rows(tmp_path, text, encoding) == [
        (2, {"uid": "1.2", "side": "left"}),
        (3, {"uid": "1.3", "side": ""}),
    ]


def test_quoted_cells_may_hold_separators_and_line_ends(tmp_path):
    text = 'UID,note,side\n1,"a, b\nc",left\n2,,right\n'
    assert rows(tmp_path, text) == [
        (3, {"uid": "1", "side": "left"}),
        (4, {"uid": "2", "side": "right"}),
    ]


def test_a_column_that_is_not_there_is_absent(tmp_path):
    assert rows(tmp_path, "UID\n1\n") == [(2, {"uid": "1"})]
    assert rows(tmp_path, "") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "UID,side\n1,left\n2\n",
            "table.csv, line 3: expected 2 cells separated by comma, found 1",
        ),
        ("UID;side\n1;left;x\n", "line 2: expected 2 cells separated by semicolon, found 3"),
        ("UID,sop_uid\n1,1\n", "has the column uid twice: columns 1 and 2"),
    ],
)
def test_a_broken_table_is_named_by_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        rows(tmp_path, text)


def test_what_is_no_table_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="not UTF-8"):
        rows(tmp_path, "UID,side\n1,é\n", "latin-1")
    with pytest.raises(UsageError, match="is no CSV table"):
        rows(tmp_path, f"UID,side\n1,{'x' * 200_000}\n")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        next(read_rows(tmp_path / "nowhere.csv", COLUMNS))
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        next(read_rows(tmp_path, COLUMNS))
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UsageError, match=f"expected {MAX_BYTES} at the most"):
        next(read_rows(huge, COLUMNS))


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("7", "7"),
        ("", "nothing"),
        ("DOE^JANE", "a text of 8 characters"),
        ("123456", "a text of 6"),
    ],
)
def test_a_bad_cell_is_not_quoted(tmp_path, found, shown):
    error = bad_cell(tmp_path / "t.csv", 4, "side", "0 or 1", found)
    assert f"t.csv, line 4, column side: expected 0 or 1, found {shown}" in error.message
