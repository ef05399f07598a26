"""A study of serial exams of a cohort: done, reported, written as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, final

import pandas as pd

from analytics.progression.change import NoiseFloor
from analytics.progression.study import Plan, ProgressionStudy, run_study, score_pairs
from analytics.report.document import Document
from analytics.report.progression import progression_report
from angioatlas.cohorts import CohortMembers
from angioatlas.progression.gather import gather
from angioatlas.report_files import Reported
from embedder.encoders.spec import TextEmbedder
from store.registry import SavedProjection
from store.store import Store


@final
@dataclass(frozen=True, eq=False)
class ProgressionResult(Reported):
    """A study of a store.

    Attributes
    ----------
    study : ProgressionStudy
    cohort_id : str
    encoder_id : str
    """

    study: ProgressionStudy
    cohort_id: str
    encoder_id: str

    def pairs(self) -> pd.DataFrame:
        """Return every pair of exams, a row each, with lists as words."""
        pairs = with_plain_dates(self.study.pairs)
        return pairs.assign(treated_segments=pairs["treated_segments"].map(" ".join))

    def trajectories(self) -> pd.DataFrame:
        """Return every exam, a row each: where it stands on the plane and along each axis."""
        table = self.study.positions
        return table.assign(date=table["date"].dt.date)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        found: dict[str, Any] = json.loads(self.document().json())
        return found

    def document(self) -> Document:
        """Return the report."""
        return progression_report(self.study)


def progression(
    store: Store,
    cohort: CohortMembers,
    plan: Plan,
    *,
    encoder_id: str,
    reader: TextEmbedder | None,
    source: str = "auto",
    direction: str = "auto",
    on_map: SavedProjection | None = None,
) -> ProgressionResult:
    """Do a study of a cohort, on the store version that the cohort was chosen from.

    Parameters
    ----------
    store : Store
    cohort : CohortMembers
        With every exam of its patients.
    plan : Plan
    encoder_id : str
    reader : TextEmbedder or None
        For the direction toward disease.
    source, direction, on_map
        See `angioatlas.progression.gather.gather`.

    Raises
    ------
    UsageError
        There is too little to work with.
    """
    with store.snapshot(cohort.store_version) as snapshot:
        inputs = gather(
            store,
            snapshot,
            cohort,
            encoder_id=encoder_id,
            reader=reader,
            source=source,
            direction=direction,
            on_map=on_map,
        )
    return ProgressionResult(run_study(plan, inputs), cohort.cohort_id, encoder_id)


def scored_pairs(
    store: Store,
    cohort: CohortMembers,
    *,
    encoder_id: str,
    reader: TextEmbedder | None = None,
    source: str = "none",
) -> tuple[NoiseFloor, pd.DataFrame]:
    """Return the noise floor and the pairs of exams of a cohort, and nothing that takes long.

    Parameters and errors are those of `progression`.
    """
    with store.snapshot(cohort.store_version) as snapshot:
        inputs = gather(
            store, snapshot, cohort, encoder_id=encoder_id, reader=reader, source=source
        )
    return score_pairs(Plan(), inputs)


def with_plain_dates(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of exams whose dates have no time of day."""
    return pairs.assign(**{name: pairs[name].dt.date for name in ("prior_date", "date")})
