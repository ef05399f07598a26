"""The encoder of the package, untrained here: embed without naming one, search, be told what not.

What it finds means nothing without training; how the flow treats it does not depend on that.
"""

import json
import shutil

import pytest
from typer.testing import CliRunner

from angioatlas.access.access import audit_trail
from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.ingest import EncoderHandle
from core.errors import UsageError
from core.settings import load_settings
from embedder.encoders import registry
from embedder.encoders.precision import has_bf16
from embedder.encoders.registry import read_spec
from embedder.encoders.spec import LEAST_COSINE
from tests.support.compact import write_untrained
from tests.support.dicom import write_cine
from tests.support.fluoroscopy import fluoroscopy
from tests.support.tiny import TinyEncoder

SHIPPED = registry.BUNDLED / "phantom-mini"


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundled")
    write_untrained(folder / "phantom-mini")
    return folder


@pytest.fixture(autouse=True)
def brought(bundled, monkeypatch):
    monkeypatch.setattr(registry, "BUNDLED", bundled)


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception}"
    return result


def as_json(*words, code=0):
    return json.loads(run(*words, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, bundled):
    """A store of three studies, and what `embed` said; no encoder was named."""
    folder = tmp_path_factory.mktemp("cines")
    for i in range(4):
        write_cine(
            folder / "archive" / f"{i}.dcm",
            fluoroscopy(vessels=40, n_frames=40, seed=i),
            FrameTime=100.0,
            StudyInstanceUID=f"1.2.{min(i, 2)}",
            PatientID=f"P{min(i, 2)}",
        )
    store = folder / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUNDLED", bundled)
        patch.setenv("HOME", str(folder))
        words = ["embed", folder / "archive", "--store", store, "--workers", 1]
        said = run(*words, "--keep-identifiers").stdout
    return store, said


def test_embed_without_an_encoder_says_loudly_what_it_used(embedded, bundled):
    _, said = embedded
    spec = read_spec(bundled / "phantom-mini")
    assert "trained on phantom angiograms alone" in said
    assert "no clinical meaning" in said
    assert f"Encoder {spec.encoder_id}" in said


def test_what_was_embedded_has_findings_of_every_head(embedded, bundled):
    store, _ = embedded
    atlas = Atlas.open(store)
    assert len(atlas.studies()) == 3
    table = atlas.findings().table
    assert set(table["study_uid"]) == {"1.2.0", "1.2.1", "1.2.2"}
    assert len(table) == 3 * 18


@pytest.mark.parametrize(
    ("text", "hits", "note"),
    [
        ("proximal LAD occlusion", 3, None),
        ("totaly occluded proximal left anterior decending", 3, None),
        ("widowmaker lesion", 3, "not in the vocabulary of phantom-mini: widowmaker"),
        (
            "pizza with anchovies",
            0,
            "none of the words of this query is in the vocabulary of phantom-mini: pizza, "
            "anchovies",
        ),
        ("70 of it", 0, "the query has no word that could name a finding"),
        (
            "a b c d e f g h i j k l m n o p q",
            0,
            "none of the words of this query is in the vocabulary of phantom-mini: b, c, d, e, f, "
            "g, h, i, j, k, ...",
        ),
    ],
)
def test_words_that_it_never_met_are_named(embedded, text, hits, note):
    store, _ = embedded
    found = as_json("search", text, "--store", store)
    assert len(found["hits"]) == hits
    assert found["note"] == note
    assert list(found) == [
        "text", "note", "parse", "level", "score", "encoder_id", "store_version", "chance_note",
        "hits", "notice",
    ]  # fmt: skip
    shown = run("search", text, "--store", store).stdout
    assert (f"note: {note}" in shown) == (note is not None)
    assert ("no answer" in shown) == (hits == 0)


def test_the_python_answer_carries_the_note(embedded):
    store, _ = embedded
    atlas = Atlas.open(store)
    assert atlas.search("stent in the LAD").note is None
    assert atlas.search("pizza", level="video").hits.empty
    assert list(atlas.search("pizza").hits) == list(atlas.search("stent").hits)


def test_similar_works_as_with_any_encoder(embedded):
    store, _ = embedded
    found = as_json("similar", "1.2.0", "--store", store)
    assert len(found["hits"]) == 2


def test_it_is_listed_shown_and_verified(bundled):
    spec = read_spec(bundled / "phantom-mini")
    (row,) = as_json("encoders", "list")
    assert (row["name"], row["findings"], row["reads text"]) == ("phantom-mini", 90, "yes")
    shown = as_json("encoders", "show", "phantom-mini")
    assert (shown["encoder_id"], shown["window_ms"]) == (spec.encoder_id, 4000.0)
    assert as_json("encoders", "verify", "phantom-mini")["is_good"]


def test_parts_and_imports_are_refused_in_two_lines(tmp_path):
    checkpoint = tmp_path / "c.pt"
    checkpoint.write_bytes(b"")
    added = run("encoders", "add", "phantom-mini", checkpoint, code=2).stderr
    assert "its parts were trained together" in added.splitlines()[0]
    named = ["--name", "phantom-mini", "--mean", 1, "--std", 1]
    imported = run("encoders", "import", checkpoint, *named, code=2).stderr
    assert "comes with the package" in imported.splitlines()[0]


def test_the_configured_encoder_decides_among_several(embedded, bundled, tmp_path):
    store = shutil.copytree(embedded[0], tmp_path / "store")
    Atlas.embed_into(
        store,
        [embedded[0].parent / "archive"],
        encoder=EncoderHandle(TinyEncoder.encoder_id, TinyEncoder.clip_rule, TinyEncoder),
        settings=load_settings().with_embed(workers=1),
    )
    mini = read_spec(bundled / "phantom-mini").encoder_id
    assert as_json("similar", "1.2.0", "--store", store)["encoder_id"] == mini
    other = as_json("similar", "1.2.0", "--store", store, "--encoder", TinyEncoder.encoder_id)
    assert other["encoder_id"] == TinyEncoder.encoder_id
    elsewhere = Atlas.open(store, settings=load_settings(encoder="elsewhere"))
    with pytest.raises(UsageError, match=r"several encoders: phantom-mini-\w+, tiny-"):
        elsewhere.similar("1.2.0")


@pytest.mark.skipif(not has_bf16(), reason="this CPU only imitates bf16")
def test_the_report_and_the_record_tell_the_precision(embedded, tmp_path):
    archive = embedded[0].parent / "archive" / "0.dcm"
    words = ["embed", archive, "--store", tmp_path / "store", "--keep-identifiers"]
    words += ["--encoder", SHIPPED, "--workers", 1]
    report = as_json(*words, "--precision", "bf16")
    assert report["precision"] == "bf16"
    assert LEAST_COSINE <= report["precision_cosine"] < 1
    trail = audit_trail(load_settings())
    entry = next(each for each in trail.entries() if each.action == "write")
    assert entry.object["precision"] == "bf16"
    assert entry.object["precision_cosine"] == report["precision_cosine"]
    # The space is the same; nothing was left to compute.
    again = as_json(*words)
    assert (again["encoder_id"], again["precision"]) == (report["encoder_id"], None)
