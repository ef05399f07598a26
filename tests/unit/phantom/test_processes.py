"""The processes that render: one thread each, and none that outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import AtlasError
from phantom.processes import renderers

PARENT = """
import os, sys, time
from phantom.processes import renderers

if __name__ == "__main__":
    with renderers(2) as pool:
        pids = {pool.submit(os.getpid).result() for _ in range(8)}
        print(*pids, flush=True)
        time.sleep(60)
"""


def test_they_have_one_thread_each_and_the_parent_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with renderers(1) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_one_that_is_killed_ends_in_a_clear_error():
    with (
        pytest.raises(AtlasError, match="was killed, perhaps for want of memory"),
        renderers(1) as p,
    ):
        p.submit(os.kill, p.submit(os.getpid).result(), signal.SIGKILL).result()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")
def test_none_outlives_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    command = [sys.executable, str(script)]
    root = Path(__file__).parents[3]
    env = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert pids
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
