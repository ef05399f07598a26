"""Export: the visible rows of one store version as DuckDB, Parquet or CSV.

Everything is written aside and renamed when complete, so that a reader never meets half a file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from angioatlas.export_views import VIEWS
from angioatlas.findings import long_table
from angioatlas.progression.table import progression_table
from angioatlas.saved_tables import cohort_table, projection_table
from core.errors import StoreError, UsageError
from core.labels import LabelKind
from core.provenance import RESEARCH_USE, software, utc_now
from core.schema import EMBEDDING_DIM, UID_COLUMN, Format, Level
from core.segments import HEADS
from embedder.encoders.spec import TextEmbedder
from store.columns import COMMENTS
from store.snapshot import Snapshot
from store.store import Store

_CHUNK = 20_000
_EMBEDDING_COMMENT = (
    f"Joint-space embedding of the encoder named in `provenance`: {EMBEDDING_DIM} float32, "
    "L2-normalised, so that the inner product is the cosine similarity"
)


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote."""

    path: str
    format: Format
    encoder_id: str
    store_version: int
    studies: int
    videos: int
    findings: int
    labels: dict[str, int]
    """Rows of each label table; reports only when they were asked for."""
    saved: dict[str, int]
    """Members of saved cohorts, dots of saved maps, and pairs of serial exams."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return asdict(self)


def choose_format(out: Path, asked: Format | None) -> Format:
    """Return the format asked for, or the one that the ending of `out` names.

    Raises
    ------
    UsageError
        When neither says it.
    """
    if asked is not None:
        return asked
    ending = out.suffix.lstrip(".").lower()
    if ending in {"duckdb", "db"}:
        return Format.DUCKDB
    if ending in set(Format):
        return Format(ending)
    raise UsageError(
        f"the ending of {out.name!r} does not tell the format",
        "name a .duckdb file, or give --format duckdb|parquet|csv",
    )


def export(
    snapshot: Snapshot,
    out: Path,
    *,
    store: Store,
    encoder_id: str,
    format: Format,
    reader: TextEmbedder | None = None,
    source_paths: bool = False,
    reports: bool = False,
    overwrite: bool = False,
) -> ExportReport:
    """Write what one encoder has vectors for in a snapshot, with findings, and all labels.

    Parameters
    ----------
    snapshot : Snapshot
        The store version to export.
    out : Path
        A file for DuckDB; a folder for Parquet and CSV, which hold one file a table.
    store : Store
        Where the snapshot is from.
    encoder_id : str
        The space whose vectors are written.
    format : Format
    reader : TextEmbedder, optional
        Of the encoder: tells what is toward disease between serial exams.
    source_paths : bool
        Also write `source_uri`; file paths may name patients.
    reports : bool
        Also write the texts of reports, which may name persons.
    overwrite : bool
        Replace `out` when it exists.

    Raises
    ------
    UsageError
        When `out` exists and may not be replaced.
    StoreError
        When the disk does not take the file.
    """
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists already", "name another, or give --overwrite")
    with _aside(out) as partial:
        database = partial if format is Format.DUCKDB else Path(":memory:")
        with duckdb.connect(str(database)) as connection:
            counts = {
                level: _write_level(connection, snapshot, level, encoder_id, source_paths)
                for level in Level
            }
            n_findings = _write_findings(connection, snapshot, encoder_id)
            labels = {
                kind.value: _write_rows(connection, kind.value, snapshot.labels(kind))
                for kind in LabelKind
                if reports or kind is not LabelKind.REPORTS
            }
            saved = {
                "cohorts": _write_rows(connection, "cohorts", cohort_table(store)),
                "projections": _write_rows(
                    connection, "projections", projection_table(store, encoder_id)
                ),
                "progression": _write_rows(
                    connection,
                    "progression",
                    progression_table(store, snapshot, encoder_id=encoder_id, reader=reader),
                ),
            }
            _write_provenance(connection, store, snapshot, encoder_id)
            if format is Format.DUCKDB:
                _write_views(connection)
            else:
                _copy_out(connection, partial, format, (*labels, *saved))
    return ExportReport(
        str(out),
        format,
        encoder_id,
        snapshot.version,
        studies=counts[Level.STUDY],
        videos=counts[Level.VIDEO],
        findings=n_findings,
        labels=labels,
        saved=saved,
    )


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    partial = out.with_name(f".{out.name}.partial")
    _remove(partial)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _remove(out)
        partial.rename(out)
    except (OSError, duckdb.IOException) as error:
        raise StoreError(
            f"{out} could not be written: {type(error).__name__}",
            "check that the folder exists, is writable and has space",
        ) from error
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_level(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    level: Level,
    encoder_id: str,
    source_paths: bool,
) -> int:
    table = {Level.STUDY: "studies", Level.VIDEO: "videos"}[level]
    facts = snapshot.studies() if level is Level.STUDY else snapshot.videos()
    hidden = {"commit_id", "input_hash"} | (set() if source_paths else {"source_uri"})
    facts = facts.drop_columns([name for name in facts.column_names if name in hidden])
    connection.register("facts", facts)
    keys = snapshot.keys(encoder_id, level)
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


def _write_findings(
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


def _write_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> int:
    """Write rows as they are; there may be none, and of patients without a study here too."""
    connection.register("arriving", rows)
    connection.execute(f"create table {table} as from arriving")
    connection.unregister("arriving")
    _comment(connection, table, rows.column_names)
    return int(rows.num_rows)


def _write_views(connection: duckdb.DuckDBPyConnection) -> None:
    for view, query in VIEWS.items():
        connection.execute(f"create view {view} as {query}")
        _comment(connection, view, connection.table(view).columns)


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


def _write_provenance(
    connection: duckdb.DuckDBPyConnection, store: Store, snapshot: Snapshot, encoder_id: str
) -> None:
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
    connection.execute("create table provenance (name varchar primary key, value varchar)")
    connection.execute("comment on column provenance.name is 'What is told'")
    connection.execute("comment on column provenance.value is 'Text; `software` is JSON'")
    connection.executemany("insert into provenance values (?, ?)", list(rows.items()))


def _copy_out(
    connection: duckdb.DuckDBPyConnection, folder: Path, format: Format, others: Iterable[str]
) -> None:
    folder.mkdir()
    for table in ("studies", "videos", "findings", *others, "provenance"):
        file = str(folder / f"{table}.{format.value}").replace("'", "''")
        header = ", header" if format is Format.CSV else ""
        connection.execute(f"copy {table} to '{file}' (format {format.value}{header})")
