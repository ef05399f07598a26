"""What the Atlas does with maps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from analytics.maps.inside import Area, inside
from analytics.maps.picture import ISLAND, MOST_DOTS, Colour, MapPicture
from angioatlas.access.audit import Action
from angioatlas.access.recording import audited
from angioatlas.by_position import ByPosition
from angioatlas.cohort_studies import CohortStudies
from angioatlas.cohorts import CohortMembers
from angioatlas.spaces import choose_space
from core.schema import Level
from core.settings import Settings
from store.registry import PROJECTIONS, Registry, SavedProjection
from store.snapshot import Snapshot
from store.store import Store

if TYPE_CHECKING:
    # The estimators take seconds to import: who searches does without them.
    from analytics.maps.projection import MapSpec
    from angioatlas.maps.draw import MapResult
    from angioatlas.maps.shown import ShownMap


class Maps(CohortStudies):
    """Maps; a part of `Atlas`, made like it."""

    def __init__(self, store: Store, settings: Settings, version: int | None = None) -> None:
        super().__init__(store, settings, version)
        self._maps: ByPosition[Any] = ByPosition()

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
        from angioatlas.maps.draw import draw

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
            return self._told(snapshot, saved, ISLAND)

    @audited(Action.READ, "name", "colour")
    def map(self, name: str, *, colour: str = ISLAND) -> MapResult:
        """Show a saved map with what the store has now; what came later is placed on it.

        Parameters
        ----------
        name : str
        colour : str
            Of its picture; the name of one of `map_colours`.
        """
        with self._shown(name) as shown:
            return self._told(shown.snapshot, shown.saved, colour)

    @audited(Action.READ, "name")
    def map_colours(self, name: str) -> list[Colour]:
        """Return what the dots of a saved map can be coloured by: what the store knows of some."""
        with self._shown(name) as shown:
            return shown.colours

    @audited(Action.READ, "name", "colour", "most")
    def map_picture(self, name: str, *, colour: str = ISLAND, most: int = MOST_DOTS) -> MapPicture:
        """Return what a saved map is drawn from, as the store is now.

        The first picture of a position of the store takes longer than those after it.

        Parameters
        ----------
        name : str
        colour : str
            The name of one of `map_colours`.
        most : int
            Dots that are drawn; of more a sample is, before the density of all.

        Raises
        ------
        NotFoundError
            There is no such map, or no such colour.
        UsageError
            No dots are to be drawn.
        """
        with self._shown(name) as shown:
            return shown.picture(colour, most)

    @audited(Action.READ, "name")
    def studies_on_map(self, name: str, areas: Sequence[Area]) -> list[str]:
        """Return whose dots lie in areas of a saved map, of all dots, drawn or not.

        Parameters
        ----------
        name : str
        areas : sequence of Area
            Boxes and polygons; a dot in any of them counts.

        Returns
        -------
        list of str
            study_uid, each once, sorted.  Of a map of videos: studies with any video in an area.

        Raises
        ------
        UsageError
            There are too many areas or vertices.
        """
        with self._shown(name) as shown:
            dots = shown.dots
            return sorted({*dots.loc[inside(dots[["x", "y"]], areas), "study_uid"]})

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
        self._maps.clear()

    @contextmanager
    def _shown(self, name: str) -> Iterator[ShownMap]:
        from angioatlas.maps.shown import ShownMap

        with self.snapshot() as snapshot:
            yield ShownMap(self._maps, snapshot, Registry(self.store.tables).projection(name))

    def _told(self, snapshot: Snapshot, saved: SavedProjection, colour: str) -> MapResult:
        from angioatlas.maps.draw import told
        from angioatlas.maps.shown import ShownMap

        shown = ShownMap(self._maps, snapshot, saved)
        picture = shown.picture(colour, MOST_DOTS)
        return told(snapshot, saved, shown.dots.copy(), picture, shown.islands)
