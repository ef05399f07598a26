"""What the engine decides without a cluster; with one, see `tests/e2e/test_ray_flow.py`."""

import sys
from pathlib import Path

import pytest

from core.errors import ClusterError
from embedder.cluster.engine import RayEngine, refuse_blind
from embedder.cluster.worker import Duty, Ready
from embedder.encoders.spec import FULL
from tests.support.tiny import TinyEncoder


def test_a_machine_without_the_archive_is_refused_by_name(tmp_path):
    here, gone = Path(__file__), tmp_path / "gone.dcm"
    with pytest.raises(ClusterError, match="the machine node-7 does not see the archive") as caught:
        refuse_blind(Ready("node-7", sees_archive=False, precision=FULL), here)
    assert "at the same path" in caught.value.hint
    refuse_blind(Ready("node-7", sees_archive=True, precision=FULL), here)
    refuse_blind(
        Ready("node-7", sees_archive=False, precision=FULL), gone
    )  # a file that went, not a machine


def test_nothing_is_started_for_no_study(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    duty = Duty(TinyEncoder, TinyEncoder.encoder_id, "1", "file:///nowhere", "r", None, 1, 1, None)
    engine = RayEngine(None, cpus=None, use_gpus=True, duty=duty)
    assert list(engine.embed([])) == []
    assert engine.stages.bound_by is None
