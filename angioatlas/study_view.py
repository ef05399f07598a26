"""One wide row a study: what a predicate over studies may speak of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from angioatlas.findings import LOGITS, probability
from core.labels import LabelKind
from core.segments import FINDINGS, SEGMENTS, head_name
from store.snapshot import Snapshot
from store.sql import query
from store.tables import schema_of

LVEF_WINDOW_DAYS: Final = 90
"""A measured ejection fraction is taken from so many days before or after a study."""
_HIDDEN: Final = ("commit_id", "input_hash")
"""Columns of studies that are the store's own."""
_ADDED: Final = {
    "n_views": pa.int64(),
    "lvef_percent": pa.float64(),
    "exam_number": pa.int64(),
    "n_exams": pa.int64(),
}
"""What `exams_sql` adds to the columns of studies."""
_FINDINGS: Final = {
    f"{segment}_{finding.column}": head_name(segment, finding)
    for segment in SEGMENTS
    for finding in FINDINGS
}
"""Columns of findings, and the head that each is read from."""


def exams_sql(hidden: str) -> str:
    """Return the query for one row a study, over ``studies``, ``videos`` and ``measurements``.

    Parameters
    ----------
    hidden : str
        Names of the columns of ``studies`` that are left out.
    """
    return f"""
select s.* exclude ({hidden}), v.n_views, m.lvef_percent,
  row_number() over (partition by s.patient_id order by s.study_date, s.study_uid) as exam_number,
  count(*) over (partition by s.patient_id) as n_exams
from studies s
left join (
  select study_uid, count(distinct view) as n_views from videos group by study_uid
) v using (study_uid)
left join (
  select s.study_uid,
    first(m.value order by abs(date_diff('day', m.date, s.study_date)), m.date, m.id) lvef_percent
  from studies s join measurements m using (patient_id)
  where m.name = 'lvef_percent'
    and abs(date_diff('day', m.date, s.study_date)) <= {LVEF_WINDOW_DAYS}
  group by s.study_uid
) m using (study_uid)
order by s.study_uid
"""


def view_schema(snapshot: Snapshot, *, encoder_id: str | None = None) -> pa.Schema:
    """Return the columns that `study_view` has, without reading any."""
    own = [field for field in schema_of("studies") if field.name not in _HIDDEN]
    heads = _finding_heads(snapshot, encoder_id)
    columns = _FINDINGS if heads is not None else {}
    return pa.schema([*own, *_ADDED.items(), *((name, pa.float64()) for name in columns)])


def study_view(
    snapshot: Snapshot,
    *,
    encoder_id: str | None = None,
    names: Collection[str] | None = None,
) -> pa.Table:
    """Return one row a study, by study_uid.

    Parameters
    ----------
    snapshot : Snapshot
    encoder_id : str, optional
        Whose findings are wanted; they are there when the space has those of one set of heads.
    names : collection of str, optional
        Columns that are wanted beside study_uid, all by default.  Only what they are made of is
        read.

    Returns
    -------
    pa.Table
        The columns of `studies`; n_views (distinct projections); exam_number (from 1) and n_exams
        of the patient; lvef_percent, the measurement nearest to the study within
        `LVEF_WINDOW_DAYS`; and per segment its findings, such as ``prox_lad_stenosis_percent`` and
        ``prox_lad_cto`` (a probability).
    """
    schema = view_schema(snapshot, encoder_id=encoder_id)
    wanted = [name for name in schema.names if names is None or name in {*names, "study_uid"}]
    rows = _exams(snapshot, wanted)
    told = [name for name in wanted if name in _FINDINGS]
    heads = _finding_heads(snapshot, encoder_id)
    if told and heads is not None and encoder_id is not None:
        columns = [_FINDINGS[name] for name in told]
        found = snapshot.findings(encoder_id, heads, columns=columns)
        at = pc.index_in(rows["study_uid"], value_set=found["study_uid"])
        for name, head in zip(told, columns, strict=True):
            rows = rows.append_column(name, _told(found[head], name).take(at))
    return rows.select(wanted)


def _exams(snapshot: Snapshot, wanted: Collection[str]) -> pa.Table:
    """Return the wanted columns that are not findings, and study_uid."""
    studies = snapshot.studies()
    if not _ADDED.keys() & set(wanted):
        return studies
    # A table that nothing wanted is made of stays empty: reading it would take most of the time.
    videos = snapshot.videos() if "n_views" in wanted else schema_of("videos").empty_table()
    measured = schema_of("measurements").empty_table()
    if "lvef_percent" in wanted:
        measured = snapshot.labels(LabelKind.MEASUREMENTS)
    sql = exams_sql(", ".join(_HIDDEN))
    return query(sql, studies=studies, videos=videos, measurements=measured)


def _told(raw: pa.ChunkedArray, name: str) -> pa.Array:
    values = raw.to_numpy()
    is_logit = any(name.endswith(f"_{column}") for column in LOGITS)
    told = probability(values) if is_logit else values
    return pa.array(np.asarray(told, np.float64), from_pandas=True)


def _finding_heads(snapshot: Snapshot, encoder_id: str | None) -> str | None:
    """Return the set of heads that a space has findings of, None when it is not one."""
    if encoder_id is None or encoder_id not in snapshot.spaces():
        return None
    heads = snapshot.heads(encoder_id)
    return heads[0] if len(heads) == 1 else None
