import os
import signal
import sys

import pytest

from core.errors import ClusterError
from core.optional import MissingDependencyError
from embedder.cluster.machines import Room, joined, room

LAPTOP = {"CPU": 8.0}
SMALL = {"CPU": 2.0}
GPU_BOX = {"CPU": 32.0, "GPU": 4.0}
THIN_GPU_BOX = {"CPU": 6.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "cpus", "use_gpus", "expected"),
    [
        ([LAPTOP], None, True, Room(2, 4, 0)),
        ([SMALL], None, True, Room(1, 2, 0)),
        ([LAPTOP, SMALL], None, True, Room(2, 4, 0)),
        ([LAPTOP, SMALL], 2, True, Room(5, 2, 0)),
        ([LAPTOP], 16, True, Room(0, 16, 0)),
        ([], None, True, Room(0, 0, 0)),
        # One process a GPU; machines without one stay out of it.
        ([GPU_BOX, LAPTOP], None, True, Room(4, 8, 1)),
        ([GPU_BOX, THIN_GPU_BOX], None, True, Room(6, 3, 1)),
        ([GPU_BOX], 16, True, Room(2, 16, 1)),
        ([GPU_BOX], None, False, Room(8, 4, 0)),
        # What only keeps the books has no CPUs to give.
        ([{"GPU": 1.0}, LAPTOP], None, True, Room(2, 4, 0)),
    ],
)
def test_room(machines, cpus, use_gpus, expected):
    assert room(machines, cpus=cpus, use_gpus=use_gpus) == expected


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(
            MissingDependencyError, match="--engine ray needs the package 'ray'"
        ) as caught,
        joined(None),
    ):
        pass
    assert caught.value.hint == "pip install 'angioatlas[ray]'"


def test_a_cluster_that_is_not_there_is_named(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    before, sigterm = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(ClusterError, match=r"the cluster ray://127\.0\.0\.1:9 cannot be joined"),
        joined("ray://127.0.0.1:9"),
    ):
        pass
    assert dict(os.environ) == before
    assert signal.getsignal(signal.SIGTERM) is sigterm
