"""Findings as the user of the command line and of an export meets them."""

import json

import duckdb
import pytest
from typer.testing import CliRunner

from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from angioatlas.identities import new_identity
from core.segments import HEADS, SEGMENTS
from store.store import Store
from tests.support.store_cases import batch, commit, findings, new_store

STUDIES = {"P1.a": ["1"], "P2.a": ["2", "3"]}


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception}"
    return result


def as_json(*words):
    return json.loads(run(*words, "--json").stdout)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "s"
    commit(new_store(folder), STUDIES)
    return folder


def lines_of(text):
    """Return the row of each segment, by the name of the segment."""
    rows = {}
    for line in text.splitlines():
        for segment, words in SEGMENTS.items():
            if line.strip().startswith(f"{words} "):
                rows[segment] = line.strip().removeprefix(words).split()
    return rows


def test_a_study_as_a_table(store):
    shown = run("findings", "P2.a", "--store", store).stdout
    rows = lines_of(shown)
    assert list(rows) == list(SEGMENTS)
    table = Atlas.open(store).findings(study_uid="P2.a").table.set_index("segment")
    assert 0 < (table["stenosis_percent"] > 70).sum() < len(SEGMENTS)
    for segment, cells in rows.items():
        percent = table.loc[segment, "stenosis_percent"]
        assert cells[0] == f"{percent:.1f}"
        # Never by colour alone.
        assert (cells[1] == "*") == (percent > 70)
        numbers = [cell for cell in cells[1:] if cell != "*"]
        assert numbers[0] == f"{table.loc[segment, 'stenosis']:.2f}"
        assert numbers[1] == "-"  # no calcification head
        note = table.loc[segment, "note"]
        assert note is None or note in shown
    assert "\x1b[" not in shown
    assert "study P2.a" in shown
    assert "Heads heads-1." in shown
    assert "Encoder enc-a. Research use only" in shown


def test_raw_shows_logits(store):
    cells = lines_of(run("findings", "P1.a", "--store", store, "--raw").stdout)["mid_lad"]
    raw = findings(STUDIES, encoder_id="enc-a").raw[0]
    assert f"{raw[HEADS.index('mid_lad_cto')]:.2f}" in cells
    assert f"{raw[HEADS.index('mid_lad_stenosis_binary')]:.2f}" in cells


def test_json_holds_everything(store):
    found = as_json("findings", "P2.a", "--store", store)
    assert (found["study"], found["total"], found["heads_id"]) == ("P2.a", 18, "heads-1")
    assert "Research use only" in found["notice"]
    raw = findings(STUDIES, encoder_id="enc-a").raw[1]
    for row in found["findings"]:
        assert row["stenosis_percent"] == raw[HEADS.index(f"{row['segment']}_stenosis")]
        assert row["thrombus_logit"] == raw[HEADS.index(f"{row['segment']}_thrombus")]
        assert row["calcification"] is None


def test_store_info_names_the_heads(store):
    assert as_json("store", "info", "--store", store)["finding heads"] == ["heads-1"]


def test_many_studies_are_limited_and_the_total_is_said(store):
    shown = run("findings", "--where", "patient_sex = 'F'", "--store", store, "--limit", 20).stdout
    assert "20 of 36 rows" in shown
    assert shown.count("P1.a ") == 18
    found = as_json("findings", "--store", store, "--limit", 2)
    assert (found["study"], found["total"], len(found["findings"])) == (None, 36, 2)
    none = run("findings", "--where", "stenosis_percent > 1e6", "--store", store).stdout
    assert "no segment of any study" in none
    assert "Research use only" in none


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["9.9"], 1, "error: no study 9.9 in store version 1"),
        (["--where", "nothing > 1"], 2, "error: the predicate failed"),
        (["--heads", "other"], 1, "error: store version 1 holds no findings of the heads 'other'"),
        (["--encoder", "other"], 1, "error: no encoder 'other'"),
    ],
)
def test_errors_say_the_next_step(store, words, code, message):
    lines = run("findings", *words, "--store", store, code=code).stderr.strip().splitlines()
    assert message in lines[0]
    assert lines[1].startswith("hint: ")


def test_original_uids_find_the_study_in_a_pseudonymised_store(tmp_path, clean_environment):
    key_file = clean_environment / ".config/angioatlas/identity.key"
    identity = new_identity(key_file, keep_identifiers=False, shift_dates=False)
    store = Store.create(tmp_path / "s", identity=identity.record)
    surrogate = identity.resolve_uid("1.2.3.4")[-1]
    commit(store, {surrogate: ["1"]})
    assert as_json("findings", "1.2.3.4", "--store", tmp_path / "s")["study"] == surrogate


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "csv"])
def test_exports_hold_the_findings_of_every_set_of_heads(tmp_path, kind):
    store = new_store(tmp_path / "s")
    commit(store, STUDIES)
    commit(store, STUDIES, heads_id="heads-2", facts=False)
    out = tmp_path / f"out.{kind}"
    report = as_json("export", out, "--store", store.path)
    assert report["findings"] == 2 * 2 * len(SEGMENTS)
    source = "findings" if kind == "duckdb" else f"read_{kind}('{out}/findings.{kind}')"
    with duckdb.connect(str(out) if kind == "duckdb" else ":memory:") as connection:
        rows = connection.sql(
            f"select study_uid, heads_id, stenosis_percent, cto_logit, calcification from {source}"
            " where segment = 'prox_rca' order by study_uid, heads_id"
        ).fetchall()
        described = connection.sql(f"describe from {source}").fetchall()
    expected = [
        (
            study,
            heads,
            *findings({study: videos}, encoder_id="enc-a", heads_id=heads).raw[0, [0, 3]],
        )
        for study, videos in STUDIES.items()
        for heads in ("heads-1", "heads-2")
    ]
    assert [row[:2] for row in rows] == [row[:2] for row in expected]
    assert [row[2:4] for row in rows] == [pytest.approx(row[2:], rel=1e-6) for row in expected]
    assert {row[4] for row in rows} == {None}
    assert len(described) == 4 + 5 + 4


def test_an_export_leaves_out_findings_of_studies_that_it_does_not_hold(tmp_path):
    store = new_store(tmp_path / "s")
    commit(store, STUDIES)
    # The vector of P1.a is of other inputs than the study now has, its findings are not.
    commit(store, {"P1.a": ["1", "9"]}, heads_id=None)
    commit(store, {"P1.a": ["1"]}, encoder_id="enc-b")
    with store.snapshot() as snapshot:
        assert snapshot.findings("enc-a", "heads-1").num_rows == 2
    report = as_json("export", tmp_path / "out.duckdb", "--store", store.path, "-e", "enc-a")
    assert (report["studies"], report["findings"]) == (1, len(SEGMENTS))


def test_an_export_without_findings_has_the_empty_table(tmp_path):
    store = new_store(tmp_path / "s")
    with store.writer("run") as writer:
        writer.commit(batch(STUDIES, heads_id=None))
    out = tmp_path / "out.duckdb"
    assert as_json("export", out, "--store", store.path)["findings"] == 0
    with duckdb.connect(str(out), read_only=True) as connection:
        assert connection.sql("from findings").fetchall() == []
        told = connection.sql(
            "select column_name, data_type, comment from duckdb_columns()"
            " where table_name = 'findings'"
        ).fetchall()
        provenance = dict(connection.sql("from provenance").fetchall())
    assert len(told) == 13
    assert {kind for _, kind, _ in told} == {"VARCHAR", "FLOAT"}
    assert all(comment for *_, comment in told)
    assert provenance["heads_ids"] == ""
