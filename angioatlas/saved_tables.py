"""Saved cohorts and maps as tables, one row a member or a dot, for exports."""

from __future__ import annotations

import json
from typing import Final

import pyarrow as pa

from store.registry import Registry
from store.store import Store

COHORTS: Final = pa.schema(
    [
        ("cohort", pa.string()),
        ("cohort_id", pa.string()),
        ("store_version", pa.int64()),
        ("study_uid", pa.string()),
        ("patient_id", pa.string()),
    ]
)
PROJECTIONS: Final = pa.schema(
    [
        ("projection", pa.string()),
        ("projection_id", pa.string()),
        ("method", pa.string()),
        ("level", pa.string()),
        ("store_version", pa.int64()),
        ("uid", pa.string()),
        ("patient_id", pa.string()),
        ("x", pa.float32()),
        ("y", pa.float32()),
    ]
)


def cohort_table(store: Store) -> pa.Table:
    """Return the index exams of every saved cohort."""
    parts = []
    for each in Registry(store.tables).cohorts():
        count = len(each.study_uids)
        parts.append(
            pa.table(
                [
                    [each.name] * count,
                    [each.cohort_id] * count,
                    [each.store_version] * count,
                    list(each.study_uids),
                    list(each.patient_ids),
                ],
                schema=COHORTS,
            )
        )
    return pa.concat_tables(parts) if parts else COHORTS.empty_table()


def projection_table(store: Store, encoder_id: str) -> pa.Table:
    """Return the dots of every saved map of an encoder's embeddings, as they were drawn."""
    parts = []
    for each in Registry(store.tables).projections():
        if each.encoder_id != encoder_id:
            continue
        count = len(each.uids)
        method = json.loads(each.description)["spec"]["method"]
        parts.append(
            pa.table(
                [
                    [each.name] * count,
                    [each.projection_id] * count,
                    [method] * count,
                    [each.level] * count,
                    [each.store_version] * count,
                    list(each.uids),
                    list(each.patient_ids),
                    list(each.x),
                    list(each.y),
                ],
                schema=PROJECTIONS,
            )
        )
    return pa.concat_tables(parts) if parts else PROJECTIONS.empty_table()
