"""A map as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import pandas as pd
import plotly.graph_objects as go

from analytics.maps.clusters import NONE
from analytics.maps.quality import MapQuality
from analytics.report.blocks import facts
from analytics.report.document import Block, Document, Section
from analytics.report.style import COLOURS, GREY, styled

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
_MOST_DOTS = 50_000


@final
@dataclass(frozen=True, eq=False)
class MapFacts:
    """What a page tells.

    Attributes
    ----------
    name : str
    dots : DataFrame
        uid, x, y, cluster, placed.
    islands : DataFrame
        See `analytics.maps.clusters.enriched`.
    quality : MapQuality
    about : mapping
    """

    name: str
    dots: pd.DataFrame
    islands: pd.DataFrame
    quality: MapQuality
    about: Mapping[str, Any]


def map_report(told: MapFacts) -> Document:
    """Return a map with its islands."""
    quality = told.quality
    dots = told.dots
    kept = (
        f"Of the {quality.neighbours} nearest in the embeddings, {quality.overlap:.0%} are among "
        f"the nearest on the map; trustworthiness {quality.trustworthiness:.3f} ({quality.rows:,} "
        "dots looked at). Distances between islands mean little."
    )
    sizes = (
        dots.groupby("cluster", as_index=False)
        .agg(dots=("uid", "size"), patients=("patient_id", "nunique"))
        .assign(cluster=lambda rows: rows["cluster"].map(_named))
        .rename(columns={"cluster": "island"})
    )
    islands = told.islands.assign(cluster=told.islands["cluster"].map(_named))
    return Document(
        title=f"Map {told.name}",
        subtitle=f"{len(dots):,} {told.about['level']} embeddings of {told.about['encoder_id']}.",
        sections=[
            Section("Map", [Block(picture(dots)), Block(kept)]),
            Section(
                "Islands",
                [
                    Block(sizes, "Groups of dots; – belongs to none"),
                    Block(
                        islands.rename(columns={"cluster": "island"}),
                        "What is more or less frequent on an island than elsewhere (Fisher's exact "
                        "test, q by Benjamini and Hochberg; exams of one patient count one each)",
                    )
                    if len(islands)
                    else Block("Nothing that is known is more frequent on one than elsewhere."),
                ],
            ),
            Section("Provenance", [Block(facts(told.about))]),
        ],
        data={
            "about": dict(told.about),
            "quality": asdict(quality),
            "islands": told.islands,
            "sizes": sizes,
        },
    )


def picture(dots: pd.DataFrame) -> go.Figure:
    """Draw the dots, each island with a colour and a shape of its own."""
    shown = dots if len(dots) <= _MOST_DOTS else dots.sample(_MOST_DOTS, random_state=0)
    figure = go.Figure()
    for number in sorted(shown["cluster"].unique().tolist()):
        rows = shown[shown["cluster"] == number]
        figure.add_scattergl(
            x=rows["x"].round(3),
            y=rows["y"].round(3),
            mode="markers",
            name=_named(number) if number != NONE else "none",
            marker={
                "size": 5,
                "opacity": 0.6,
                "color": GREY if number == NONE else COLOURS[number % len(COLOURS)],
                "symbol": "circle-open"
                if number == NONE
                else _SYMBOLS[number // len(COLOURS) % len(_SYMBOLS)],
            },
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return styled(figure, height=620)


def _named(island: int) -> str:
    return "–" if island == NONE else f"{island + 1}"
