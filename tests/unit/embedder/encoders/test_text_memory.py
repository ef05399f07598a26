"""Texts that were asked before, or are being asked, are not embedded again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.errors import EncoderError
from embedder.encoders.spec import Coverage, TextEmbedder
from embedder.encoders.text_memory import RememberedTexts, TextCounts


class Counting:
    """A `TextEmbedder` that notes what it embeds, how much at once, and waits to be let on."""

    encoder_id = "counting-000000000000"
    text_id = "0" * 12

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Semaphore(0)
        self.broken = False
        self._lock = threading.Lock()
        self._now = self.most_at_once = 0

    def encode(self, texts):
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        self.begun.release()
        assert self.go_on.wait(10)
        with self._lock:
            self._now -= 1
            self.embedded += texts
        if self.broken:
            raise EncoderError("out of order")
        return np.array([[len(text), hash(text) % 97] for text in texts], np.float32)

    def coverage(self, text):
        return Coverage(tuple(text.split()), ())


def test_it_is_the_text_encoder_below():
    below = Counting()
    reader = RememberedTexts(below, 10)
    assert isinstance(reader, TextEmbedder)
    assert (reader.encoder_id, reader.text_id) == (below.encoder_id, below.text_id)
    assert reader.coverage("a b") == Coverage(("a", "b"), ())
    texts = ["b", "aa", "b", "", "aa"]
    np.testing.assert_array_equal(reader.encode(texts), Counting().encode(texts))
    assert reader.encode([]).shape == (0,)


def test_each_text_is_embedded_once_and_counted():
    below = Counting()
    reader = RememberedTexts(below, 10)
    reader.encode(["a", "b", "a"])
    reader.encode(["b", "c"])
    assert below.embedded == ["a", "b", "c"]
    assert reader.counts == TextCounts(remembered=2, embedded=3)


def test_what_was_used_least_recently_makes_room():
    below = Counting()
    reader = RememberedTexts(below, 2)
    for texts in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
        reader.encode(texts)
    assert below.embedded == ["a", "b", "c", "b"]
    assert len(reader.encode(["x", "y", "z"])) == 3


def test_what_is_asked_at_once_is_embedded_once():
    below = Counting()
    below.go_on.clear()
    reader = RememberedTexts(below, 10)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(reader.encode, ["a", "b"])
        assert below.begun.acquire(timeout=10)
        others = [pool.submit(reader.encode, [text, "b"]) for text in ("a", "b", "b")]
        below.go_on.set()
        wanted = first.result(10)
        for text, other in zip("abb", others, strict=True):
            np.testing.assert_array_equal(other.result(10), wanted[["ab".index(text), 1]])
    assert below.embedded == ["a", "b"]


def test_two_who_ask_for_each_others_texts_do_not_wait_for_ever():
    below = Counting()
    below.go_on.clear()
    reader = RememberedTexts(below, 10)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(reader.encode, ["a", "b"])
        assert below.begun.acquire(timeout=10)
        two = pool.submit(reader.encode, ["b", "c", "a"])
        assert below.begun.acquire(timeout=10)
        below.go_on.set()
        np.testing.assert_array_equal(two.result(10)[[2, 0]], one.result(10))
        assert len(reader.encode(["c"])) == 1
    assert sorted(below.embedded) == ["a", "b", "c"]


def test_a_failure_is_told_to_all_who_wait_and_is_not_remembered():
    below = Counting()
    below.go_on.clear()
    below.broken = True
    reader = RememberedTexts(below, 10)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(reader.encode, ["a"])]
        assert below.begun.acquire(timeout=10)
        asked.append(pool.submit(reader.encode, ["a"]))
        while reader.counts.remembered == 0:  # the second waits for the first
            pass
        below.go_on.set()
        for each in asked:
            with pytest.raises(EncoderError, match="out of order"):
                each.result(10)
    below.broken = False
    assert len(reader.encode(["a"])) == 1
    assert below.embedded == ["a", "a"]


def test_no_more_at_once_than_there_is_room_for():
    below = Counting()
    below.go_on.clear()
    reader = RememberedTexts(below, 10, threading.Semaphore(2))
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(reader.encode, [text]) for text in "abcde"]
        assert below.begun.acquire(timeout=10)
        assert below.begun.acquire(timeout=10)
        assert not below.begun.acquire(timeout=0.1)
        below.go_on.set()
        assert [len(each.result(10)) for each in asked] == [1] * 5
    assert below.most_at_once == 2


def test_no_text_is_kept():
    reader = RememberedTexts(Counting(), 10)
    reader.encode(["somebody by name"])
    assert "somebody" not in repr(vars(reader))
