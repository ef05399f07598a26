import pytest

from angioatlas.classified import read_classified
from core.errors import UsageError
from embedder.runs import Classified, Structure

HEAD = "SOPInstanceUID,main_structure_class,contrast_agent_class,stent_presence_class\n"


def read(tmp_path, text):
    path = tmp_path / "runs.csv"
    path.write_text(text, encoding="utf-8")
    return read_classified(path)


def test_names_numbers_and_words(tmp_path):
    text = HEAD + "1.1,0,1,0\n1.2,right coronary,yes,NO\n1.3,TEE_probe,True,\n1.4,,nan,1.0\n"
    assert read(tmp_path, text + "1.5,11.0,0.0,false\n") == {
        "1.1": Classified(Structure.LEFT_CORONARY, contrast=True, stent=False),
        "1.2": Classified(Structure.RIGHT_CORONARY, contrast=True, stent=False),
        "1.3": Classified(Structure.TEE_PROBE, contrast=True),
        "1.4": Classified(stent=True),
        "1.5": Classified(Structure.PIGTAIL, contrast=False, stent=False),
    }


def test_one_column_besides_the_uid_is_enough(tmp_path):
    text = "pathαsop_uidαstent_presence_class\na.dcmα1.1α1\n"
    assert read(tmp_path, text) == {"1.1": Classified(stent=True)}


def test_the_same_row_twice_is_one_row(tmp_path):
    assert len(read(tmp_path, HEAD + "1.1,0,1,0\n1.1,Left Coronary,yes,no\n")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "1.1,12,1,0\n", "line 2, column main_structure_class: expected 0 to 11 .*found 12"),
        (HEAD + "1.1,0,1,0\n1.2,0,2,0\n", "line 3, column contrast_agent_class: expected 0 or 1, "),
        (HEAD + "1.1,0,1,DOE\n", "stent_presence_class: expected 0 or 1, found a text of 3"),
        (HEAD + "IM0001,0,1,0\n", "column SOPInstanceUID: expected a UID, found a text of 6"),
        (HEAD + "1.1,0,1,0\n1.2,0,1,0\n1.1,1,1,0\n", "lines 2 and 4: expected one row"),
        ("SOPInstanceUID,note\n1.1,x\n", "expected the columns SOPInstanceUID and at least one"),
        ("note,main_structure_class\nx,0\n", "found main_structure_class"),
        ("a,b\nx,0\n", "found none of them"),
        (HEAD, "has no rows"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, text)
    assert "DOE" not in caught.value.message
