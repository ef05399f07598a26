"""A map as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Final, final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analytics.maps.clusters import NONE
from analytics.maps.picture import Colour, Density, MapPicture
from analytics.maps.quality import MapQuality
from analytics.report.blocks import facts
from analytics.report.document import Block, Document, Section
from analytics.report.style import COLOURS, GREY, styled

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
_UNKNOWN: Final = {"color": GREY, "symbol": "circle-open"}
_SIZES: Final = {500: 8, 5_000: 5}
"""How large a dot is of up to so many; of more each is small."""
_SMALL: Final = 3


@final
@dataclass(frozen=True, eq=False)
class MapTold:
    """What a page tells.

    Attributes
    ----------
    picture : MapPicture
    dots : DataFrame
        All of them: uid, patient_id, cluster.
    islands : DataFrame
        See `analytics.maps.clusters.enriched`.
    quality : MapQuality
    about : mapping
    """

    picture: MapPicture
    dots: pd.DataFrame
    islands: pd.DataFrame
    quality: MapQuality
    about: Mapping[str, Any]


def map_report(told: MapTold) -> Document:
    """Return a map with its islands."""
    quality, picture, dots = told.quality, told.picture, told.dots
    kept = (
        f"Of the {quality.neighbours} nearest in the embeddings, {quality.overlap:.0%} are among "
        f"the nearest on the map; trustworthiness {quality.trustworthiness:.3f} ({quality.rows:,} "
        "dots looked at). Distances between islands mean little."
    )
    sizes = (
        dots.groupby("cluster", as_index=False)
        .agg(dots=("uid", "size"), patients=("patient_id", "nunique"))
        .assign(cluster=lambda rows: rows["cluster"].map(island_name))
        .rename(columns={"cluster": "island"})
    )
    islands = told.islands.assign(cluster=told.islands["cluster"].map(island_name))
    return Document(
        title=f"Map {picture.about.name}",
        subtitle=f"{len(dots):,} {told.about['level']} embeddings of {told.about['encoder_id']}.",
        sections=[
            Section("Map", [Block(draw_picture(picture), in_words(picture)), Block(kept)]),
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
            "colour": {"name": picture.colour.name, "counts": dict(picture.counts)},
        },
    )


def in_words(picture: MapPicture) -> str:
    """Tell what is drawn, and how many of the dots have which value."""
    counts = ", ".join(f"{name} ({count:,})" for name, count in picture.counts.items())
    shown = f"By {picture.colour.title}: {counts}."
    if len(picture) < picture.total:
        shown += (
            f" {len(picture):,} of {picture.total:,} dots are drawn, so that rare values are seen; "
            "how dense all of them lie is behind them in grey."
        )
    return shown


def draw_picture(picture: MapPicture) -> go.Figure:
    """Draw a map in its colour: what is not known in open grey circles, below all else.

    Each dot has the study_uid as ``customdata``, and tells study date and value when it is pointed
    at.  Numbers have a scale that people with any colour vision can read, levels a colour and a
    shape each.
    """
    colour, dots = picture.colour, picture.dots
    figure = go.Figure()
    if picture.density is not None:
        _add_density(figure, picture.density)
    known = dots["value"].notna()
    size = next((size for most, size in _SIZES.items() if len(dots) <= most), _SMALL)
    if not known.all():
        figure.add_trace(_dots(dots[~known], colour, colour.otherwise, size=size, **_UNKNOWN))
    if picture.scale is not None and known.any():
        figure.add_trace(_numbers(dots[known], colour, picture.scale, size=size))
    # What is rare lies above what is frequent; the legend has them in their own order.
    for i in sorted(range(len(colour.levels)), key=lambda i: -picture.counts[colour.levels[i]]):
        rows = dots[dots["value"] == colour.levels[i]]
        if len(rows):
            marker = {"color": COLOURS[i % len(COLOURS)], "symbol": _symbol(i), "size": size}
            drawn = _dots(rows, colour, colour.levels[i], **marker)
            figure.add_trace(drawn.update(legendrank=i + 1))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    styled(figure, height=620)
    figure.update_layout(legend={"itemsizing": "constant"})
    if colour.levels:
        figure.update_layout(legend_title_text=escape(colour.title))
    return figure


def _symbol(i: int) -> str:
    """Return a shape: another one for each of the colours, and others when they come again."""
    return _SYMBOLS[(i + i // len(COLOURS)) % len(_SYMBOLS)]


def _dots(rows: pd.DataFrame, colour: Colour, name: str, **marker: Any) -> go.Scattergl:
    """Return dots of one kind; they are told, and called in the legend, by its name."""
    return go.Scattergl(
        x=rows["x"].round(3),
        y=rows["y"].round(3),
        mode="markers",
        # A site may be called anything; plotly would take some of it for its own.
        name=escape(name),
        customdata=rows["study_uid"],
        text=rows["study_date"].map(_day),
        hovertemplate=f"%{{text}}<br>{colour.title}: %{{fullData.name}}<extra></extra>",
        marker={"opacity": 0.6, **marker},
        showlegend=True,
    )


def _numbers(
    rows: pd.DataFrame, colour: Colour, scale: tuple[float, float], *, size: int
) -> go.Scattergl:
    """Return dots with a number each, and the bar that tells them."""
    told, unit = colour.title, colour.unit
    drawn = _dots(
        rows,
        colour,
        told,
        size=size,
        color=rows["value"].round(3),
        colorscale="Viridis",
        cmin=scale[0],
        cmax=scale[1],
        colorbar={"title": {"text": f"{told} ({unit})" if unit else told, "side": "right"}},
    )
    hover = f"%{{text}}<br>{told}: %{{marker.color:.4~g}} {unit}<extra></extra>"
    return drawn.update(showlegend=False, hovertemplate=hover)


def _add_density(figure: go.Figure, density: Density) -> None:
    """Add how many dots lie where, behind all; by the logarithm, so that thin places are seen."""
    figure.add_heatmap(
        x=(density.x[:-1] + density.x[1:]) / 2,
        y=(density.y[:-1] + density.y[1:]) / 2,
        z=np.where(density.counts > 0, np.log1p(density.counts).round(2), np.nan),
        colorscale=[[0, "#f2f2f2"], [1, "#aaaaaa"]],
        showscale=False,
        hoverinfo="skip",
    )


def _day(date: Any) -> str:
    return "date not known" if pd.isna(date) else f"{date:%Y-%m-%d}"


def island_name(island: int) -> str:
    """Return what an island is called: they count from one."""
    return "–" if island == NONE else f"{island + 1}"
