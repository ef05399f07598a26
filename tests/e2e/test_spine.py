"""The whole way with the real architecture: a checkpoint and a real cine, through the command line.

The weights are the deterministic filling of the golden vectors, so the numbers mean nothing and
are known exactly.
"""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch

from embedder.preprocess import preprocess
from tests.support.cli import angioatlas, as_json, as_process
from tests.support.dicom import write_cine
from tests.support.golden import golden_model, relative_l2, write_golden_checkpoint

ROOT = Path(__file__).parents[2]
REAL_CINE = ROOT / "tests/data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
SAMPLES = ROOT.parent / "shared/data/dicom"
MEAN, STD = 110.4954833984375, 37.805782318115234
AS_TRAINED = ["--mean", MEAN, "--std", STD, "--profile", "original"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Make a home whose only encoder is the golden one."""
    home = tmp_path_factory.mktemp("golden-home")
    checkpoint = write_golden_checkpoint(home / "checkpoint.pt")
    imported = angioatlas(home, "encoders", "import", checkpoint, "--name", "golden", *AS_TRAINED)
    checkpoint.unlink()
    assert imported.returncode == 0, imported.stderr
    return home


def test_real_cine_to_ranked_neighbours_and_sql(home, tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / REAL_CINE.name).symlink_to(REAL_CINE)
    write_cine(archive / "other.dcm", PatientID="somebody")
    store = ["--store", tmp_path / "store"]
    words = ["embed", archive, *store, "--encoder", "golden"]
    first = as_json(home, *words)
    assert first["by_status"] == {"embedded": 2, "skipped": 0, "quarantined": 0, "duplicate": 0}
    again = as_json(home, *words)
    assert (again["videos_embedded"], again["unchanged"]) == (0, 2)

    uid = "1.2.840.113857.1626.160635.1727.151424"
    done = as_process(home, "similar", uid, *store, "--json")
    assert done.returncode == 0, done.stderr
    hits = json.loads(done.stdout)
    assert [hit["rank"] for hit in hits["hits"]] == [1]
    assert -1 <= hits["hits"][0]["score"] <= 1

    out = tmp_path / "out.duckdb"
    as_json(home, "export", out, *store)
    with duckdb.connect(str(out), read_only=True) as connection:
        found = connection.execute(
            "select view, n_frames, frame_time_ms, embedding from videos where n_frames = 75"
        ).fetchall()
    (view, _, frame_time_ms, embedding) = found[0]
    assert view == "LAO Cranial"
    assert frame_time_ms == pytest.approx(66.67, abs=0.01)
    assert relative_l2(np.array(embedding, np.float32), expected_embedding()) < 1e-5


def expected_embedding():
    """Compute the cine's embedding by another way: pydicom's frames, the model called directly."""
    import pydicom

    pixels = pydicom.dcmread(REAL_CINE).pixel_array
    chosen = torch.from_numpy(pixels[[i * 74 // 15 for i in range(16)]])
    clip = preprocess(chosen, size=224, mean=MEAN, std=STD)
    with torch.inference_mode():
        joint = golden_model()(clip[None, None])[0]
    return (joint / joint.norm()).numpy()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the local sample archive is not here")
def test_every_file_of_the_sample_archive_is_accounted_for(home, tmp_path):
    words = ["embed", SAMPLES, "--store", tmp_path / "store", "--encoder", "golden"]
    first = as_json(home, *words, code=3)
    files = sum(path.is_file() for path in SAMPLES.rglob("*"))
    assert first["inputs"] == sum(first["by_status"].values()) == files
    assert first["videos_embedded"] == 1
    again = as_json(home, *words, code=3)
    assert again["videos_embedded"] == 0
    assert again["by_status"] == first["by_status"]
