"""What the Atlas does with maps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from angioatlas.access.audit import Action
from angioatlas.access.recording import audited
from angioatlas.cohort_studies import CohortStudies
from angioatlas.cohorts import CohortMembers
from angioatlas.spaces import choose_space
from core.schema import Level
from store.registry import PROJECTIONS, Registry

if TYPE_CHECKING:
    # The estimators take seconds to import: who searches does without them.
    from analytics.maps.projection import MapSpec
    from angioatlas.maps.draw import MapResult


class Maps(CohortStudies):
    """Maps; a part of `Atlas`, made like it."""

    @audited(Action.WRITE, "name", "level")
    def draw_map(
        self,
        name: str,
        *,
        spec: MapSpec | None = None,
        level: Level | str = Level.STUDY,
        cohort: str | CohortMembers | None = None,
        encoder: str | None = None,
    ) -> MapResult:
        """Draw a map of studies or videos, save it, and show it.

        Parameters
        ----------
        name : str
        spec : MapSpec, optional
            UMAP with the defaults when absent.
        level : Level
        cohort : str, CohortMembers or None
            Whose index exams are drawn; everything that is visible when None.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.

        Raises
        ------
        UsageError
            There is too little to draw, or the name is another map's.
        """
        from analytics.maps.projection import MapSpec
        from angioatlas.maps.draw import draw, show

        members = self.cohort(cohort) if isinstance(cohort, str) else cohort
        with self.snapshot() as snapshot:
            saved = draw(
                self.store,
                snapshot,
                name,
                spec or MapSpec(),
                encoder_id=choose_space(snapshot, encoder, self.settings),
                level=Level(level),
                members=None if members is None else members.members["study_uid"].tolist(),
            )
            return show(snapshot, saved)

    @audited(Action.READ, "name")
    def map(self, name: str) -> MapResult:
        """Show a saved map with what the store has now; what came later is placed on it."""
        from angioatlas.maps.draw import show

        with self.snapshot() as snapshot:
            return show(snapshot, Registry(self.store.tables).projection(name))

    @audited(Action.READ, refusals_only=True)
    def maps(self) -> pd.DataFrame:
        """Describe the saved maps, one a row, by name."""
        rows = []
        for each in Registry(self.store.tables).projections():
            told = json.loads(each.description)
            rows.append(
                {
                    "name": each.name,
                    "map_id": each.projection_id,
                    "method": told["spec"]["method"],
                    "level": each.level,
                    "dots": len(each.uids),
                    "trustworthiness": told["quality"]["trustworthiness"],
                    "encoder_id": each.encoder_id,
                    "store_version": each.store_version,
                    "created_at": each.created_at,
                }
            )
        return pd.DataFrame(rows)

    @audited(Action.WRITE, "name")
    def drop_map(self, name: str) -> None:
        """Delete a saved map."""
        Registry(self.store.tables).drop(PROJECTIONS, name)
