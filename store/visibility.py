"""Which rows a store version shows: the rules, as SQL over Arrow tables.

A row counts when its `commit_id` is among the commits of the version.  Then:

* the current row of an input or a study is its last committed one;
* a study is visible while it has videos and its patient is not deleted;
* a video is visible when it carries the `commit_id` of its study's current row;
* in an encoder space, a study is visible when its current vector was made from the inputs that the
  study now has (equal `input_hash`), and its video vectors are those of that vector's commit;
* findings of a study are visible when they are the last committed ones of their set of heads and
  were made from the inputs that the study now has;
* the current row of a label is its last committed one; it is visible unless it was withdrawn, its
  patient is deleted, or its study was a deleted patient's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from core.errors import StoreError
from store.commits import CommitRecord
from store.sql import query
from store.tables import Tables, schema_of, space_table
from store.tombstones import Tombstones

_FEW_COMMITS: Final = 64
"""Up to this many commits, rows are asked for by commit; beyond, the table is scanned."""
_CURRENT = """
    SELECT rows.* FROM rows JOIN commits USING (commit_id)
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY commits.version DESC) = 1
"""
_ORDERED = "SELECT * FROM ({query}) ORDER BY {key}"


@dataclass(frozen=True)
class VersionRows:
    """The rows of the tables as of one version: all, or those of some studies.

    Every rule but those of inputs and labels holds study by study, so the rows of some studies are
    enough to see what is visible of these.

    Parameters
    ----------
    tables : Tables
    at : mapping of str to int
        Lance version of each table.
    studies : sequence of str, optional
        Rows of these studies alone.
    """

    tables: Tables
    at: Mapping[str, int]
    studies: Sequence[str] | None = None

    def read(self, name: str, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of the table `name`; empty when the version has no such table."""
        if name in self.at and (self.studies is None or self.studies):
            where = None if self.studies is None else _by_study(self.studies)
            return self.tables.read(name, self.at[name], columns=columns, where=where)
        schema = schema_of(name)
        return (
            schema if columns is None else pa.schema([schema.field(c) for c in columns])
        ).empty_table()


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


def read_facts(version: VersionRows, commits: pa.Table, tombstones: Tombstones) -> Facts:
    """Return the visible studies of a version."""
    rows = version.read("studies")
    deleted = pa.table(
        {"patient_id": pa.array(tombstones.among(rows["patient_id"].to_pylist()), pa.string())}
    )
    current = query(_CURRENT.format(key="study_uid"), rows=rows, commits=commits)
    studies = query(
        _ORDERED.format(
            query="SELECT * FROM current_rows WHERE n_videos > 0"
            " AND patient_id NOT IN (SELECT patient_id FROM deleted)",
            key="study_uid",
        ),
        current_rows=current,
        deleted=deleted,
    )
    hidden = query(
        "SELECT DISTINCT study_uid FROM rows JOIN deleted USING (patient_id)"
        " WHERE study_uid NOT IN (SELECT study_uid FROM studies)",
        rows=rows,
        deleted=deleted,
        studies=studies,
    )
    return Facts(studies.cast(schema_of("studies")), commits, hidden)


def read_videos(version: VersionRows, facts: Facts) -> pa.Table:
    """Return the visible rows of `videos`, by sop_uid."""
    return query(
        "SELECT rows.* FROM rows SEMI JOIN studies USING (study_uid, commit_id) ORDER BY sop_uid",
        rows=version.read("videos"),
        studies=facts.studies,
    ).cast(schema_of("videos"))


def read_inputs(version: VersionRows, facts: Facts) -> pa.Table:
    """Return the visible rows of `inputs`, by uri."""
    visible = (
        f"SELECT * FROM ({_CURRENT.format(key='uri')}) WHERE study_uid IS NULL"
        " OR study_uid NOT IN (SELECT study_uid FROM hidden) ORDER BY uri"
    )
    return query(
        visible,
        rows=version.read("inputs"),
        commits=facts.commits,
        hidden=facts.hidden_studies,
    ).cast(schema_of("inputs"))


def read_study_keys(version: VersionRows, encoder_id: str, facts: Facts) -> pa.Table:
    """Return uid, study_uid, patient_id and commit_id of a space's visible studies, by uid."""
    rows = version.read(
        space_table(encoder_id, "study_vectors"),
        columns=["study_uid", "commit_id", "input_hash"],
    )
    return query(
        "SELECT study_uid AS uid, study_uid, studies.patient_id, vectors.commit_id"
        f" FROM ({_CURRENT.format(key='study_uid')}) AS vectors"
        " JOIN studies USING (study_uid, input_hash) ORDER BY uid",
        rows=rows,
        commits=facts.commits,
        studies=facts.studies,
    )


def read_video_keys(version: VersionRows, encoder_id: str, study_keys: pa.Table) -> pa.Table:
    """Return uid, study_uid, patient_id and commit_id of a space's visible videos, by uid."""
    rows = version.read(
        space_table(encoder_id, "video_vectors"),
        columns=["sop_uid", "study_uid", "commit_id"],
    )
    return query(
        "SELECT sop_uid AS uid, study_uid, study_keys.patient_id, commit_id"
        " FROM rows JOIN study_keys USING (study_uid, commit_id) ORDER BY sop_uid",
        rows=rows,
        study_keys=study_keys,
    )


def read_finding_keys(version: VersionRows, encoder_id: str, facts: Facts) -> pa.Table:
    """Return heads_id, study_uid and commit_id of a space's visible findings, in this order."""
    rows = version.read(
        space_table(encoder_id, "findings"),
        columns=["study_uid", "heads_id", "commit_id", "input_hash"],
    )
    return query(
        "SELECT heads_id, study_uid, found.commit_id"
        f" FROM ({_CURRENT.format(key='study_uid, heads_id')}) AS found"
        " SEMI JOIN studies USING (study_uid, input_hash) ORDER BY heads_id, study_uid",
        rows=rows,
        commits=facts.commits,
        studies=facts.studies,
    )


def read_findings(
    version: VersionRows, encoder_id: str, keys: pa.Table, columns: Sequence[str]
) -> pa.Table:
    """Return study_uid, commit_id and `columns` of the findings that `keys` name, in their order.

    Raises
    ------
    StoreError
        When a key has no row.
    """
    wanted = ["study_uid", "commit_id", *columns]
    pairs = zip(keys["study_uid"].to_pylist(), keys["commit_id"].to_pylist(), strict=True)
    order = {pair: i for i, pair in enumerate(pairs)}
    name = space_table(encoder_id, "findings")
    where = by_commit({commit_id for _, commit_id in order})
    batches: list[pa.RecordBatch] = []
    places: list[int] = []
    for batch in version.tables.scan(name, version.at[name], columns=wanted, where=where):
        found = zip(batch["study_uid"].to_pylist(), batch["commit_id"].to_pylist(), strict=True)
        rows = [order.get(pair, -1) for pair in found]
        batches.append(batch.filter(pa.array([row >= 0 for row in rows], pa.bool_())))
        places += [row for row in rows if row >= 0]
    if sorted(places) != list(range(len(order))):
        raise StoreError(f"{name} has {len(places)} rows of {len(order)} that are visible")
    schema = pa.schema([schema_of(name).field(column) for column in wanted])
    return pa.Table.from_batches(batches, schema=schema).take(np.argsort(places))


def read_labels(
    version: VersionRows, name: str, *, facts: Facts, tombstones: Tombstones
) -> pa.Table:
    """Return the visible rows of a label table, by row_id."""
    rows = version.read(name)
    deleted = tombstones.among(rows["patient_id"].to_pylist())
    of_study = (
        ""
        if "study_uid" not in rows.column_names
        else (" AND (study_uid IS NULL OR study_uid NOT IN (SELECT study_uid FROM hidden))")
    )
    return query(
        f"SELECT * FROM ({_CURRENT.format(key='row_id')}) WHERE NOT withdrawn"
        f" AND patient_id NOT IN (SELECT patient_id FROM deleted){of_study} ORDER BY row_id",
        rows=rows,
        commits=facts.commits,
        hidden=facts.hidden_studies,
        deleted=pa.table({"patient_id": pa.array(deleted, pa.string())}),
    ).cast(schema_of(name))


def by_commit(commit_ids: set[str]) -> str | None:
    """Return the predicate that rows are of these commits; None when they are too many to name."""
    # Commit ids are hex digits of our own making, so they may stand in the text.
    if len(commit_ids) > _FEW_COMMITS:
        return None
    return f"commit_id IN ({', '.join(repr(commit_id) for commit_id in sorted(commit_ids))})"


def _by_study(studies: Sequence[str]) -> str:
    """Return the predicate that rows are of these studies."""
    # UIDs came with files: a quote in one ends no text here.
    return f"study_uid IN ({', '.join(_quoted(uid) for uid in studies)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
