"""How often, and how much at a time."""

import asyncio

import pytest

from api.limits import Buckets, Places
from core.errors import TooManyRequestsError


def granted(buckets, caller, now, asked):
    count = 0
    for _ in range(asked):
        try:
            buckets.take(caller, now)
        except TooManyRequestsError:
            continue
        count += 1
    return count


def test_a_burst_and_then_what_comes_back_by_the_second():
    buckets = Buckets(2, 5)
    assert granted(buckets, "a", 100.0, 50) == 5
    assert granted(buckets, "b", 100.0, 50) == 5
    assert granted(buckets, "a", 101.0, 50) == 2
    assert granted(buckets, "a", 101.25, 1) == 0
    assert granted(buckets, "a", 101.5, 1) == 1
    assert granted(buckets, "a", 10_000.0, 50) == 5


def test_who_must_wait_is_told_how_long_and_that_is_enough():
    buckets = Buckets(0.1, 1)
    buckets.take("a", 0.0)
    with pytest.raises(TooManyRequestsError, match="too many requests") as refused:
        buckets.take("a", 1.0)
    assert refused.value.retry_after_s == 9
    buckets.take("a", 1.0 + refused.value.retry_after_s)


def test_no_limit():
    assert granted(Buckets(0, 1), "a", 0.0, 1000) == 1000


def test_of_any_number_of_callers_so_many_are_remembered():
    buckets = Buckets(1, 1, most=100)
    buckets.take("first", 0.0)
    for i in range(1000):
        buckets.take(f"{i}", 0.0)
        assert granted(buckets, "first", 0.0, 1) == 0  # who asks all the time is not forgotten
    assert len(buckets) == 100


def test_places_are_held_waited_for_and_refused():
    async def scene():
        places, begun, end = Places(2, 1), [], asyncio.Event()

        async def one(name):
            async with places.one():
                begun.append(name)
                await end.wait()

        tasks = [asyncio.create_task(one(name)) for name in "abc"]
        await asyncio.sleep(0)
        assert begun == ["a", "b"]
        with pytest.raises(TooManyRequestsError, match="busy"):
            await one("d")
        tasks[2].cancel()  # who goes while waiting makes room
        await asyncio.sleep(0)
        tasks[2] = asyncio.create_task(one("e"))
        end.set()
        await asyncio.gather(*tasks)
        assert begun == ["a", "b", "e"]

    asyncio.run(scene())
