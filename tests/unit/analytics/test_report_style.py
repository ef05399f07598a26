"""Lines across a figure are seen."""

from __future__ import annotations

import plotly.graph_objects as go

from analytics.report.style import styled


def test_a_line_across_a_figure_has_a_width():
    figure = go.Figure()
    figure.add_hline(y=1, line={"color": "#888", "dash": "dash"})
    (line,) = styled(figure).layout.shapes
    assert line.line.width > 0
    assert line.opacity == 1
    assert line.line.dash == "dash"
