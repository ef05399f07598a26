"""The guarded pool: nothing a worker does reaches the caller as anything but a value."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.outcomes import Code, InputRefused
from embedder.guard.nursery import GuardError
from embedder.guard.pool import DEFAULT_MEMORY_BYTES, GuardedPool
from tests.support import guard_tasks as tasks

ROOT = Path(__file__).parents[4]
PRELOAD = ("numpy", "tests.support.guard_tasks")


@pytest.fixture(scope="module")
def pool():
    with GuardedPool(2, seconds=0.5, preload=PRELOAD) as opened:
        yield opened


def reasons(results):
    return [result.reason if isinstance(result, InputRefused) else result for _, result in results]


@pytest.mark.parametrize("chunk", [1, 7])
def test_results_come_in_order(pool, chunk):
    results = list(pool.map(tasks.double, range(100), ahead=30, chunk=chunk))
    assert results == [(i, 2 * i) for i in range(100)]


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("crash", Code.DECODER_CRASHED),
        ("leave", Code.DECODER_CRASHED),
        ("hang", Code.TIME_LIMIT),
        ("spin", Code.TIME_LIMIT),
        ("eat", Code.MEMORY_LIMIT),
        ("refuse", Code.TRUNCATED),
        ("raise", Code.BAD_HEADER),
        ("recurse", Code.BAD_HEADER),
    ],
)
def test_one_bad_item_among_good_ones(pool, order, code):
    orders = ["a", "b", order, "c", "d", "e"]
    results = list(pool.map(tasks.behave, orders, fallback=Code.BAD_HEADER, chunk=3))
    assert [item for item, _ in results] == orders
    assert reasons(results) == ["a", "b", code, "c", "d", "e"]


def test_a_claim_of_65535_squared_pixels_cannot_be_allocated():
    with GuardedPool(1, seconds=20, memory_bytes=DEFAULT_MEMORY_BYTES, preload=PRELOAD) as pool:
        ((_, result),) = pool.map(tasks.behave, ["eat"])
    assert isinstance(result, InputRefused)
    assert result.reason is Code.MEMORY_LIMIT
    assert result.message == "needed more than 3 GiB of address space"


def test_refusals_say_how_and_nothing_of_the_content(pool):
    orders = ["crash", "leave", "hang", "raise"]
    messages = [result.message for _, result in pool.map(tasks.behave, orders)]
    assert messages == [
        "the reading process died of SIGABRT",
        "the reading process ended by itself with status 3",
        "no result within 0.5 seconds",
        "KeyError",
    ]
    assert not any(tasks.SECRET in message for message in messages)


def test_many_losses_do_not_wear_the_pool_out(pool):
    orders = [f"{kind}:{i}" for i in range(40) for kind in ("crash", "fine", "eat")]
    results = reasons(pool.map(tasks.behave, orders, chunk=4))
    assert results.count(Code.DECODER_CRASHED) == results.count(Code.MEMORY_LIMIT) == 40
    assert [r for r in results if isinstance(r, str) and r.startswith("fine")] == orders[1::3]


def test_a_crash_counts_only_in_a_fresh_worker():
    with GuardedPool(1, seconds=5, preload=PRELOAD) as pool:
        results = list(pool.map(tasks.crash_when_used, range(6)))
    assert results == [(i, i) for i in range(6)]


def test_hangs_are_killed_when_they_are_due():
    with GuardedPool(2, seconds=1, preload=PRELOAD) as pool:
        started = time.monotonic()
        results = reasons(pool.map(tasks.behave, ["hang", "hang", "fine", "fine"]))
        assert time.monotonic() - started < 5
    assert results == [Code.TIME_LIMIT, Code.TIME_LIMIT, "fine", "fine"]


def test_a_slow_consumer_is_not_taken_for_a_slow_worker(pool):
    results = []
    for pair in pool.map(tasks.double, range(12), ahead=4, chunk=2, seconds=0.3):
        time.sleep(0.12)
        results.append(pair)
    assert results == [(i, 2 * i) for i in range(12)]


def test_items_are_taken_lazily(pool):
    taken = []

    def items():
        for i in itertools.count():
            taken.append(i)
            yield i

    results = pool.map(tasks.double, items(), ahead=5)
    for expected in range(20):
        assert next(results) == (expected, 2 * expected)
        assert len(taken) <= expected + 1 + 5
    results.close()
    assert list(pool.map(tasks.double, [1])) == [(1, 2)]


def test_large_arrays_come_back_whole_and_writable(pool):
    ((_, array),) = pool.map(tasks.array_of, [(16, 300, 301)])
    np.testing.assert_array_equal(array, tasks.array_of((16, 300, 301)))
    array[0, 0, 0] = 1


def test_a_result_that_cannot_be_pickled_is_a_refusal(pool):
    assert reasons(pool.map(tasks.unpicklable, [1])) == [Code.DECODE_FAILED]


def test_workers_are_small_and_limited():
    with GuardedPool(1, seconds=5) as pool:  # with all the modules that readers need
        ((_, found),) = pool.map(tasks.modules, [0])
        ((_, limits),) = pool.map(tasks.limits, [0])
    assert found == []
    assert limits == (0, DEFAULT_MEMORY_BYTES, "1")


def test_what_decoders_print_goes_nowhere(pool, capfd):
    assert list(pool.map(tasks.print_a_lot, [1, 2])) == [(1, 1), (2, 2)]
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_workers_are_used_again_and_never_too_many():
    with GuardedPool(2, seconds=5, preload=PRELOAD) as pool:
        pids = {pid for _, pid in pool.map(tasks.pid, range(50))}
        pids |= {pid for _, pid in pool.map(tasks.pid, range(50))}
    assert len(pids) == 2


def test_closing_leaves_no_process_behind():
    with GuardedPool(2, seconds=5, preload=PRELOAD) as pool:
        (_, pid), *_ = pool.map(tasks.pid, range(4))
        results = pool.map(tasks.behave, ["fine", "hang", "hang"])
        next(results)
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(GuardError, match="not open"):
        list(pool.map(tasks.double, [1]))


def test_one_map_at_a_time(pool):
    first = pool.map(tasks.double, [1, 2])
    next(first)
    with pytest.raises(GuardError, match="already mapping"):
        next(pool.map(tasks.double, [1]))
    first.close()


def test_bad_parameters():
    with pytest.raises(ValueError, match="must be positive"):
        GuardedPool(0)
    with (
        GuardedPool(1, preload=PRELOAD) as pool,
        pytest.raises(ValueError, match="must be positive"),
    ):
        pool.map(tasks.double, [1], ahead=0)


def test_a_worker_that_cannot_start_is_an_error(capfd):
    with (
        pytest.raises(GuardError, match="did not start"),
        GuardedPool(1, preload=["no_such_module"]),
    ):
        pass
    assert "no_such_module" in capfd.readouterr().err


def test_killing_the_caller_ends_its_workers(tmp_path):
    script = tmp_path / "main.py"
    # The program is never imported in a worker: its second line would be printed again.
    script.write_text(
        "import sys\n"
        "print('started', flush=True)\n"
        "from embedder.guard.pool import GuardedPool\n"
        "from tests.support import guard_tasks as tasks\n"
        f"with GuardedPool(1, seconds=60, preload={PRELOAD!r}) as pool:\n"
        "    results = pool.map(tasks.pid, [1])\n"
        "    print(next(results)[1], flush=True)\n"
        "    results.close()\n"
        "    print(next(pool.map(tasks.behave, ['hang'])))\n"
    )
    program = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "started\n"
        worker = int(program.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        program.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{worker}").exists()
