"""Serial exams as a table, one row a pair, for exports."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from analytics.cohort import CohortDefinition, IndexRule
from angioatlas.cohorts import choose
from core.errors import UsageError
from embedder.encoders.spec import TextEmbedder
from store.snapshot import Snapshot
from store.store import Store

PAIRS: Final = pa.schema(
    [
        ("patient_id", pa.string()),
        ("number", pa.int64()),
        ("prior_uid", pa.string()),
        ("study_uid", pa.string()),
        ("prior_date", pa.date32()),
        ("date", pa.date32()),
        ("days", pa.int64()),
        ("treatment", pa.string()),
        ("treated_segments", pa.list_(pa.string())),
        ("events", pa.int64()),
        ("change", pa.float64()),
        ("score", pa.float64()),
        ("p", pa.float64()),
        ("beyond", pa.bool_()),
        ("unchanged", pa.bool_()),
        ("toward_disease", pa.float64()),
        ("known_segments", pa.int64()),
        ("new_disease", pa.int64()),
        ("worsened", pa.int64()),
        ("max_increase", pa.float64()),
        ("net_change", pa.float64()),
        ("absolute_change", pa.float64()),
        ("treated_change", pa.float64()),
        ("progressed", pa.bool_()),
        ("floor", pa.string()),
        ("threshold", pa.float64()),
    ]
)
_COUNTS: Final = ("known_segments", "new_disease", "worsened")


def progression_table(
    store: Store, snapshot: Snapshot, *, encoder_id: str, reader: TextEmbedder | None
) -> pa.Table:
    """Return every exam of a snapshot that follows another one of its patient, with its scores.

    What `angioatlas progression` says of everybody, by its defaults; without rows where there is
    too little for a noise floor.
    """
    from angioatlas.progression.study import scored_pairs, with_plain_dates

    everybody = CohortDefinition(None, None, IndexRule("every"), None)
    try:
        cohort = choose(store, snapshot, everybody)
        floor, pairs = scored_pairs(
            store, cohort, encoder_id=encoder_id, reader=reader, source="auto"
        )
    except UsageError:
        return PAIRS.empty_table()
    pairs = with_plain_dates(pairs).assign(floor=floor.source, threshold=floor.threshold)
    pairs = pairs.reindex(columns=PAIRS.names).astype(dict.fromkeys(_COUNTS, "Int64"))
    return pa.Table.from_pandas(pairs, PAIRS, preserve_index=False)
