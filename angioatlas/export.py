"""Export: the visible rows of one store version, or a cohort's, as DuckDB, Parquet or CSV.

Everything is written aside and renamed when complete, so that a reader never meets half a file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from angioatlas.cohorts import CohortMembers
from angioatlas.export_tables import (
    OF_THE_COHORT,
    copy_out,
    members_table,
    write_findings,
    write_level,
    write_provenance,
    write_rows,
    write_views,
)
from angioatlas.progression.table import PAIRS, progression_table
from angioatlas.saved_tables import cohort_table, projection_table
from core.errors import StoreError, UsageError
from core.labels import LabelKind
from core.schema import Format, Level
from embedder.encoders.spec import TextEmbedder
from store.snapshot import Snapshot
from store.store import Store


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
    cohort_id: str | None = None
    """Whose index exams alone were written."""

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
    cohort: CohortMembers | None = None,
    reader: TextEmbedder | None = None,
    source_paths: bool = False,
    reports: bool = False,
    overwrite: bool = False,
) -> ExportReport:
    """Write what one encoder has vectors for in a snapshot, with findings, and all labels.

    Of a cohort: its index exams, their videos, findings, reports and dots, the labels of its
    patients, and of serial exams the pairs that it has both of.

    Parameters
    ----------
    snapshot : Snapshot
        The store version to export; of a cohort the one that it was chosen from.
    out : Path
        A file for DuckDB; a folder for Parquet and CSV, which hold one file a table.
    store : Store
        Where the snapshot is from.
    encoder_id : str
        The space whose vectors are written.
    format : Format
    cohort : CohortMembers, optional
        Everybody by default.
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
        database = partial
        if format is not Format.DUCKDB:
            partial.mkdir()
            # On the disk: the vectors of a large store would not fit into memory beside a server.
            database = partial / "tables.duckdb"
        with duckdb.connect(str(database)) as connection:
            if cohort is not None:
                connection.register("members", members_table(cohort))
            where = OF_THE_COHORT if cohort is not None else {}
            counts = {
                level: write_level(connection, snapshot, level, encoder_id, source_paths, cohort)
                for level in Level
            }
            n_findings = write_findings(connection, snapshot, encoder_id)
            labels = {
                kind.value: write_rows(
                    connection,
                    kind.value,
                    snapshot.labels(kind),
                    where=where.get(kind),
                )
                for kind in LabelKind
                if reports or kind is not LabelKind.REPORTS
            }
            # Scores of pairs take long: nobody waits for those of which none is written.
            pairs = (
                progression_table(store, snapshot, encoder_id=encoder_id, reader=reader)
                if cohort is None or cohort.members["patient_id"].duplicated().any()
                else PAIRS.empty_table()
            )
            others = {
                "cohorts": cohort_table(store),
                "projections": projection_table(store, encoder_id),
                "progression": pairs,
            }
            saved = {
                table: write_rows(connection, table, rows, where=where.get(table))
                for table, rows in others.items()
            }
            write_provenance(connection, store, snapshot, encoder_id, cohort)
            if format is Format.DUCKDB:
                write_views(connection)
            else:
                copy_out(connection, partial, format, (*labels, *saved))
        if database != partial:
            database.unlink()
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
        cohort_id=None if cohort is None else cohort.cohort_id,
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
