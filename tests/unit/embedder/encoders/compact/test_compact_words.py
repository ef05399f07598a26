"""Phrases to numbers, and which words of a phrase are known."""

import subprocess
import sys

import pytest

from embedder.encoders.compact.lexicon import Lexicon
from embedder.encoders.compact.words import BUCKETS, FEATURES, MAX_WORDS, featurise, split_words
from embedder.encoders.spec import Coverage

WORDS = """
proximal mid distal left right main anterior descending circumflex coronary artery LAD RCA LCX
occlusion occluded total totally stenosis lesion severe calcified thrombus stent diagonal D1
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Proximal LAD", ["proximal", "lad"]),
        ("70-99% stenosis", ["70", "99", "%", "stenosis"]),
        ("LVEF<40", ["lvef", "40"]),
        ("IVA proximale sténosée", ["iva", "proximale", "stenosee"]),
        ("D1, OM2; 2.5 mm", ["d", "1", "om", "2", "2.5", "mm"]),
        ("", []),
        ("?! _", []),
    ],
)
def test_texts_are_split_into_words(text, words):
    assert split_words(text) == words


def test_numbers_are_the_same_in_every_process():
    """Python's own hash is not; vectors of another process would be noise."""
    code = (
        "from embedder.encoders.compact.words import featurise;"
        "print(featurise(['proximal LAD 70 %']).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(featurise(["proximal LAD 70 %"]).tolist())


def test_the_numbers_never_change():
    """Weights were trained with these."""
    assert featurise(["LAD"])[0, 0].tolist() == [492, 3456, 204, 1489] + [0] * 8


def test_features_are_rows_of_the_table():
    ids = featurise(["stenosis of the left main", "a", ""])
    assert ids.shape == (3, 5, FEATURES)
    assert ids.max() < BUCKETS
    assert (ids[2] == 0).all()
    assert (ids[1, 1:] == 0).all()


def test_long_texts_are_cut():
    assert featurise(["word " * 500]).shape == (1, MAX_WORDS, FEATURES)
    assert featurise([]).shape == (0, 1, FEATURES)


def test_a_misspelt_word_shares_most_of_its_letters():
    right, wrong = featurise(["descending"])[0, 0], featurise(["decending"])[0, 0]
    shared = set(right.tolist()) & set(wrong.tolist()) - {0}
    assert len(shared) >= 6


def test_numbers_of_one_band_share_it():
    ids = featurise(["75 78 95"])[0]
    assert set(ids[0].tolist()) & set(ids[1].tolist()) - set(ids[2].tolist())


@pytest.mark.parametrize(
    ("text", "known", "unknown"),
    [
        ("pizza", (), ("pizza",)),
        ("proximal LAD occlusion", ("proximal", "lad", "occlusion"), ()),
        (
            "totaly occluded proximal left anterior decending",
            ("totaly", "occluded", "proximal", "left", "anterior", "decending"),
            (),
        ),
        ("widowmaker lesion", ("lesion",), ("widowmaker",)),
        ("stenoses of the arteries, calcfied", ("stenoses", "arteries", "calcfied"), ()),
        ("lesions LADs", ("lesions", "lads"), ()),
        ("lda", (), ("lda",)),  # too short to be forgiven
        ("70 % of the 3", (), ()),
        ("pizza pizza LAD", ("lad",), ("pizza",)),
        ("D1", ("d",), ()),
        ("Sténosis", ("stenosis",), ()),
    ],
)
def test_coverage(text, known, unknown):
    assert Lexicon(WORDS.split()).coverage(text) == Coverage(known, unknown)


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("stenosis", True),
        ("stenosiss", True),
        ("tsenosis", True),  # swapped
        ("stenoxis", True),
        ("stnosis", True),
        ("stnoxis", False),  # two letters
        ("sttenosiss", False),
        ("rca", True),
        ("rcas", True),
        ("rc", False),
    ],
)
def test_one_letter_is_forgiven(word, known):
    assert Lexicon(WORDS.split()).knows(word) is known
