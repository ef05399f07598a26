"""The tables of an export, one after the other, in a database that is being written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from angioatlas.cohorts import CohortMembers
from angioatlas.export_views import VIEWS
from angioatlas.findings import long_table
from core.labels import LabelKind
from core.provenance import RESEARCH_USE, software, utc_now
from core.schema import EMBEDDING_DIM, UID_COLUMN, Format, Level
from core.segments import HEADS
from store.columns import COMMENTS
from store.snapshot import Snapshot
from store.store import Store

_CHUNK = 20_000
_EMBEDDING_COMMENT = (
    f"Joint-space embedding of the encoder named in `provenance`: {EMBEDDING_DIM} float32, "
    "L2-normalised, so that the inner product is the cosine similarity"
)
OF_THE_COHORT: Final[dict[str, str]] = {
    **dict.fromkeys(map(str, LabelKind), "patient_id in (select patient_id from members)"),
    LabelKind.REPORTS: "study_uid in (from studies select study_uid)",
    "cohorts": "cohort_id in (select cohort_id from members)",
    "projections": "uid in (from studies select study_uid union all from videos select sop_uid)",
    "progression": (
        "study_uid in (select study_uid from members) "
        "and prior_uid in (select study_uid from members)"
    ),
}
"""Of which rows a cohort's tables are, where `members` are its members."""


def members_table(cohort: CohortMembers) -> pa.Table:
    """Return study_uid, patient_id and cohort_id of the members of a cohort."""
    names = ["study_uid", "patient_id"]
    rows = pa.Table.from_pandas(cohort.members[names], preserve_index=False)
    return rows.append_column("cohort_id", pa.array([cohort.cohort_id] * rows.num_rows))


def write_level(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    level: Level,
    encoder_id: str,
    source_paths: bool,
    cohort: CohortMembers | None,
) -> int:
    """Write the facts of studies or videos, with their vectors; of a cohort its index exams."""
    table = {Level.STUDY: "studies", Level.VIDEO: "videos"}[level]
    facts = snapshot.studies() if level is Level.STUDY else snapshot.videos()
    hidden = {"commit_id", "input_hash"} | (set() if source_paths else {"source_uri"})
    facts = facts.drop_columns([name for name in facts.column_names if name in hidden])
    connection.register("facts", facts)
    keys = snapshot.keys(encoder_id, level)
    if cohort is not None:
        uids = pa.array(cohort.members["study_uid"], pa.string())
        keys = keys.filter(pc.is_in(keys["study_uid"], value_set=uids))
    connection.execute(
        f"create table {table} as select *, null::float[{EMBEDDING_DIM}] as embedding "
        "from facts limit 0"
    )
    for start in range(0, keys.num_rows, _CHUNK):
        chunk, matrix = snapshot.vectors(encoder_id, level, keys=keys.slice(start, _CHUNK))
        embedding = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), EMBEDDING_DIM)
        connection.register("vectors", chunk.select(["uid"]).append_column("embedding", embedding))
        connection.execute(
            f"insert into {table} select facts.*, vectors.embedding "
            f"from vectors join facts on facts.{UID_COLUMN[level]} = vectors.uid"
        )
        connection.unregister("vectors")
    connection.unregister("facts")
    _comment(connection, table, facts.column_names)
    _comment_on(connection, f"{table}.embedding", _EMBEDDING_COMMENT)
    return int(keys.num_rows)


def write_findings(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, encoder_id: str
) -> int:
    """Write the findings of every set of heads; without any, a table without rows."""
    columns = list(COMMENTS["findings"])
    wide = pa.schema([("study_uid", pa.string()), *((head, pa.float32()) for head in HEADS)])
    empty = _with_heads(wide.empty_table(), "").select(columns)
    connection.register("arriving", empty)
    connection.execute("create table findings as from arriving")
    for heads_id in snapshot.heads(encoder_id):
        found = snapshot.findings(encoder_id, heads_id)
        for start in range(0, found.num_rows, _CHUNK):
            chunk = _with_heads(found.slice(start, _CHUNK), heads_id).select(columns)
            connection.register("arriving", chunk)
            # A study may show findings while its vector, of a later pass, is of other inputs.
            connection.execute(
                "insert into findings select arriving.* from arriving semi join studies "
                "using (study_uid)"
            )
    connection.unregister("arriving")
    _comment(connection, "findings", columns)
    counted = connection.execute("select count(*) from findings").fetchall()
    return int(counted[0][0])


def write_rows(
    connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table, *, where: str | None
) -> int:
    """Write rows as they are; there may be none, and of patients without a study here too."""
    connection.register("arriving", rows)
    connection.execute(f"create table {table} as from arriving where {where or 'true'}")
    connection.unregister("arriving")
    _comment(connection, table, rows.column_names)
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])


def write_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Write the views over the tables that are there."""
    for view, query in VIEWS.items():
        connection.execute(f"create view {view} as {query}")
        _comment(connection, view, connection.table(view).columns)


def write_provenance(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    snapshot: Snapshot,
    encoder_id: str,
    cohort: CohortMembers | None,
) -> None:
    """Write what all of it was made of, and with."""
    rows = {
        "notice": RESEARCH_USE,
        "encoder_id": encoder_id,
        "heads_ids": ", ".join(snapshot.heads(encoder_id)),
        "store_uuid": store.uuid,
        "store_version": str(snapshot.version),
        "identity": store.identity.mode.value,
        "exported_at": utc_now().isoformat(timespec="seconds"),
        "software": json.dumps(software()),
    }
    if cohort is not None:
        rows |= {
            "cohort": cohort.name or "",
            "cohort_id": cohort.cohort_id,
            "cohort_definition": cohort.definition.to_json(),
        }
    connection.execute("create table provenance (name varchar primary key, value varchar)")
    connection.execute("comment on column provenance.name is 'What is told'")
    connection.execute("comment on column provenance.value is 'Text; `software` is JSON'")
    connection.executemany("insert into provenance values (?, ?)", list(rows.items()))


def copy_out(
    connection: duckdb.DuckDBPyConnection, folder: Path, format: Format, others: Iterable[str]
) -> None:
    """Copy the tables into files of a folder, one each."""
    for table in ("studies", "videos", "findings", *others, "provenance"):
        file = str(folder / f"{table}.{format.value}").replace("'", "''")
        header = ", header" if format is Format.CSV else ""
        connection.execute(f"copy {table} to '{file}' (format {format.value}{header})")


def _with_heads(wide: pa.Table, heads_id: str) -> pa.Table:
    rows = long_table(wide)
    return rows.append_column("heads_id", pa.array([heads_id] * rows.num_rows, pa.string()))


def _comment(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> None:
    for column, comment in COMMENTS[table].items():
        if column in columns:
            _comment_on(connection, f"{table}.{column}", comment)


def _comment_on(connection: duckdb.DuckDBPyConnection, column: str, comment: str) -> None:
    quoted = comment.replace("'", "''")
    connection.execute(f"comment on column {column} is '{quoted}'")
