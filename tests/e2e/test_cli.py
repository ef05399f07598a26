"""The command line as its user meets it: output, errors, exit codes."""

import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.ingest import EncoderHandle
from core.errors import NotFoundError
from core.settings import load_settings
from embedder.sampling import ClipRule
from tests.e2e.test_embed_flow import UIDS, cine
from tests.support.tiny import TinyEncoder


def run(*words, code=0, stdin=None):
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception}"
    return result


def as_json(*words, code=0):
    return json.loads(run(*words, "--json", code=code).stdout)


@pytest.fixture
def store(tmp_path):
    archive = tmp_path / "archive"
    for study, names in {"a": ["a1", "a2"], "b": ["b1"], "c": ["c1"]}.items():
        for name in names:
            cine(archive, name, study=study)
    (archive / "broken.dcm").write_bytes(b"")
    Atlas.embed_into(
        tmp_path / "store",
        [archive],
        encoder=EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder),
        settings=load_settings().with_embed(workers=1),
    )
    return tmp_path / "store"


def test_no_words_show_the_verbs():
    result = CliRunner().invoke(app, [])
    for verb in ("embed", "similar", "encoders", "index", "export", "store", "doctor", "config"):
        assert verb in result.stdout
    assert "Research use only" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["similar", "1.2.3"], 2, "error: no store is named"),
        (["similar", "1.2.3", "--store", "nowhere"], 1, "error: there is no store in nowhere"),
        (["embed", ".", "--store", "s", "--encoder", "none"], 1, "error: no encoder 'none'"),
        (["embed", ".", "--store", "s", "--batch-size", "0"], 2, "'batch_size' cannot be used"),
        (["encoders", "show", "none"], 1, "error: no encoder 'none'"),
        (
            ["store", "info", "--store", "http://bucket/atlas"],
            1,
            "error: a store cannot lie in http://…",
        ),
    ],
)
def test_errors_are_two_lines_with_the_next_step(words, code, message):
    result = run(*words, code=code)
    lines = result.stderr.strip().splitlines()
    assert message in lines[0]
    assert lines[1].startswith("hint: ")
    assert "Traceback" not in result.stderr


def test_a_wrong_path_makes_no_store(tmp_path):
    with pytest.raises(NotFoundError, match="no such file or folder"):
        Atlas.embed_into(
            tmp_path / "new",
            [tmp_path / "nowhere"],
            encoder=EncoderHandle(TinyEncoder.encoder_id, ClipRule("display"), TinyEncoder),
        )
    assert not (tmp_path / "new").exists()


def test_debug_shows_the_traceback():
    result = CliRunner().invoke(app, ["--debug", "similar", "1.2.3"])
    assert type(result.exception).__name__ == "UsageError"


def test_similar_as_table_and_as_json(store):
    found = as_json("similar", UIDS["a"], "--store", store, "-k", "2")
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    assert found["hits"][0]["score"] >= found["hits"][1]["score"]
    assert found["encoder_id"] == TinyEncoder.encoder_id
    table = run("similar", UIDS["a"], "--store", store).stdout
    assert found["hits"][0]["study_uid"] in table
    assert "Research use only" in table


def test_index_build_and_info(store):
    assert run("index", "info", "--store", store).stdout.startswith("no index yet")
    assert [row["rows"] for row in as_json("index", "build", "--store", store)] == [3, 4]
    assert [row["level"] for row in as_json("index", "info", "--store", store)] == [
        "study",
        "video",
    ]


def test_exported_duckdb_answers_cosine_search(store, tmp_path):
    out = tmp_path / "out.duckdb"
    report = as_json("export", out, "--store", store)
    assert (report["studies"], report["videos"]) == (3, 4)
    hits = as_json("similar", UIDS["a"], "--store", store)
    with duckdb.connect(str(out), read_only=True) as connection:
        columns = dict(
            connection.sql(
                "select table_name || '.' || column_name, comment from duckdb_columns()"
                " where not internal"
            ).fetchall()
        )
        assert len(columns) > 20
        assert all(columns.values())
        assert "videos.source_uri" not in columns
        kinds = connection.sql("select typeof(embedding) from studies").fetchall()
        assert set(kinds) == {("FLOAT[512]",)}
        ranked = connection.execute(
            """
            select other.study_uid,
                   array_cosine_similarity(other.embedding, one.embedding) as cosine
            from studies one join studies other on other.patient_id <> one.patient_id
            where one.study_uid = ? order by cosine desc, other.study_uid
            """,
            [hits["query"]],
        ).fetchall()
        provenance = dict(connection.sql("from provenance").fetchall())
    assert [row[0] for row in ranked] == [hit["study_uid"] for hit in hits["hits"]]
    np.testing.assert_allclose(
        [row[1] for row in ranked], [hit["score"] for hit in hits["hits"]], atol=1e-6
    )
    assert provenance["encoder_id"] == TinyEncoder.encoder_id
    assert "Research use only" in provenance["notice"]


def test_the_sql_of_the_documents_runs_on_an_export(store, tmp_path):
    out = tmp_path / "out.duckdb"
    run("export", out, "--store", store)
    document = Path(__file__).parents[2] / "docs/export.md"
    blocks = re.findall(r"```sql\n(.*?)```", document.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 2
    with duckdb.connect(str(out), read_only=True) as connection:
        study = connection.sql("from studies order by n_videos desc").fetchall()[0][0]
        connection.execute("set variable study = $1", [study])
        for block in blocks:
            rows = connection.sql(block).fetchall()
            # Saved and serial things are looked for where there are some: test_maps.py and
            # test_progression.py of tests/integration.
            assert rows or re.search(r"from (cohorts|projections|progression|exams)", block)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_exported_folders_hold_the_same_rows(store, tmp_path, kind):
    out = tmp_path / "out"
    run("export", out, "--store", store, "--format", kind, "--source-paths")
    read = f"read_{kind}" if kind == "parquet" else "read_csv"
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select source_uri, embedding::float[512] from {read}(?)",
            [str(out / f"videos.{kind}")],
        ).fetchall()
    assert len(rows) == 4
    assert all(uri.startswith("file://") for uri, _ in rows)
    np.testing.assert_allclose([np.linalg.norm(vector) for _, vector in rows], 1, atol=1e-5)


def test_export_refuses_to_overwrite_and_leaves_nothing_half_written(store, tmp_path):
    out = tmp_path / "out.duckdb"
    out.write_text("precious")
    assert "exists already" in run("export", out, "--store", store, code=2).stderr
    assert out.read_text() == "precious"
    run("export", out, "--store", store, "--overwrite")
    assert "does not tell" in run("export", tmp_path / "out.xyz", "--store", store, code=2).stderr
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == ["out.duckdb"]


def test_store_inputs_gives_cause_and_hint(store):
    rows = as_json("store", "inputs", "--store", store, "--status", "quarantined")
    assert [(row["code"], bool(row["hint"])) for row in rows] == [("empty_file", True)]
    assert as_json("store", "info", "--store", store)["inputs quarantined"] == 1


def test_versions_are_readable_and_compaction_keeps_what_is_visible(store):
    before = as_json("similar", UIDS["a"], "--store", store)["hits"]
    assert as_json("store", "versions", "--store", store)[-1]["version"] == 1
    run("store", "compact", "--store", store)
    assert as_json("similar", UIDS["a"], "--store", store)["hits"] == before
    missing = run("similar", UIDS["a"], "--store", store, "--version", "99", code=1)
    assert "no version 99" in missing.stderr


def test_purge_asks_first(store):
    run("store", "purge", "--patient", "patient-b", "--store", store, code=1, stdin="n\n")
    assert as_json("store", "info", "--store", store)["studies"] == 3
    run("store", "purge", "--patient", "patient-b", "--store", store, "--yes")
    assert as_json("store", "info", "--store", store)["studies"] == 2


def test_config_show_names_the_source_of_each_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("angioatlas.toml").write_text('store = "here"\n[limits]\ndecode_seconds = 5\n')
    monkeypatch.setenv("ANGIOATLAS_LIMITS__DECODE_SECONDS", "7")
    shown = as_json("config", "show")
    assert shown["store"] == {"value": "here", "source": "angioatlas.toml"}
    assert shown["limits.decode_seconds"] == {"value": 7.0, "source": "environment"}
    assert shown["embed.workers"]["source"] == "default"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("store = [", "not valid TOML"),
        ("stroe = 'x'", "'stroe' cannot be used"),
        ("[limits]\ndecode_seconds = -1", "'limits.decode_seconds' cannot be used"),
    ],
)
def test_a_wrong_configuration_file_is_named(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("angioatlas.toml").write_text(text)
    assert message in run("config", "show", code=2).stderr


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("EMBED__MODALITIES", "XA,US", "an environment variable cannot be read"),
        ("EMBED__DEVICE", "abacus", "'embed.device' cannot be used"),
        ("CONFIG", "/nowhere.toml", "ANGIOATLAS_CONFIG names '/nowhere.toml'"),
    ],
)
def test_a_wrong_environment_variable_is_named(monkeypatch, variable, value, message):
    monkeypatch.setenv(f"ANGIOATLAS_{variable}", value)
    assert message in run("config", "show", code=2).stderr


def test_doctor_finds_what_is_broken(store, clean_environment):
    findings = as_json("doctor", "--store", store)
    states = {finding["check"]: finding["state"] for finding in findings}
    assert states["store"] == "ok"
    assert states["decoders"] == "ok"
    key = clean_environment / ".config/angioatlas/identity.key"
    key.chmod(0o644)
    assert "identity key" in run("doctor", "--store", store, code=1).stdout
