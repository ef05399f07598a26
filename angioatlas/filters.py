"""Which rows a search may find: a predicate over what is known of studies and videos."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from angioatlas.study_view import study_view, view_schema
from core.errors import UsageError
from core.labels import LabelKind
from core.schema import UID_COLUMN, Level
from store.predicate import Predicate, kinds_of, understood
from store.snapshot import Snapshot
from store.sql import matching, satisfying
from store.tables import schema_of

ALIASES: Final = {"age": "patient_age_years", "sex": "patient_sex", "date": "study_date"}
"""Short names that a predicate may use."""
HIDDEN: Final = ("commit_id", "input_hash", "source_uri")
"""Columns of videos that are the store's own, or may name patients."""


def filter_schema(snapshot: Snapshot, level: Level, *, encoder_id: str) -> pa.Schema:
    """Return the columns that `filter_view` has, without reading any."""
    studies = view_schema(snapshot, encoder_id=encoder_id)
    if level is Level.STUDY:
        return studies
    own = [field for field in schema_of("videos") if field.name not in HIDDEN]
    names = {field.name for field in own}
    return pa.schema([*own, *(field for field in studies if field.name not in names)])


def filter_view(
    snapshot: Snapshot, level: Level, *, encoder_id: str, names: Collection[str] | None = None
) -> pa.Table:
    """Return one row a study or video, with the columns that a filter may name.

    Of studies those of `angioatlas.study_view.study_view`; of videos their own, and after them
    those of their study.

    Parameters
    ----------
    snapshot : Snapshot
    level : Level
    encoder_id : str
    names : collection of str, optional
        Columns that are wanted beside the uid, all by default.  Only what they are made of is read.
    """
    if level is Level.STUDY:
        return study_view(snapshot, encoder_id=encoder_id, names=names)
    schema = filter_schema(snapshot, level, encoder_id=encoder_id)
    uid = UID_COLUMN[level]
    wanted = [name for name in schema.names if names is None or name in {*names, uid}]
    videos = snapshot.videos()
    of_study = [name for name in wanted if name not in videos.column_names]
    if of_study:
        studies = study_view(snapshot, encoder_id=encoder_id, names=of_study)
        of = pc.index_in(videos["study_uid"], value_set=studies["study_uid"])
        for name in of_study:
            videos = videos.append_column(name, studies[name].take(of))
    return videos.select(wanted)


def columns_of_view(
    snapshot: Snapshot, level: Level, encoder_id: str
) -> Callable[[frozenset[str]], pa.Table]:
    """Return what makes, of names, the columns of a `filter_view` that have them, each set once."""
    return cache(lambda names: filter_view(snapshot, level, encoder_id=encoder_id, names=names))


def rows_where(
    snapshot: Snapshot, keys: pa.Table, where: str, *, level: Level, encoder_id: str
) -> NDArray[np.bool_]:
    """Tell which rows of an encoder's keys a predicate holds for, bool (rows,).

    Parameters
    ----------
    snapshot : Snapshot
    keys : pa.Table
        Of `Snapshot.keys`.
    where : str
        See `store.predicate.understood`; names of columns are those of `filter_view`, and
        `ALIASES`.
    level : Level
    encoder_id : str

    Raises
    ------
    UsageError
        It is not a predicate, or names a column that is not there; the columns are listed.
    """
    columns = kinds_of(filter_schema(snapshot, level, encoder_id=encoder_id))
    predicate = understood(where, columns, aliases=ALIASES)
    rows = filter_view(snapshot, level, encoder_id=encoder_id, names=predicate.names)
    return _holding(rows, predicate, keys["uid"], level)


def rows_of_view_where(
    view: pa.Table, uids: pa.ChunkedArray, where: str, *, level: Level
) -> NDArray[np.bool_]:
    """Tell for which of `uids` a predicate holds over a `filter_view` that is at hand."""
    predicate = understood(where, kinds_of(view.schema), aliases=ALIASES)
    return _holding(view, predicate, uids, level)


def _holding(
    rows: pa.Table, predicate: Predicate, uids: pa.ChunkedArray, level: Level
) -> NDArray[np.bool_]:
    found = satisfying(rows, predicate, UID_COLUMN[level])
    wanted: NDArray[np.bool_] = pc.is_in(uids, value_set=found).to_numpy()
    return wanted


def studies_where(
    snapshot: Snapshot, where: str, *, encoder_id: str | None = None, any_sql: bool = True
) -> list[str]:
    """Return the studies that a predicate holds for, whether or not they have vectors.

    Parameters
    ----------
    snapshot : Snapshot
    where : str
        As for `rows_where`.
    encoder_id : str, optional
        Whose findings it may speak of.
    any_sql : bool
        It may be any one expression of DuckDB's SQL over the columns of `study_view`; a subquery
        may read ``videos`` and the label tables, reports excepted.  Such an expression may take as
        long as it likes: none of somebody who asks from elsewhere.

    Raises
    ------
    UsageError
        It is not one predicate, or names a column that is not there; the columns are listed.
    """
    columns = kinds_of(view_schema(snapshot, encoder_id=encoder_id))
    try:
        predicate = understood(where, columns, aliases=ALIASES)
    except UsageError:
        if not any_sql:
            raise
        view = study_view(snapshot, encoder_id=encoder_id)
        labels = {
            kind.value: snapshot.labels(kind) for kind in LabelKind if kind is not LabelKind.REPORTS
        }
        found = matching("studies", view, where, others={**labels, "videos": snapshot.videos()})
        return list(found["study_uid"].to_pylist())
    rows = study_view(snapshot, encoder_id=encoder_id, names=predicate.names)
    return list(satisfying(rows, predicate, "study_uid").to_pylist())
