"""The tables: their columns, and the few things done to them (read, append, rewrite, tag, clean).

Only this module and `store.report_text`, which keeps a cache, call LanceDB.  What it is careful
about, each found by trial with LanceDB 0.40 and held by
`tests/integration/test_store_lancedb_traps.py`:

* a table name may not contain "/", so every encoder space is a database folder of its own;
* a handle keeps showing the version it was opened at when another process writes, so no handle is
  kept: every read names its version, and every write opens the table anew (under 1 ms);
* a Lance version cannot be read once it is cleaned, and cleaning refuses altogether (after having
  compacted) while any version in its range is tagged, so every version that a commit needs is
  tagged, and tags go before their versions do;
* `delete` writes its predicate, uids and all, into the transaction log and the manifest, and
  `optimize` keeps the bytes of deleted rows while they are under a tenth of their file, so rows
  leave by a rewrite of the table, never by `delete`;
* version times are local and without time zone.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa

from core.errors import StoreError
from core.labels import LABELS, ColumnType, LabelTable
from core.schema import EMBEDDING_DIM
from core.segments import HEADS
from store.failures import failed
from store.place import Place

_UTC_US: Final = pa.timestamp("us", tz="UTC")
_VECTOR: Final = pa.list_(pa.float32(), EMBEDDING_DIM)


def _schema(required: str, **optional: pa.DataType) -> pa.Schema:
    fields = [pa.field(name, pa.string(), nullable=False) for name in required.split()]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in optional.items()])


_LABEL_TYPES: Final[dict[ColumnType, pa.DataType]] = {
    "date": pa.date32(),
    "number": pa.float64(),
    "segments": pa.list_(pa.string()),
}
"""Of label columns; every other one is text."""


def _label_schema(table: LabelTable) -> pa.Schema:
    stored = {
        column.name: _LABEL_TYPES.get(column.type, pa.string())
        for column in table.columns
        # Of every label the patient is known, so that it can be deleted with the patient.
        if column.name != "patient_id"
    }
    return _schema("row_id commit_id patient_id", **stored, withdrawn=pa.bool_())


SCHEMAS: Final[dict[str, pa.Schema]] = {
    "meta": _schema(
        "store_uuid identity_mode software_version",
        format_version=pa.int32(),
        key_fingerprint=pa.string(),
        shift_dates=pa.bool_(),
        created_at=_UTC_US,
    ),
    "commits": _schema(
        "commit_id kind run_id table_versions software_version",
        version=pa.int64(),
        oldest_readable=pa.int64(),
        encoder_id=pa.string(),
        created_at=_UTC_US,
    ),
    "tombstones": _schema("patient_hash state", created_at=_UTC_US),
    "inputs": _schema(
        "uri commit_id run_id status",
        size=pa.int64(),
        mtime_ns=pa.int64(),
        sop_uid=pa.string(),
        study_uid=pa.string(),
        sha256=pa.string(),
        code=pa.string(),
        message=pa.string(),
    ),
    "videos": _schema(
        "sop_uid commit_id study_uid series_uid patient_id view transfer_syntax_uid source_uri",
        acquisition_datetime=pa.timestamp("us"),
        series_time=pa.string(),
        instance_number=pa.int64(),
        primary_angle_deg=pa.float64(),
        secondary_angle_deg=pa.float64(),
        n_frames=pa.int32(),
        frame_time_ms=pa.float64(),
        rows=pa.int32(),
        columns=pa.int32(),
    ),
    "studies": _schema(
        "study_uid commit_id patient_id input_hash",
        patient_known=pa.bool_(),
        study_date=pa.date32(),
        patient_age_years=pa.float64(),
        patient_sex=pa.string(),
        site=pa.string(),
        n_videos=pa.int32(),
    ),
    "video_vectors": _schema("sop_uid study_uid commit_id", pooled=_VECTOR, embedding=_VECTOR),
    "study_vectors": _schema("study_uid commit_id input_hash", embedding=_VECTOR),
    "findings": _schema(
        "study_uid heads_id commit_id input_hash",
        pooled=pa.list_(pa.float32()),
        **dict.fromkeys(HEADS, pa.float32()),
    ),
    **{kind.value: _label_schema(table) for kind, table in LABELS.items()},
    "cohorts": _schema(
        "name cohort_id definition attrition software_version",
        store_version=pa.int64(),
        study_uids=pa.list_(pa.string()),
        patient_ids=pa.list_(pa.string()),
        removed=pa.int64(),
        created_at=_UTC_US,
        deleted=pa.bool_(),
    ),
    "models": _schema(
        "name model_id kind cohort_id encoder_id description software_version",
        payload=pa.large_binary(),
        created_at=_UTC_US,
        deleted=pa.bool_(),
    ),
    "projections": _schema(
        "name projection_id encoder_id level description software_version",
        store_version=pa.int64(),
        uids=pa.list_(pa.string()),
        patient_ids=pa.list_(pa.string()),
        x=pa.list_(pa.float32()),
        y=pa.list_(pa.float32()),
        is_landmark=pa.list_(pa.bool_()),
        axes=pa.large_binary(),
        created_at=_UTC_US,
        deleted=pa.bool_(),
    ),
    "judgements": _schema(
        "level uid patient_id encoder_id software_version",
        text=pa.string(),
        query_uid=pa.string(),
        query_patient_id=pa.string(),
        relevance=pa.int8(),
        store_version=pa.int64(),
        rank=pa.int64(),
        score=pa.float64(),
        created_at=_UTC_US,
    ),
}
"""The columns of every table, by its last name."""

FACT_TABLES: Final = ("inputs", "videos", "studies")
LOG_TABLES: Final = ("meta", "commits", "tombstones")
SPACE_TABLES: Final = ("video_vectors", "study_vectors", "findings")
LABEL_TABLES: Final = tuple(kind.value for kind in LABELS)
REGISTRY_TABLES: Final = ("cohorts", "models", "projections", "judgements")
"""These two kinds are made with their first rows, so that a store without labels, cohorts,
models, maps and judgements has none of them."""

KEY_COLUMN: Final = {
    "inputs": "uri",
    "videos": "sop_uid",
    "studies": "study_uid",
    "video_vectors": "sop_uid",
    "study_vectors": "study_uid",
    "findings": "study_uid",
    **dict.fromkeys(LABEL_TABLES, "row_id"),
}
"""What, together with `commit_id`, is unique in a table (a commit has one set of heads)."""

_BATCH_ROWS: Final = 2048
"""Rows of one batch of a scan: 8 MiB of video vectors."""
_PAGE_ROWS: Final = 16384
"""Rows of one query: 64 MiB of video vectors."""
_TRIES: Final = 5
_FOR_EVER: Final = dt.timedelta(days=36500)
_MARGINS_S: Final = (1.0, 15.0, 240.0)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def schema_of(name: str) -> pa.Schema:
    """Return the columns of the table `name` (``"videos"``, ``"spaces/<id>/video_vectors"``)."""
    return SCHEMAS[name.rpartition("/")[2]]


def key_column(name: str) -> str:
    """Return the column that is unique in `name` together with `commit_id`."""
    return KEY_COLUMN[name.rpartition("/")[2]]


def space_table(encoder_id: str, table: str) -> str:
    """Return the full name of a table of an encoder space.

    Raises
    ------
    StoreError
        When `encoder_id` cannot be the name of a folder.
    """
    check_id("an encoder space", encoder_id)
    return f"spaces/{encoder_id}/{table}"


def check_id(what: str, name: str) -> None:
    """Refuse what cannot be the name of a folder, and so no id of an encoder or of heads.

    Raises
    ------
    StoreError
        With `what` the name would have been of.
    """
    if not _ID.fullmatch(name):
        raise StoreError(
            f"{name[:150]!r} cannot name {what}: letters, digits, '.', '_' and '-' only, at most "
            "128, the first a letter or digit"
        )


@contextmanager
def lance_errors(doing: str) -> Iterator[None]:
    """Turn what LanceDB and Arrow raise into a `StoreError` that says what was being done."""
    try:
        yield
    except (RuntimeError, ValueError, OSError, pa.ArrowException) as error:
        raise failed(doing, error) from error


class Tables:
    """The LanceDB databases of one store: `tables` holds facts, `spaces/<encoder_id>` vectors.

    Parameters
    ----------
    place : Place
        Where the store lies.

    Attributes
    ----------
    log : CommitLog
        The rows of `commits`.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.log = place.log(self)
        self._databases: dict[str, Any] = {}

    def exists(self, name: str) -> bool:
        """Whether the table `name` was ever made."""
        return self.place.has_table(*_split(name))

    def create(self, name: str, rows: pa.Table | None = None) -> None:
        """Make the table `name`, empty or of `rows` at once, unless it is there."""
        database, last = _split(name)
        if not self.exists(name):
            with lance_errors(f"making the table {name}"), self.place.writing(database, last):
                self._database(database).create_table(
                    last, rows, schema=schema_of(name), exist_ok=True
                )

    def space_tables(self) -> list[str]:
        """Return the names of all vector tables there are, committed or not, sorted."""
        return [f"spaces/{encoder_id}/{table}" for encoder_id, table in self.place.spaces()]

    def commit_tables(self) -> list[str]:
        """Return the names of all tables there are whose rows carry a `commit_id`."""
        labels = [name for name in LABEL_TABLES if self.exists(name)]
        return [*FACT_TABLES, *labels, *self.space_tables()]

    def append(self, name: str, rows: pa.Table, *, onto: int | None = None) -> int:
        """Add `rows` to the table and return its new Lance version.

        Parameters
        ----------
        name : str
        rows : pa.Table
        onto : int or None
            The Lance version that they come after, without what anybody else has written since;
            None is the newest.
        """
        with self._writing(f"appending {rows.num_rows} rows to {name}", name):
            if onto is None:
                return int(self._latest(name).add(rows).version)
            for _ in range(_TRIES):
                table = self._at(name, onto)
                before = int(table.version)
                after = int(table.add(rows).version)
                if after == before + 1:
                    return after
        raise StoreError(f"somebody else goes on writing to {name}", "find and end that process")

    def settle(self, name: str, onto: int) -> int:
        """Leave out what anybody has written to a table after a version; return the newest then."""
        with self._writing(f"settling {name}", name):
            return int(self._at(name, onto).version)

    def rewrite(self, name: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Replace the rows of the table by `batches`, as a new Lance version, which is returned.

        Older versions keep their rows.  An exception out of `batches` leaves the table as it was.
        """
        reader = pa.RecordBatchReader.from_batches(schema_of(name), batches)
        with self._writing(f"rewriting {name}", name):
            return int(self._latest(name).add(reader, mode="overwrite").version)

    def version(self, name: str) -> int:
        """Return the newest Lance version of the table."""
        with lance_errors(f"reading the version of {name}"):
            return int(self._latest(name).version)

    def count(self, name: str) -> int:
        """Return the number of rows of the newest version."""
        with lance_errors(f"counting {name}"):
            return int(self._latest(name).count_rows())

    def is_fragmented(self, name: str) -> bool:
        """Whether many small files make up the table, so that a rewrite would help."""
        with lance_errors(f"reading the statistics of {name}"):
            return int(self._latest(name).stats()["fragment_stats"]["num_small_fragments"]) > 1

    def scan(
        self,
        name: str,
        version: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the table in batches of bounded size, in no particular order.

        Parameters
        ----------
        name : str
            The table.
        version : int or None
            Lance version; None is the newest there is now.
        columns : sequence of str or None
            The columns wanted; None is all.
        where : str or None
            SQL predicate, answered before rows are read.

        Raises
        ------
        StoreError
            When they cannot be read, or the version was retired, which a reader without a pin may
            find.
        """
        try:
            yield from self._scan(name, version, columns=columns, where=where)
        except StoreError as error:
            if version is None or self._has(name, version):
                raise
            raise StoreError(
                f"the version of {name} that was being read is retired",
                "read the newest version of the store",
            ) from error

    def _scan(
        self,
        name: str,
        version: int | None,
        *,
        columns: Sequence[str] | None,
        where: str | None,
    ) -> Iterator[pa.RecordBatch]:
        names = list(columns or schema_of(name).names)
        with lance_errors(f"reading {name}"):
            table = self._latest(name)
            if version is not None:
                table.checkout(version)
            # A query reads far ahead of a slow consumer (0.5 GB here); pages bound that.  With a
            # predicate the rows are few, and an offset would count those that pass.
            size = max(int(table.count_rows()), 1)
            for start in range(0, size if where is None else 1, _PAGE_ROWS):
                query = table.search().select(names)
                if where is not None:
                    query = query.where(where, prefilter=True)
                elif size > _PAGE_ROWS:
                    query = query.offset(start).limit(_PAGE_ROWS)
                for batch in query.to_batches(batch_size=_BATCH_ROWS):
                    # LanceDB may append columns of its own, such as _rowid.
                    yield batch.select(names)

    def read(
        self,
        name: str,
        version: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
    ) -> pa.Table:
        """Return what `scan` yields as one table."""
        schema = schema_of(name)
        if columns is not None:
            schema = pa.schema([schema.field(column) for column in columns])
        batches = self.scan(name, version, columns=columns, where=where)
        return pa.Table.from_batches(list(batches), schema=schema)

    def tag(self, name: str, tag: str, version: int) -> None:
        """Protect a Lance version of the table from cleaning."""
        with lance_errors(f"tagging {name}"):
            self._latest(name).tags.create(tag, version)

    def keep_only_tags(self, name: str, tags: set[str]) -> None:
        """Remove all tags of the table but `tags`."""
        with lance_errors(f"reading the tags of {name}"):
            table = self._latest(name)
            for tag in set(table.tags.list()) - tags:
                table.tags.delete(tag)

    def clean_before(self, name: str, version: int, *, unfinished: bool = True) -> None:
        """Remove the files that only Lance versions older than `version` need.

        With `unfinished`, also those of appends that have not ended, and that may go on, where the
        caller could have lost the lease; without, LanceDB keeps them for a week.

        Cleaning is by time, so of several versions made within one second some may stay, unless
        `version` is the newest.  No version from `version` on is removed, since those in use are
        tagged.  The caller holds the lease: files of an append in progress would be removed too.
        """
        table = self._latest(name)
        with lance_errors(f"listing the versions of {name}"):
            times = {row["version"]: row["timestamp"] for row in table.list_versions()}
        if version == max(times):
            self.clean_all_but_latest(name, unfinished=unfinished)
        if version not in times or version in {min(times), max(times)}:
            return
        # In the hour that occurs twice in autumn, astimezone takes the first: it cleans less.
        made = times[version].astimezone(dt.UTC)
        for margin_s in _MARGINS_S:
            age = dt.datetime.now(dt.UTC) - made + dt.timedelta(seconds=margin_s)
            try:
                table.optimize(cleanup_older_than=age, delete_unverified=unfinished)
            except RuntimeError as error:
                # The clock moved between `now` above and LanceDB's: ask for less.
                if "tagged version" not in str(error):
                    raise StoreError(f"cleaning {name} failed") from error
            else:
                return

    def clean_all_but_latest(self, name: str, *, unfinished: bool = True) -> None:
        """Remove every file that the newest version does not need; see `clean_before`.

        No tag may be left on an older version, and nobody may be reading one.
        """
        # A zero age warns; a version made in this very millisecond would be kept by one of 1 ms.
        time.sleep(0.005)
        with lance_errors(f"cleaning {name}"):
            self._latest(name).optimize(
                cleanup_older_than=dt.timedelta(milliseconds=1), delete_unverified=unfinished
            )

    def tidy_log(self, name: str) -> None:
        """Merge the files of a log table, whose every row stays.

        Readers take the newest version and read it at once, so ten minutes are ample for them.
        """
        # Merged first: a merge that has to be taken back must find the version that it was made of.
        for age in (_FOR_EVER, dt.timedelta(minutes=10)):
            with self._writing(f"merging {name}", name):
                self._latest(name).optimize(cleanup_older_than=age)

    def _has(self, name: str, version: int) -> bool:
        with lance_errors(f"listing the versions of {name}"):
            return version in {row["version"] for row in self._latest(name).list_versions()}

    def _at(self, name: str, version: int) -> Any:
        """Return the table with the rows of a version as its newest ones."""
        table = self._latest(name)
        if table.version != version:
            table.checkout(version)
            table.restore()
        return table

    @contextmanager
    def _writing(self, doing: str, name: str) -> Iterator[None]:
        """Write to a table for the block: whole, or not at all."""
        with lance_errors(doing), self.place.writing(*_split(name)):
            yield

    def _database(self, database: str) -> Any:
        if database not in self._databases:
            with lance_errors(f"opening {database}"):
                self._databases[database] = self.place.connect(database)
        return self._databases[database]

    def _latest(self, name: str) -> Any:
        database, last = _split(name)
        self.place.reach()
        with lance_errors(f"opening the table {name}"):
            return self._database(database).open_table(last)


def _split(name: str) -> tuple[str, str]:
    """Return the database and the table's name in it."""
    parent, _, last = name.rpartition("/")
    return parent or "tables", last
