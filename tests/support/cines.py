"""Cines for tests that need descriptions, not files."""

import datetime as dt
from dataclasses import replace
from typing import Any

from core.schema import Cine, View

BASE = Cine(
    sop_uid="1.2.3.1",
    study_uid="1.2.3",
    series_uid="1.2.3.0",
    patient_id="p1",
    patient_known=True,
    patient_sex="F",
    patient_age_years=61.0,
    study_date=dt.date(2025, 3, 1),
    series_time="101500.000000",
    acquisition_datetime=dt.datetime(2025, 3, 1, 10, 15),
    instance_number=1,
    view=View.LAO_CRANIAL,
    primary_angle_deg=40.0,
    secondary_angle_deg=25.0,
    n_frames=60,
    frame_time_ms=66.7,
    rows=512,
    columns=512,
    transfer_syntax_uid="1.2.840.10008.1.2.4.50",
    source_uri="file:///archive/1",
)


def make_cine(sop: str, study: str = "1.2.3", **changes: Any) -> Cine:
    facts = {"sop_uid": sop, "study_uid": study, "source_uri": f"file:///archive/{sop}"}
    return replace(BASE, **(facts | changes))
