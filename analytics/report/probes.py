"""The dossier of probes of findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import pandas as pd
import plotly.graph_objects as go

from analytics.probes.compare import FEWEST_CASES
from analytics.report.blocks import facts, with_limits
from analytics.report.document import Block, Document, Section
from analytics.report.style import COLOURS, GREY, styled

_SYMBOLS = ("circle", "diamond", "square")
_PROTOCOL = (
    "Truth: stenoses that were measured on the exam, significant above 70 %; a segment that was "
    "not measured on an exam with measured stenoses is taken as not narrowed; a vessel is as "
    "narrow as its worst segment. Other findings where measurements of their name are there.",
    "Probes: ridge regression of the study embedding, cross-validated with each patient in one "
    "fold; its penalty by inner folds of patients. Views: gated attention over the embeddings of "
    "the views, on the same folds, stopped by a part of the training side. Heads: what the "
    "encoder's own heads say, as it is. Text: cosine of the study embedding with a sentence of "
    "the finding, nothing fitted.",
    "Sensitivity and specificity are at Youden's threshold of inner folds of the training side. "
    "Intervals and differences are from bootstrap samples of patients; DeLong's test is told where "
    "each patient has one exam. Rows with fewer than "
    f"{FEWEST_CASES} cases or controls are weak, and told without an interval.",
)


@final
@dataclass(frozen=True, eq=False)
class ProbeFacts:
    """What the report tells; see `angioatlas.probes.study.ProbeResult`."""

    table: pd.DataFrame
    errors: pd.DataFrame
    differences: pd.DataFrame
    exams: int
    patients: int
    about: Mapping[str, Any]


def probe_report(told: ProbeFacts) -> Document:
    """Return the report."""
    table = told.table
    shown = pd.DataFrame(
        {
            "finding": table["finding"],
            "method": table["method"],
            "exams": table["exams"],
            "cases": table["cases"],
            "AUC": _limits(table, "auc"),
            "average precision": _limits(table, "average_precision"),
            "sensitivity": table["sensitivity"],
            "specificity": table["specificity"],
            "": table["weak"].map({True: "weak", False: ""}),
        }
    )
    return Document(
        title=f"Findings: probes in {told.about.get('cohort', 'a cohort')}",
        subtitle=f"Embeddings of {told.about.get('encoder_id', 'no encoder')}.",
        sections=[
            Section(
                "Summary",
                [
                    Block(f"{told.exams:,} exams of {told.patients:,} patients were measured."),
                    Block(areas(table), "AUC of each finding with its 95 % interval"),
                    Block(shown),
                ],
            ),
            Section(
                "Stenosis in percent",
                [
                    Block(
                        _errors(told.errors),
                        "Mean absolute error in points against measured stenoses: over all exams, "
                        "and over lesions alone; by how they were measured where that differs",
                    )
                ],
            ),
            Section(
                "Differences",
                [Block(told.differences, "AUC of the probe minus that of the other method")]
                if len(told.differences)
                else [Block("There is nothing to compare.")],
            ),
            Section("Protocol", [Block(each) for each in _PROTOCOL]),
            Section("Provenance", [Block(facts(told.about))]),
        ],
        data={
            "exams": told.exams,
            "patients": told.patients,
            "table": table,
            "errors": told.errors,
            "differences": told.differences,
            "protocol": list(_PROTOCOL),
            "provenance": dict(told.about),
        },
    )


def _errors(errors: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            **{name: errors[name] for name in ("truth", "place", "method", "exams")},
            "error": _limits(errors, "mae", digits=1),
            "bias": errors["bias"].round(1),
            "lesions": errors["lesions"],
            "error of lesions": _limits(errors, "lesion_mae", digits=1),
        }
    )


def areas(table: pd.DataFrame) -> go.Figure:
    """Draw the AUC of each finding, a dot a method."""
    kept, figure = table[~table["weak"]][::-1], go.Figure()
    for i, method in enumerate(table["method"].unique()):
        rows = kept[kept["method"] == method]
        figure.add_scatter(
            x=rows["auc"],
            y=rows["finding"],
            mode="markers",
            name=str(method),
            marker={"color": COLOURS[i], "symbol": _SYMBOLS[i % len(_SYMBOLS)], "size": 8},
            error_x={
                "type": "data",
                "symmetric": False,
                "thickness": 1.2,
                "width": 0,
                "array": rows["auc_upper"] - rows["auc"],
                "arrayminus": rows["auc"] - rows["auc_lower"],
            },
        )
    figure.add_vline(x=0.5, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(title="AUC")
    return styled(figure, height=160 + 26 * kept["finding"].nunique(), left=160)


def _limits(table: pd.DataFrame, name: str, *, digits: int = 3) -> list[str]:
    return [
        with_limits(*row, digits=digits) if row[1] == row[1] else f"{row[0]:.{digits}f}"
        for row in table[[name, f"{name}_lower", f"{name}_upper"]].itertuples(index=False)
    ]
