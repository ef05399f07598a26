"""What a version shows, as far as somebody asked for it.

A table is read whole when it is first asked for.  Where an older version was read already, little
has to be: a commit touches few studies, and the rules of `store.visibility` hold study by study.
So of the older version the rows of all other studies are taken over, and those of the touched ones
are read by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import StoreError
from core.labels import LabelKind
from core.once import Once
from core.schema import Level
from store.commits import COMPACT, PURGE, CommitRecord
from store.tables import Tables, space_table
from store.tombstones import Tombstones
from store.visibility import (
    Facts,
    VersionRows,
    by_commit,
    commit_order,
    read_facts,
    read_finding_keys,
    read_inputs,
    read_labels,
    read_study_keys,
    read_video_keys,
    read_videos,
)

T = TypeVar("T")
_MOST_TOUCHED: Final = 5000
"""Where more studies than this were touched, a version is read whole: that is as fast."""
_SEPARATOR: Final = "\x1f"


@final
class Visible:
    """The visible rows of one version; threads may share it.

    Parameters
    ----------
    tables : Tables
    records : sequence of CommitRecord
        All commits, by version.
    commit : CommitRecord
        The one whose version it is.
    tombstones : Tombstones
    studies : sequence of str, optional
        These alone; inputs and labels are not to be asked for then.

    Attributes
    ----------
    rows : VersionRows
        Where it is read.
    is_closed : bool
        What was read can be had still, and nothing is read any more.
    """

    def __init__(
        self,
        tables: Tables,
        records: Sequence[CommitRecord],
        commit: CommitRecord,
        tombstones: Tombstones,
        *,
        studies: Sequence[str] | None = None,
    ) -> None:
        self.rows = VersionRows(tables, commit.table_versions, studies)
        self._records = records
        self._commit = commit
        self._commits = commit_order(records, commit.version)
        self._tombstones = tombstones
        self._is_exact = True
        # "facts", "videos", (encoder_id, level), (encoder_id, "findings"), kinds of labels.
        self._read = Once()
        self.is_closed = False

    def check_open(self) -> None:
        """Refuse to read what is closed.

        Raises
        ------
        StoreError
            When it is.
        """
        if self.is_closed:
            raise StoreError(f"the snapshot of version {self._commit.version} is closed")

    def _once(self, name: Hashable, read: Callable[[], T]) -> T:
        def read_if_open() -> T:
            self.check_open()
            return read()

        return self._read.get(name, read_if_open)

    def facts(self) -> Facts:
        """Return the visible rows of `studies`, and what hides others."""
        return self._once("facts", lambda: read_facts(self.rows, self._commits, self._tombstones))

    def videos(self) -> pa.Table:
        """Return the visible rows of `videos`, by sop_uid."""
        return self._once("videos", lambda: read_videos(self.rows, self.facts()))

    def inputs(self) -> pa.Table:
        """Return the visible rows of `inputs`, by uri; read anew whenever it is asked for."""
        self.check_open()
        return read_inputs(self.rows, self.facts())

    def labels(self, kind: LabelKind) -> pa.Table:
        """Return the visible rows of a label table, by row_id."""
        return self._once(
            kind,
            lambda: read_labels(
                self.rows, kind.value, facts=self.facts(), tombstones=self._tombstones
            ),
        )

    def keys(self, encoder_id: str, level: Level) -> pa.Table:
        """Return uid, study_uid, patient_id and commit_id of a space's visible rows, by uid."""

        def read() -> pa.Table:
            if level is Level.STUDY:
                return read_study_keys(self.rows, encoder_id, self.facts())
            return read_video_keys(self.rows, encoder_id, self.keys(encoder_id, Level.STUDY))

        return self._once((encoder_id, level), read)

    def finding_keys(self, encoder_id: str) -> pa.Table:
        """Return heads_id, study_uid and commit_id of a space's visible findings, in this order."""
        return self._once(
            (encoder_id, "findings"),
            lambda: read_finding_keys(self.rows, encoder_id, self.facts()),
        )

    def hiding(self, tombstones: Tombstones) -> Visible:
        """Return what is left of what was read without the patients who were deleted since.

        Nothing is read from the store.  Studies, videos and vectors are as there; only inputs and
        labels of studies that nobody sees any more and that once were a deleted patient's may still
        be shown.
        """
        other = Visible(self.rows.tables, self._records, self._commit, tombstones)
        other._is_exact = False
        facts = self.facts()
        deleted = tombstones.among(facts.studies["patient_id"].unique().to_pylist())
        seen, gone = _split(facts.studies, deleted)
        hidden = [facts.hidden_studies, gone.select(["study_uid"])]
        other._read.put(
            "facts",
            Facts(seen, facts.commits, pa.concat_tables(hidden, promote_options="permissive")),
        )
        for name, rows in self._read.made().items():
            match name:
                case "videos" | (str(), Level()):
                    other._read.put(name, _split(rows, deleted)[0])
        return other

    def take_over(self, older: Visible) -> None:
        """Read what an older version has read, anew only of studies that were touched since.

        Parameters
        ----------
        older : Visible
            Of this version or one before; where nothing can be taken over, nothing is done.
        """
        made = older._read.made()
        touched = self._touched_since(older) if older._is_exact and "facts" in made else None
        if touched is None:
            return
        part = Visible(
            self.rows.tables, self._records, self._commit, self._tombstones, studies=touched
        )
        for name, rows in made.items():
            taken: object
            match name:
                case "facts":
                    found = part.facts()
                    studies = _joined(rows.studies, found.studies, touched, "study_uid")
                    taken = Facts(studies, self._commits, found.hidden_studies)
                case "videos":
                    taken = _joined(rows, part.videos(), touched, "sop_uid")
                case (str(encoder_id), Level() as level):
                    taken = _joined(rows, part.keys(encoder_id, level), touched, "uid")
                case (str(encoder_id), "findings"):
                    found_keys = part.finding_keys(encoder_id)
                    taken = _joined(rows, found_keys, touched, "heads_id", "study_uid")
                case _:  # labels are few, and not of studies alone
                    continue
            self._read.put(name, taken)

    def _touched_since(self, older: Visible) -> list[str] | None:
        """Return studies of which something else may be visible; None where they cannot be told."""
        since = [
            record
            for record in self._records
            if older._commit.version < record.version <= self._commit.version
        ]
        new = by_commit({record.commit_id for record in since})
        if older._commit.version > self._commit.version or new is None:
            return None
        # What hides them may have gone since, so they are looked at every time.
        touched = set(older.facts().hidden_studies["study_uid"].to_pylist())
        if len(self._tombstones) != len(older._tombstones):
            touched |= self._of_deleted(older)
        rewritten = any(record.kind in {COMPACT, PURGE} for record in since)
        for name, seen in older._seen().items():
            if self.rows.at.get(name) == older.rows.at.get(name):
                continue
            columns = ["study_uid", "commit_id"]
            if rewritten:
                # Rows that said that a study was gone may be gone themselves.
                touched |= _difference(seen, self.rows.read(name, columns=columns))
            else:
                found = self.rows.tables.read(
                    name, self.rows.at[name], columns=columns[:1], where=new
                )
                touched |= set(found["study_uid"].to_pylist())
        return sorted(touched) if len(touched) <= _MOST_TOUCHED else None

    def _seen(self) -> dict[str, pa.Table]:
        """Return study_uid and commit_id of what is visible, by the table whose rows they are."""
        found = {"studies": self.facts().studies.select(["study_uid", "commit_id"])}
        for name, rows in self._read.made().items():
            match name:
                case (str(encoder_id), Level.STUDY):
                    table = space_table(encoder_id, "study_vectors")
                case (str(encoder_id), "findings"):
                    table = space_table(encoder_id, "findings")
                case _:  # a commit that brings videos of a study brings its row and its vector
                    continue
            found[table] = rows.select(["study_uid", "commit_id"])
        return found

    def _of_deleted(self, older: Visible) -> set[str]:
        """Return the studies that are, or ever were, a deleted patient's."""
        columns = ["study_uid", "patient_id"]
        rows = pa.concat_tables(
            [older.facts().studies.select(columns), self.rows.read("studies", columns=columns)],
            promote_options="permissive",
        )
        deleted = self._tombstones.among(rows["patient_id"].unique().to_pylist())
        return set(_split(rows, deleted)[1]["study_uid"].to_pylist())


def _split(rows: pa.Table, deleted: list[str]) -> tuple[pa.Table, pa.Table]:
    """Part the rows of other patients from those of deleted ones."""
    hidden = pc.is_in(rows["patient_id"], value_set=pa.array(deleted, pa.string()))
    return rows.filter(pc.invert(hidden)), rows.filter(hidden)


def _joined(rows: pa.Table, others: pa.Table, without: list[str], *order: str) -> pa.Table:
    """Return the rows of all studies but some, and those of `others`, in an order of columns."""
    gone = pc.is_in(rows["study_uid"], value_set=pa.array(without, pa.string()))
    kept = np.flatnonzero(~gone.to_numpy())
    both = pa.concat_tables([rows, others.cast(rows.schema)])
    chosen = pa.array(np.append(kept, np.arange(rows.num_rows, both.num_rows)))
    by = both.select(order).take(chosen)
    ranked = chosen.take(pc.sort_indices(by, [(name, "ascending") for name in order]))
    # In one piece, as what a query gives: of several, taking a few rows would join them every time.
    return both.take(ranked).combine_chunks()


def _difference(one: pa.Table, other: pa.Table) -> set[str]:
    """Return the studies of the pairs (study_uid, commit_id) that are in one table alone."""

    def pairs(rows: pa.Table) -> pa.ChunkedArray:
        return pc.binary_join_element_wise(rows["study_uid"], rows["commit_id"], _SEPARATOR)

    a, b = pairs(one), pairs(other)
    alone = [
        one["study_uid"].filter(pc.invert(pc.is_in(a, value_set=b))),
        other["study_uid"].filter(pc.invert(pc.is_in(b, value_set=a))),
    ]
    return {uid for column in alone for uid in column.to_pylist()}
