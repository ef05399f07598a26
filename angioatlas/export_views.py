"""Views of an exported database: what researchers would otherwise join by hand."""

from __future__ import annotations

from typing import Final

from angioatlas.study_view import exams_sql

_LABELS: Final = """
select 'event' as label, patient_id, null::varchar as study_uid, date, kind as name,
  null::double as value, source as text
from events
union all select 'follow_up', patient_id, null, last_known_date, status, null, null from follow_up
union all select 'measurement', patient_id, study_uid, date, name, value, unit from measurements
union all
select 'procedure', patient_id, null, date, kind, null, array_to_string(segments, ' ')
from procedures
union all
select 'covariate', patient_id, null, date, name, try_cast(value as double), value from covariates
"""

_TIMELINE: Final = """
with dated as (
  select patient_id, date, 'event' as kind, name as what, value, study_uid, 1 as place
  from labels where label = 'event'
  union all
  select patient_id, study_date, 'exam', 'exam', null, study_uid, 2 from studies
  union all
  select patient_id, date, 'change', 'change since the exam before', score, study_uid, 3
  from progression
  union all
  select patient_id, date, 'measurement', name, value, study_uid, 4
  from labels where label = 'measurement'
  union all
  select patient_id, date, 'procedure', concat_ws(' ', name, nullif(text, '')), null, null, 5
  from labels where label = 'procedure'
)
select * exclude (place) from dated where date is not null
order by patient_id, date, place, what
"""

VIEWS: Final = {"labels": _LABELS, "exams": exams_sql("embedding"), "timeline": _TIMELINE}
"""By name, in an order in which each may read the ones before it."""
