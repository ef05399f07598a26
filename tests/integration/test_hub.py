"""Checkpoints from a hub, over real HTTP on this machine, in a process of its own.

The hub's library reads its environment when it is imported, hence the child process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkpoints import hollow_probing
from tests.support.hub import hub

ROOT = Path(__file__).parents[2]
REPO = "heartwise/deepcoro_clip_stenosis"
CODE = """
import json, sys
from pathlib import Path
from core.errors import AtlasError
from embedder.encoders.importing.sources import find_sources
try:
    found = find_sources(sys.argv[1:])
    print(json.dumps([[p.name, p.stat().st_size] for p in found.checkpoints]))
except AtlasError as error:
    print(json.dumps({"message": error.message, "hint": error.hint}))
"""


@pytest.fixture
def ask(tmp_path):
    def run(source, **environment):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-c", CODE, source],
            env=kept | {"HF_HOME": str(tmp_path / "cache"), **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    checkpoint = hollow_probing(tmp_path_factory.mktemp("hub") / "best_model_epoch_11.pt")
    return {
        "run/best_model_epoch_11.pt": checkpoint.read_bytes(),
        "README.md": b"not wanted",
        "config.yaml": b"num_attention_heads: 6",
    }


def test_a_hub_id_is_downloaded_and_then_found_in_the_cache(ask, files):
    expected = [["best_model_epoch_11.pt", len(files["run/best_model_epoch_11.pt"])]]
    with hub(REPO, files, token="secret") as endpoint:
        assert ask(REPO, HF_ENDPOINT=endpoint, HF_TOKEN="secret") == expected
    assert ask(REPO, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="1") == expected


def test_without_permission(ask, files):
    with hub(REPO, files, token="secret") as endpoint:
        said = ask(REPO, HF_ENDPOINT=endpoint)
    assert "it does not exist, or it is not open to you" in said["message"]
    assert "HF_TOKEN" in said["hint"]


def test_an_unknown_repository(ask, files):
    with hub(REPO, files) as endpoint:
        said = ask("heartwise/nothing", HF_ENDPOINT=endpoint)
    assert "does not show heartwise/nothing" in said["message"]


@pytest.mark.parametrize("offline", [{"HF_HUB_OFFLINE": "1"}, {}])
def test_offline_says_so(ask, offline):
    said = ask(REPO, HF_ENDPOINT="http://127.0.0.1:9", **offline)
    assert "the hub cannot be reached from here" in said["message"]
    assert "name their folder" in said["hint"]


@pytest.mark.parametrize("path", ["weights/best--v2.pt", "a/b.", "~nobody-here/c.pt", "c" * 300])
def test_a_mistyped_path_is_a_named_error(ask, path):
    assert ask(path, HF_HUB_OFFLINE="1")["message"] == f"the checkpoint {path} does not exist"


def test_a_path_that_is_not_there_is_no_hub_id(ask):
    said = ask("/no/such/checkpoint.pt", HF_HUB_OFFLINE="1")
    assert said["message"] == "the checkpoint /no/such/checkpoint.pt does not exist"
