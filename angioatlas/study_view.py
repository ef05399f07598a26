"""One wide row a study: what a predicate over studies may speak of."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from angioatlas.findings import LOGITS, probability
from core.labels import LabelKind
from core.segments import FINDINGS, SEGMENTS
from store.snapshot import Snapshot
from store.sql import matching

LVEF_WINDOW_DAYS: Final = 90
"""A measured ejection fraction is taken from so many days before or after a study."""


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


def study_view(snapshot: Snapshot, *, encoder_id: str | None = None) -> pa.Table:
    """Return one row a study, by study_uid.

    Parameters
    ----------
    snapshot : Snapshot
    encoder_id : str, optional
        Whose findings are wanted; they are there when the space has those of one set of heads.

    Returns
    -------
    pa.Table
        The columns of `studies`; n_views (distinct projections); exam_number (from 1) and n_exams
        of the patient; lvef_percent, the measurement nearest to the study within
        `LVEF_WINDOW_DAYS`; and per segment its findings, such as ``prox_lad_stenosis_percent`` and
        ``prox_lad_cto`` (a probability).
    """
    rows = snapshot.sql(exams_sql("commit_id, input_hash"))
    heads = snapshot.heads(encoder_id) if encoder_id in snapshot.spaces() and encoder_id else []
    if len(heads) != 1 or encoder_id is None:
        return rows
    found = snapshot.findings(encoder_id, heads[0])
    at = {uid: i for i, uid in enumerate(found["study_uid"].to_pylist())}
    take = pa.array([at.get(uid) for uid in rows["study_uid"].to_pylist()], pa.int64())
    for segment in SEGMENTS:
        for finding in FINDINGS:
            raw = found[f"{segment}_{finding.suffix}"].to_numpy()
            told = probability(raw) if finding.column in LOGITS else raw
            column = pa.array(np.asarray(told, np.float64), from_pandas=True).take(take)
            rows = rows.append_column(f"{segment}_{finding.column}", column)
    return rows


def studies_where(snapshot: Snapshot, where: str, *, encoder_id: str | None = None) -> list[str]:
    """Return the studies that a predicate holds for.

    Parameters
    ----------
    snapshot : Snapshot
    where : str
        One expression of DuckDB's SQL over the columns of `study_view`; a subquery may read
        ``videos`` and the label tables, reports excepted.
    encoder_id : str, optional

    Raises
    ------
    UsageError
        It is not one predicate, or names a column that is not there; the columns are listed.
    """
    labels = {
        kind.value: snapshot.labels(kind) for kind in LabelKind if kind is not LabelKind.REPORTS
    }
    view = study_view(snapshot, encoder_id=encoder_id)
    others = {**labels, "videos": snapshot.videos()}
    return list(matching("studies", view, where, others=others)["study_uid"].to_pylist())
