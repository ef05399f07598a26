"""What a process says before it begins; embedding itself is tested with the cluster."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from core.errors import EncoderError
from core.provenance import software_version
from embedder.cluster.shards import Shards
from embedder.cluster.worker import Duty, Failed, Ready, Worker
from store.incoming import store_url
from tests.support.tiny import TinyEncoder


def fails_to_load():
    raise EncoderError("the weights have changed", "import them again")


@pytest.fixture
def duty(tmp_path):
    return Duty(
        load=TinyEncoder,
        encoder_id=TinyEncoder.encoder_id,
        version=software_version(),
        store_url=store_url(tmp_path),
        run_id="run-1",
        decoders=None,
        seconds=10,
        memory_bytes=2**31,
        batch_size=None,
    )


def test_a_process_says_whether_it_sees_the_archive(duty, tmp_path):
    Shards(duty.store_url, duty.run_id).begin()
    for archived, sees in ((Path(__file__), True), (tmp_path / "elsewhere.dcm", False)):
        worker = Worker(duty)
        ready = worker.begin(archived, 1)
        assert isinstance(ready, Ready)
        assert ready.sees_archive is sees
        worker._pool.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        ({"version": "0.0.1"}, "the machine that commits 0.0.1", "install 0.0.1 there"),
        ({"run_id": "run-2"}, "does not see what the machine that commits writes", "mount"),
        ({"encoder_id": "other-1"}, "its encoder is tiny-.* expected other-1", "encoders_dir"),
        ({"load": fails_to_load}, "the weights have changed", "import them again"),
    ],
)
def test_what_is_not_as_it_must_be_is_said_with_the_next_step(duty, wrong, message, hint):
    Shards(duty.store_url, duty.run_id).begin()
    said = Worker(replace(duty, **wrong)).begin(Path(__file__), 1)
    assert isinstance(said, Failed)
    assert re.search(message, said.message)
    assert hint in said.hint
    assert said.trace == ""


def test_a_defect_comes_back_with_its_place(duty):
    Shards(duty.store_url, duty.run_id).begin()
    said = Worker(replace(duty, load=partial(int, "defect"))).begin(Path(__file__), 1)
    assert isinstance(said, Failed)
    assert said.message == "ValueError"  # without its text, which may hold a path
    assert "duty.load()" in said.trace
