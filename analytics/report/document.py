"""Put a report together: tables and figures as HTML that needs no network, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from core.provenance import RESEARCH_USE

_DIGITS: Final = 6
_PLOT: Final = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["lasso2d"]}


@dataclass(frozen=True, eq=False)
class Block:
    """One thing in a section: a paragraph, a table or a figure, with a caption.

    Attributes
    ----------
    content : str, DataFrame or Figure
    caption : str
    """

    content: str | pd.DataFrame | go.Figure
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """A titled part of a report."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, eq=False)
class Document:
    """A report.

    Attributes
    ----------
    title, subtitle : str
    sections : sequence of Section
    data : mapping
        What goes into the JSON beside it: plain values and tables.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    data: dict[str, Any] = field(default_factory=dict)

    def html(self) -> str:
        """Return one self-contained page; the same report gives the same bytes."""
        template = files("analytics.report").joinpath("template.html").read_text(encoding="utf-8")
        environment = Environment(
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        sections: list[dict[str, Any]] = [
            {
                "title": section.title,
                "anchor": section.title.lower().replace(" ", "-"),
                "blocks": [
                    _rendered(block, f"figure-{i}-{j}") for j, block in enumerate(section.blocks)
                ],
            }
            for i, section in enumerate(self.sections)
        ]
        drawn = any(block["kind"] == "figure" for each in sections for block in each["blocks"])
        return environment.from_string(template).render(
            title=self.title,
            subtitle=self.subtitle,
            notice=RESEARCH_USE,
            sections=sections,
            plotly=get_plotlyjs() if drawn else "",
        )

    def json(self) -> str:
        """Return the figures behind the page, as JSON with sorted keys."""
        content = {"title": self.title, "notice": RESEARCH_USE, **self.data}
        return json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Return what JSON knows: tables as rows, numbers to six digits, null for what is not known."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, pd.Series | np.ndarray):
        return [plain(each) for each in value.tolist()]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return None if not math.isfinite(value) else float(f"{value:.{_DIGITS}g}")
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _rendered(block: Block, name: str) -> dict[str, Any]:
    content = block.content
    if isinstance(content, str):
        return {"kind": "text", "caption": block.caption, "text": content}
    if isinstance(content, pd.DataFrame):
        rows = [[_cell(value) for value in row] for row in content.itertuples(index=False)]
        numeric = [pd.api.types.is_numeric_dtype(content[each]) for each in content.columns]
        return {
            "kind": "table",
            "caption": block.caption,
            "heads": [str(each).replace("_", " ") for each in content.columns],
            "rows": rows,
            "numeric": numeric,
        }
    drawn = content.to_html(
        full_html=False, include_plotlyjs=False, div_id=name, config=_PLOT, validate=False
    )
    return {"kind": "figure", "caption": block.caption, "html": drawn}


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        if value == 0 or 1e-3 <= abs(value) < 1e5:
            return f"{value:.3f}"
        return "< 0.001" if 0 < value < 1e-3 else f"{value:.3g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
