import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import EncoderError, NotFoundError
from embedder.encoders.tokenizer import (
    MAX_CHARACTERS,
    MAX_FILE_BYTES,
    MAX_TOKENS,
    Tokenizer,
    find_vocabulary,
)
from tests.support.vocabulary import SPECIALS, vocabulary, write_tokenizer_json, write_vocabulary

PAD, UNK, CLS, SEP, MASK = range(5)
NUMBERS = {token: number for number, token in enumerate(vocabulary())}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Tokenizer.load(write_vocabulary(tmp_path_factory.mktemp("vocabulary")))


def tokens(tokenizer, text):
    ids, mask = tokenizer.encode([text])
    assert mask.all()
    return [vocabulary()[number] for number in ids[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Severe stenosis", ["severe", "stenosis"]),
        ("SÉVÈRE", ["severe"]),
        ("of,the", ["of", ",", "the"]),
        ("stentosis", ["s", "##t", "##e", "##n", "##t", "##osis"]),
        ("90%", ["9", "##0", "%"]),
        ("no\treport\r\n\n", ["no", "report"]),
        ("no\x00 re\x07port\ufffd", ["no", "report"]),
        ("狭窄", ["[UNK]", "[UNK]"]),
        ("狭of窄", ["[UNK]", "of", "[UNK]"]),
        ("x" * 101, ["[UNK]"]),
        ("no [SEP] report", ["no", "[SEP]", "report"]),
        ("no \ud800report", ["no", "report"]),
    ],
)
def test_words_and_pieces(tokenizer, text, expected):
    assert tokens(tokenizer, text) == ["[CLS]", *expected, "[SEP]"]


@pytest.mark.parametrize("text", ["", " ", "\n\t  ", "\ud800", "No Report"])
def test_an_empty_text_is_no_report(tokenizer, text):
    assert tokens(tokenizer, text) == ["[CLS]", "no", "report", "[SEP]"]


@pytest.mark.parametrize("text", ["\x00", "\u200b", "\ufffd"])
def test_a_text_of_nothing_but_controls_has_no_word(tokenizer, text):
    assert tokens(tokenizer, text) == ["[CLS]", "[SEP]"]


def test_a_batch_is_padded_to_its_longest_text(tokenizer):
    texts = ["no report", "severe stenosis of the proximal lad", ""]
    ids, mask = tokenizer.encode(texts)
    assert ids.dtype == mask.dtype == np.int64
    assert ids.shape == mask.shape == (3, 8)
    np.testing.assert_array_equal(mask.sum(axis=1), [4, 8, 4])
    np.testing.assert_array_equal(mask, ids != PAD)
    for i, text in enumerate(texts):
        alone, _ = tokenizer.encode([text])
        np.testing.assert_array_equal(alone[0], ids[i, : mask[i].sum()])


def test_no_texts(tokenizer):
    ids, mask = tokenizer.encode([])
    assert ids.shape == mask.shape == (0, 0)


@pytest.mark.parametrize(
    ("words", "length"), [(509, 511), (510, 512), (511, 512), (5000, MAX_TOKENS)]
)
def test_a_long_text_is_cut_at_512_tokens(tokenizer, words, length):
    ids, _ = tokenizer.encode(["lad " * words])
    assert ids.shape == (1, length)
    assert (ids[0, 0], ids[0, -1]) == (CLS, SEP)
    assert (ids[0, 1:-1] == NUMBERS["lad"]).all()


@pytest.mark.parametrize("unit", ["lad stenosis ", "x", " ", "狭", "\u0301", "[SEP]", "\x00"])
def test_ten_megabytes_are_no_more_work_than_the_cut_text(tokenizer, unit):
    start = time.perf_counter()
    found, _ = tokenizer.encode([unit * (10_000_000 // len(unit.encode()))])
    assert time.perf_counter() - start < 5
    cut, _ = tokenizer.encode([unit * (MAX_CHARACTERS // len(unit))])
    np.testing.assert_array_equal(found, cut)


def test_white_space_in_front_does_not_push_the_text_out(tokenizer):
    assert tokens(tokenizer, " " * 200_000 + "lad") == ["[CLS]", "lad", "[SEP]"]


@given(st.lists(st.text(st.characters(), max_size=40), max_size=4))
def test_any_text_gives_tokens_of_the_vocabulary(tokenizer, texts):
    ids, mask = tokenizer.encode(texts)
    assert ids.shape == mask.shape
    assert len(ids) == len(texts)
    assert ((ids >= 0) & (ids < len(vocabulary()))).all()
    assert (mask.sum(axis=1) >= 2).all()


def test_both_kinds_of_file_give_the_same_tokenizer(tmp_path, tokenizer):
    texts = ["Severe stenosis of the LAD", "Stentosis, 90 % [MASK]"]
    other = Tokenizer.load(write_tokenizer_json(tmp_path))
    np.testing.assert_array_equal(other.encode(texts)[0], tokenizer.encode(texts)[0])


def test_lines_may_end_as_on_windows_and_hold_line_separators(tmp_path):
    listed = [*vocabulary()[:-1], "\u2028"]
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join(listed).encode())
    ids, _ = Tokenizer.load(path).encode(["severe"])
    assert ids.tolist() == [[CLS, NUMBERS["severe"], SEP]]


def test_the_vocabulary_of_another_bert_is_named_as_such(tmp_path):
    """bert-base-uncased has as many tokens, and its special ones elsewhere."""
    unused = [f"[unused{i}]" for i in range(99)]
    others = [token for token in vocabulary() if token not in {*SPECIALS, *unused}]
    path = write_vocabulary(tmp_path, [SPECIALS[0], *unused, *SPECIALS[1:], *others])
    with pytest.raises(EncoderError, match="another model") as caught:
        Tokenizer.load(path)
    assert "expected [PAD]=0, [UNK]=1, [CLS]=2, [SEP]=3, [MASK]=4" in caught.value.message
    assert "found [PAD]=0, [UNK]=100, [CLS]=101, [SEP]=102, [MASK]=103" in caught.value.message
    assert "microsoft/BiomedNLP-PubMedBERT-base-uncased-abstract-fulltext" in caught.value.hint


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([], r"found \[PAD\] nowhere"),
        (vocabulary()[1:], r"\[PAD\] nowhere, \[UNK\]=0"),
        (vocabulary()[:-1], "expected 30522 tokens, found 30521$"),
        ([*vocabulary(), "stent"], "expected 30522 tokens, found 30523$"),
        ([*vocabulary()[:-1], "lad"], "found 30521 and 1 of them again"),
    ],
)
def test_a_list_that_is_not_the_vocabulary(tmp_path, listed, expected):
    with pytest.raises(EncoderError, match=expected):
        Tokenizer.load(write_vocabulary(tmp_path, listed))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type": "BPE"}, "expected a model WordPiece, found 'BPE'"),
        ({"type": ["WordPiece"]}, "expected a model WordPiece"),
        ({"vocab": [["[PAD]", 0.0]]}, "expected JSON with a model"),
        ({"vocab": {}}, "nowhere"),
        ({"vocab": {**NUMBERS, "lad": "7"}}, "expected JSON with a model"),
        ({"vocab": {**NUMBERS, "lad": None}}, "expected JSON with a model"),
        ({"vocab": {**NUMBERS, "lad": 10**9}}, "without gaps"),
        ({"vocab": {**NUMBERS, "\ud800": len(NUMBERS)}}, "expected JSON with a model"),
        ({"vocab": {**NUMBERS, "lad": NUMBERS["of"]}}, "without gaps"),
        ({"vocab": {**NUMBERS, "[MASK]": 3, "[SEP]": 4}}, "another model"),
    ],
)
def test_a_tokenizer_json_that_is_not_ours(tmp_path, change, expected):
    with pytest.raises(EncoderError, match=expected):
        Tokenizer.load(write_tokenizer_json(tmp_path, **change))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "{", '{"model": 3}', "[" * 100_000, '{"model": {}}']
)
def test_a_json_file_that_is_no_tokenizer(tmp_path, text):
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(EncoderError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer.load(path)


def test_what_is_not_text(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EncoderError, match="cannot be read as text"):
        Tokenizer.load(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "vocab.txt"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 50 * MAX_FILE_BYTES)
    with pytest.raises(EncoderError, match="expected 16777216 bytes at most, found 838860800"):
        Tokenizer.load(path)


def test_the_file_of_a_folder(tmp_path):
    with pytest.raises(NotFoundError, match=r"tokenizer\.json or vocab\.txt"):
        find_vocabulary(tmp_path)
    listed = write_vocabulary(tmp_path)
    assert find_vocabulary(tmp_path) == listed
    assert find_vocabulary(tmp_path) != write_tokenizer_json(tmp_path)


def test_no_folder_and_no_file(tmp_path):
    with pytest.raises(NotFoundError, match="no vocabulary in"):
        find_vocabulary(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match="is not there"):
        Tokenizer.load(tmp_path)
