"""A map as it is shown; what it is made of is kept while somebody looks: colours change often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from analytics.maps.clusters import NONE, enriched, find_clusters
from analytics.maps.picture import ISLAND, Colour, MapFacts, MapPicture, make_picture
from angioatlas.by_position import ByPosition
from angioatlas.maps.colours import Known, known_of_studies
from angioatlas.maps.draw import dots_now
from angioatlas.maps.facts import known_findings
from core.errors import NotFoundError
from store.registry import SavedProjection
from store.snapshot import Snapshot


@final
@dataclass(frozen=True, eq=False)
class ShownMap:
    """A saved map as the store is now.

    Parameters
    ----------
    kept : ByPosition
        What was made of maps before; nobody may change what it holds.
    snapshot : Snapshot
    saved : SavedProjection
    """

    kept: ByPosition[Any]
    snapshot: Snapshot
    saved: SavedProjection

    @property
    def dots(self) -> pd.DataFrame:
        """All dots of the map, see `dots_now`; with cluster and study_date."""

        def make() -> pd.DataFrame:
            dots = dots_now(self.snapshot, self.saved)
            dots.insert(5, "cluster", find_clusters(dots[["x", "y"]].to_numpy(np.float32)))
            dates = self.known.dates.reindex(dots["study_uid"])
            return dots.assign(study_date=dates.to_numpy())

        found: pd.DataFrame = self.kept.once(("dots", self._id), self.snapshot, make)
        return found

    @property
    def known(self) -> Known:
        """What is known of all studies."""
        encoder_id = self.saved.encoder_id
        found: Known = self.kept.once(
            ("known", encoder_id),
            self.snapshot,
            lambda: known_of_studies(self.snapshot, encoder_id=encoder_id),
        )
        return found

    @property
    def islands(self) -> pd.DataFrame:
        """What is more or less frequent on each island, see `enriched`."""

        def make() -> pd.DataFrame:
            dots = self.dots
            findings = known_findings(self.snapshot, encoder_id=self.saved.encoder_id)
            of_dots = findings.reindex(dots["study_uid"]).reset_index(drop=True)
            return enriched(dots["cluster"].to_numpy(np.int64), of_dots)

        found: pd.DataFrame = self.kept.once(("islands", self._id), self.snapshot, make)
        return found

    @property
    def colours(self) -> list[Colour]:
        """What the dots may be coloured by."""
        return [_island(self.dots), *self.known.colours]

    def picture(self, colour: str, most: int) -> MapPicture:
        """Return the map as it is drawn.

        Raises
        ------
        NotFoundError
            There is nothing known to colour it by of this name.
        UsageError
            No dots are to be drawn.
        """
        named = {each.name: each for each in self.colours}
        if colour not in named:
            raise NotFoundError(
                f"nothing is known of {colour!r}, which dots were to be coloured by",
                f"`angioatlas map colours {self.saved.name}` lists what they can be coloured by",
            )
        if colour == ISLAND:
            on, levels = self.dots["cluster"], pd.Index(named[colour].levels)
            values = pd.Series(pd.Categorical.from_codes(on.to_numpy(int), categories=levels))
        else:
            of_studies = self.known.values(colour)
            values = of_studies.reindex(self.dots["study_uid"]).reset_index(drop=True)
        about = MapFacts(
            self.saved.name, self.saved.level, self.saved.encoder_id, self.snapshot.version
        )
        return make_picture(about, self.dots, named[colour], values, most=most)

    @property
    def _id(self) -> str:
        return self.saved.projection_id


def _island(dots: pd.DataFrame) -> Colour:
    count = int(dots["cluster"].max()) - NONE
    levels = tuple(str(number + 1) for number in range(count))
    return Colour(ISLAND, "Island", levels=levels, otherwise="on none")
