"""Which rows a search may find: a predicate over what is known of studies and videos."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from angioatlas.study_view import study_view
from core.schema import UID_COLUMN, Level
from store.predicate import compiled, kinds_of
from store.snapshot import Snapshot
from store.sql import matching

ALIASES: Final = {"age": "patient_age_years", "sex": "patient_sex", "date": "study_date"}
"""Short names that a predicate may use."""
_HIDDEN: Final = ("commit_id", "input_hash", "source_uri")
"""Columns of videos that are the store's own, or may name patients."""


def filter_view(snapshot: Snapshot, level: Level, *, encoder_id: str) -> pa.Table:
    """Return one row a study or video, with the columns that a filter may name.

    Of studies those of `angioatlas.study_view.study_view`; of videos their own, and after them
    those of their study.
    """
    studies = study_view(snapshot, encoder_id=encoder_id)
    if level is Level.STUDY:
        return studies
    videos = snapshot.videos()
    videos = videos.drop_columns([name for name in _HIDDEN if name in videos.column_names])
    of = pc.index_in(videos["study_uid"], value_set=studies["study_uid"])
    for name in studies.column_names:
        if name not in videos.column_names:
            videos = videos.append_column(name, studies[name].take(of))
    return videos


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
        See `store.predicate.compiled`; names of columns are those of `filter_view`, and `ALIASES`.
    level : Level
    encoder_id : str

    Raises
    ------
    UsageError
        It is not a predicate, or names a column that is not there; the columns are listed.
    """
    rows = filter_view(snapshot, level, encoder_id=encoder_id)
    return satisfying(rows, keys["uid"], where, level=level)


def satisfying(
    rows: pa.Table, uids: pa.ChunkedArray, where: str, *, level: Level
) -> NDArray[np.bool_]:
    """Tell for which of `uids` a predicate over the rows of a `filter_view` holds, bool (uids,)."""
    sql = compiled(where, kinds_of(rows.schema), aliases=ALIASES)
    found = matching(level.value, rows, sql)[UID_COLUMN[level]]
    wanted: NDArray[np.bool_] = pc.is_in(uids, value_set=found).to_numpy()
    return wanted
