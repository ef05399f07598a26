"""Which rows a store version shows: the rules, as SQL over Arrow tables.

A row counts when its `commit_id` is among the commits of the version.  Then:

* the current row of an input or a study is its last committed one;
* a study is visible while it has videos and its patient is not deleted;
* a video is visible when it carries the `commit_id` of its study's current row;
* in an encoder space, a study is visible when its current vector was made from the inputs that the
  study now has (equal `input_hash`), and its video vectors are those of that vector's commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import duckdb
import pyarrow as pa

from store.commits import CommitRecord
from store.tables import Tables, schema_of, space_table
from store.tombstones import Tombstones

_CURRENT = """
    SELECT rows.* FROM rows JOIN commits USING (commit_id)
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY commits.version DESC) = 1
"""
_ORDERED = "SELECT * FROM ({query}) ORDER BY {key}"


@dataclass(frozen=True)
class Facts:
    """The visible studies of a version, and what hides the others.

    Parameters
    ----------
    studies : pa.Table
        Columns of `studies`, by study_uid.
    commits : pa.Table
        `commit_id` and `version` of every commit up to the version.
    hidden_studies : pa.Table
        `study_uid` of studies that ever belonged to a deleted patient and do not belong to
        another one now.
    """

    studies: pa.Table
    commits: pa.Table
    hidden_studies: pa.Table


def commit_order(records: Sequence[CommitRecord], version: int) -> pa.Table:
    """Return `commit_id` and `version` of the commits up to `version`."""
    seen = [record for record in records if record.version <= version]
    return pa.table(
        {
            "commit_id": pa.array([record.commit_id for record in seen], pa.string()),
            "version": pa.array([record.version for record in seen], pa.int64()),
        }
    )


def read_facts(
    tables: Tables, at: Mapping[str, int], commits: pa.Table, tombstones: Tombstones
) -> Facts:
    """Return the visible studies at the Lance versions `at`."""
    rows = read_at(tables, at, "studies")
    deleted = pa.table(
        {"patient_id": pa.array(tombstones.among(rows["patient_id"].to_pylist()), pa.string())}
    )
    current = _query(_CURRENT.format(key="study_uid"), rows=rows, commits=commits)
    studies = _query(
        _ORDERED.format(
            query="SELECT * FROM current_rows WHERE n_videos > 0"
            " AND patient_id NOT IN (SELECT patient_id FROM deleted)",
            key="study_uid",
        ),
        current_rows=current,
        deleted=deleted,
    )
    hidden = _query(
        "SELECT DISTINCT study_uid FROM rows JOIN deleted USING (patient_id)"
        " WHERE study_uid NOT IN (SELECT study_uid FROM studies)",
        rows=rows,
        deleted=deleted,
        studies=studies,
    )
    return Facts(studies.cast(schema_of("studies")), commits, hidden)


def read_videos(tables: Tables, at: Mapping[str, int], facts: Facts) -> pa.Table:
    """Return the visible rows of `videos`, by sop_uid."""
    return _query(
        "SELECT rows.* FROM rows SEMI JOIN studies USING (study_uid, commit_id) ORDER BY sop_uid",
        rows=read_at(tables, at, "videos"),
        studies=facts.studies,
    ).cast(schema_of("videos"))


def read_inputs(tables: Tables, at: Mapping[str, int], facts: Facts) -> pa.Table:
    """Return the visible rows of `inputs`, by uri."""
    query = (
        f"SELECT * FROM ({_CURRENT.format(key='uri')}) WHERE study_uid IS NULL"
        " OR study_uid NOT IN (SELECT study_uid FROM hidden) ORDER BY uri"
    )
    return _query(
        query,
        rows=read_at(tables, at, "inputs"),
        commits=facts.commits,
        hidden=facts.hidden_studies,
    ).cast(schema_of("inputs"))


def read_study_keys(
    tables: Tables, at: Mapping[str, int], encoder_id: str, facts: Facts
) -> pa.Table:
    """Return uid, study_uid, patient_id and commit_id of a space's visible studies, by uid."""
    rows = read_at(
        tables,
        at,
        space_table(encoder_id, "study_vectors"),
        columns=["study_uid", "commit_id", "input_hash"],
    )
    return _query(
        "SELECT study_uid AS uid, study_uid, studies.patient_id, vectors.commit_id"
        f" FROM ({_CURRENT.format(key='study_uid')}) AS vectors"
        " JOIN studies USING (study_uid, input_hash) ORDER BY uid",
        rows=rows,
        commits=facts.commits,
        studies=facts.studies,
    )


def read_video_keys(
    tables: Tables, at: Mapping[str, int], encoder_id: str, study_keys: pa.Table
) -> pa.Table:
    """Return uid, study_uid, patient_id and commit_id of a space's visible videos, by uid."""
    rows = read_at(
        tables,
        at,
        space_table(encoder_id, "video_vectors"),
        columns=["sop_uid", "study_uid", "commit_id"],
    )
    return _query(
        "SELECT sop_uid AS uid, study_uid, study_keys.patient_id, commit_id"
        " FROM rows JOIN study_keys USING (study_uid, commit_id) ORDER BY sop_uid",
        rows=rows,
        study_keys=study_keys,
    )


def read_at(
    tables: Tables, at: Mapping[str, int], name: str, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the table `name` at its Lance version in `at`; empty when it is not in `at`."""
    if name in at:
        return tables.read(name, at[name], columns=columns)
    schema = schema_of(name)
    return (
        schema if columns is None else pa.schema([schema.field(c) for c in columns])
    ).empty_table()


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    # Making one takes 20 ms, and opening a snapshot asks five times.  It holds nothing: what a
    # query registers belongs to the cursor of that query.
    return duckdb.connect(":memory:", config={"enable_external_access": "false"})


def _query(sql: str, **tables: pa.Table) -> pa.Table:
    # Every name in the SQL is registered: DuckDB is never left to look for Python variables.
    with _engine().cursor() as cursor:
        for name, table in tables.items():
            cursor.register(name, table)
        return cursor.sql(sql).to_arrow_table()
