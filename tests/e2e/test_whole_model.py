"""All parts of the real architecture, through the command line: findings, and search by text.

The weights are the deterministic filling of the golden vectors, so the numbers mean nothing and
are known exactly.
"""

import os
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch

from core.segments import SEGMENTS
from embedder.encoders.tokenizer import Tokenizer
from embedder.frames import read_clip
from embedder.preprocess import preprocess
from embedder.sampling import ClipRule
from tests.support.checkpoints import golden_contrastive, golden_probing
from tests.support.cli import angioatlas, as_json
from tests.support.dicom import moving_frames, write_cine
from tests.support.golden import golden_heads, golden_model, golden_text_model, relative_l2, unit
from tests.support.vocabulary import write_vocabulary

ROOT = Path(__file__).parents[2]
REAL_CINE = ROOT / "tests/data/dicom/xa/philips_cathsample_75f_jpeg_baseline.dcm"
REAL_STUDY = "1.2.840.113857.1626.160635.1727.151424"
VIEWS = "1.2.826.0.1.7"
MEAN, STD = 110.4954833984375, 37.805782318115234
RELEASE = (122.09012603759766, 28.790834426879883)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    golden_contrastive(folder / "checkpoint.pt")
    golden_probing(folder / "best_model_epoch_11.pt")
    write_vocabulary(folder)
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The real cine, and a study of three views."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / REAL_CINE.name).symlink_to(REAL_CINE)
    for number, (primary, secondary) in enumerate([(40, 25), (-30, -20), (0, 35)]):
        write_cine(
            folder / "views" / f"{number}.dcm",
            moving_frames(40, seed=number),
            StudyInstanceUID=VIEWS,
            SeriesInstanceUID=f"{VIEWS}.1",
            SOPInstanceUID=f"{VIEWS}.1.{number}",
            InstanceNumber=number + 1,
            PatientID="somebody",
            PositionerPrimaryAngle=primary,
            PositionerSecondaryAngle=secondary,
        )
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory, originals, archive):
    """A home with one encoder of all parts, brought in two steps, and a store."""
    home = tmp_path_factory.mktemp("home")
    statistics = ["--mean", MEAN, "--std", STD]
    checkpoint = originals / "checkpoint.pt"
    words = ["encoders", "import", checkpoint, "--name", "site", "--no-self-check", *statistics]
    first = as_json(home, *words)
    assert (first["heads_id"], first["text_id"]) == (None, None)
    store = ["--store", home / "store", "--encoder", "site"]
    vectors = as_json(home, "embed", archive, *store)
    assert vectors["by_status"]["embedded"] == 4
    refused = angioatlas(home, "search", "severe stenosis", "--store", home / "store")
    assert refused.returncode == 1
    assert "has no vocabulary" in refused.stderr
    assert "encoders add site --tokenizer FOLDER" in refused.stderr

    probing = originals / "best_model_epoch_11.pt"
    whole = as_json(home, "encoders", "add", "site", probing, "--tokenizer", originals)
    assert whole["encoder_id"] == first["encoder_id"]
    again = as_json(home, "embed", archive, *store)
    assert (again["studies_embedded"], again["videos_embedded"]) == (2, 4)
    assert as_json(home, "embed", archive, *store)["studies_embedded"] == 0
    return home


def raw_heads(paths) -> dict[str, float]:
    """The release's way from files to raw heads, without anything of the pipeline."""
    clips = [
        preprocess(
            torch.from_numpy(read_clip(path, rule=ClipRule("display")).frames),
            size=224,
            mean=RELEASE[0],
            std=RELEASE[1],
        )
        for path in paths
    ]
    with torch.inference_mode():
        tokens = torch.cat([golden_model().patch_tokens(clip[None]) for clip in clips])
        found = golden_heads()(tokens[None])[0]
    return dict(zip(golden_heads().heads, found.tolist(), strict=True))


@pytest.mark.parametrize("study", [REAL_STUDY, VIEWS])
def test_findings_of_a_real_cine_and_of_a_study_of_several_views(home, archive, study):
    paths = [archive / REAL_CINE.name] if study == REAL_STUDY else sorted(archive.glob("views/*"))
    expected = raw_heads(paths)
    found = as_json(home, "findings", study, "--raw", "--store", home / "store")
    assert found["heads_id"].startswith("heads-")
    assert "esearch use only" in found["notice"]
    assert [row["segment"] for row in found["findings"]] == list(SEGMENTS)
    for row in found["findings"]:
        segment = row["segment"]
        assert abs(row["stenosis_percent"] - expected[f"{segment}_stenosis"]) < 1e-4
        for column, suffix in {
            "stenosis": "stenosis_binary",
            "calcification": "calcif_binary",
            "cto": "cto",
            "thrombus": "thrombus",
        }.items():
            logit = expected[f"{segment}_{suffix}"]
            assert abs(row[f"{column}_logit"] - logit) < 1e-4
            assert abs(row[column] - 1 / (1 + np.exp(-logit))) < 1e-4


def test_findings_for_people(home):
    done = angioatlas(home, "findings", VIEWS, "--store", home / "store")
    assert done.returncode == 0, done.stderr
    assert "left main" in done.stdout
    assert "heads-" in done.stdout
    assert "esearch use only" in done.stdout


@pytest.mark.parametrize("level", ["study", "video"])
def test_a_text_finds_what_is_nearest_to_it(home, originals, level):
    text = "Severe stenosis of the proximal LAD."
    store = ["--store", home / "store"]
    # The vector of a study is the mean of its videos here, and the default is late interaction.
    score = ["--score", "study"] if level == "study" else []
    found = as_json(home, "search", text, "--plain", "--level", level, *score, *store)
    assert [hit["rank"] for hit in found["hits"]] == list(range(1, 3 if level == "study" else 5))
    out = home / f"{level}.duckdb"
    as_json(home, "export", out, *store)
    table, uid = {"study": ("studies", "study_uid"), "video": ("videos", "sop_uid")}[level]
    with duckdb.connect(str(out), read_only=True) as connection:
        rows = connection.execute(f"select {uid}, embedding from {table}").fetchall()
    query = text_vector(text, originals / "vocab.txt")
    scores = {uid: float(np.dot(np.asarray(vector), query)) for uid, vector in rows}
    ranked = sorted(scores, key=lambda uid: -scores[uid])
    assert [hit[uid] for hit in found["hits"]] == ranked
    for hit in found["hits"]:
        assert abs(hit["score"] - scores[hit[uid]]) < 1e-5


def text_vector(text, vocabulary):
    ids, mask = (torch.from_numpy(each) for each in Tokenizer.load(vocabulary).encode([text]))
    with torch.inference_mode():
        return unit(golden_text_model()(ids, mask)[0].numpy())


@pytest.mark.slow  # by default tests/reference/test_golden_imported.py holds it to its word
def test_verify_tells_a_good_folder_from_a_bad_one(home, originals):
    good = as_json(home, "encoders", "verify", "site")
    assert good["is_good"]
    assert {each["name"] for each in good["numbers"]} >= {"pooled", "study", "logits", "text"}
    folder = Path(as_json(home, "encoders", "add", "site", "--tokenizer", originals,
                          "--overwrite", "--no-self-check")["folder"])  # fmt: skip
    unmade = as_json(home, "encoders", "verify", "site", code=1)
    assert "no numbers were made at the import" in unmade["summary"]
    with (folder / "heads.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    bad = as_json(home, "encoders", "verify", "site", code=1)
    assert bad["numbers"] == []
    assert "not as imported: heads.safetensors" in bad["summary"]


def test_the_vectors_are_those_of_the_contrastive_encoder(home, archive):
    out = home / "vectors.duckdb"
    as_json(home, "export", out, "--store", home / "store")
    with duckdb.connect(str(out), read_only=True) as connection:
        rows = connection.execute("select embedding from videos where n_frames = 75").fetchall()
    clip = preprocess(
        torch.from_numpy(read_clip(archive / REAL_CINE.name, rule=ClipRule("display")).frames),
        size=224,
        mean=MEAN,
        std=STD,
    )
    with torch.inference_mode():
        expected = golden_model()(clip[None, None])[0].numpy()
    assert relative_l2(np.asarray(rows[0][0]), unit(expected)) < 1e-5
