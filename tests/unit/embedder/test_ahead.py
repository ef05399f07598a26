import threading
import time

import pytest

from embedder.ahead import Ahead


def counting(n, drawn, closed=None):
    try:
        for i in range(n):
            drawn.append(i)
            yield i
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


def test_all_items_come_in_their_order_from_another_thread():
    closed: list[str] = []
    with Ahead(counting(100, [], closed), most=3) as items:
        assert list(items) == list(range(100))
        assert list(items) == []
    assert closed == ["ahead"]


def test_never_more_than_agreed_are_drawn_ahead():
    drawn: list[int] = []
    with Ahead(counting(100, drawn), most=3) as items:
        assert next(items) == 0
        until = time.monotonic() + 20
        while len(drawn) < 1 + 3 + 1:  # taken, waiting, and one in its hand
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.1)
    assert len(drawn) == 5


def test_leaving_early_ends_the_thread_and_closes_the_source():
    closed: list[str] = []
    with Ahead(counting(100, [], closed), most=3) as items:
        assert next(items) == 0
    assert closed == ["ahead"]
    assert "ahead" not in {thread.name for thread in threading.enumerate()}


def test_an_error_arrives_after_the_items_before_it():
    def breaking():
        yield 1
        raise ValueError("broken")

    with Ahead(breaking(), most=3) as items:
        assert next(items) == 1
        for _ in range(2):
            with pytest.raises(ValueError, match="broken"):
                next(items)
