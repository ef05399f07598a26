"""The figures of an evaluation as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_QUERY_COLUMNS = (
    *("prevalence", "p5", "p10", "auroc", "ap", "video_auroc", "video_ap"),
    *("baseline_auroc", "baseline_ap"),
)
_QUERY_HEADS = (
    *("query (n)", "prevalence", "P@5", "P@10", "AUROC", "AP", "video AUROC", "video AP"),
    *("baseline AUROC", "baseline AP"),
)


def markdown(figures: Mapping[str, Any]) -> str:
    """Return all tables."""
    parts = [
        f"# Retrieval on {figures['studies']} unseen phantom studies "
        f"({figures['videos']} videos), {figures['encoder_id']}",
        _queries(figures),
        _paraphrases(figures["paraphrases"]),
        _segments(figures["segments"]),
        _pairs(
            "Other patients' studies nearest to a study",
            ("encoder", "baseline"),
            (figures["neighbours"], figures["neighbours_baseline"]),
            ("share", "chance", "lift", "mean_lift"),
        ),
        _pairs(
            "Ejection fraction by ridge regression",
            ("encoder", "baseline"),
            (figures["lvef"], figures["lvef_baseline"]),
            ("mae", "r2", "auroc_reduced", "median_mae"),
        ),
    ]
    if "progression" in figures:
        kinds = figures["progression"]
        names = [*next(iter(kinds.values()))]
        parts.append(_pairs("Change between exams", [*kinds], [*kinds.values()], names))
        parts.append(_robustness(figures["robustness"]))
    return "\n\n".join(parts) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _queries(figures: Mapping[str, Any]) -> str:
    rows = [
        [f"{row['query']} ({row['n']})", *(_number(row[name]) for name in _QUERY_COLUMNS)]
        for row in figures["queries"]
    ]
    mean = [f"**mean of {len(rows)}**", *(_number(figures["mean"][n]) for n in _QUERY_COLUMNS)]
    return table(_QUERY_HEADS, [*rows, mean])


def _paraphrases(found: Mapping[str, Any]) -> str:
    rows = [
        [row["query"], _number(row["training"]), _number(row["held_out"])]
        for row in found["queries"]
    ]
    rows.append(["**mean**", _number(found["training"]), _number(found["held_out"])])
    heads = ("query", "AP of 12 wordings of the training", "AP of wordings held out")
    return "## Other wordings\n\n" + table(heads, rows)


def _segments(rows: Sequence[Mapping[str, Any]]) -> str:
    names = (
        *("significant_n", "significant_text", "significant_head", "occlusion_n"),
        *("occlusion_text", "cto_n", "cto_text", "cto_head", "thrombus_n", "thrombus_text"),
        *("thrombus_head", "calcification_n", "calcification_text", "calcification_head"),
        *("stent_n", "stent_text", "percent_mae"),
    )
    heads = ("segment", *(name.replace("_", " ") for name in names))
    lines = [[row["name"], *(_number(row.get(name)) for name in names)] for row in rows]
    columns = [[row[name] for row in rows if name in row] for name in names]
    mean = ["**mean**", *(_number(sum(c) / len(c)) if c else "" for c in columns)]
    return "## Segments: AUROC\n\n" + table(heads, [*lines, mean])


def _pairs(
    title: str, kinds: Sequence[str], found: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> str:
    rows = [[name, *(_number(each[name]) for each in found)] for name in names]
    return f"## {title}\n\n" + table(("", *kinds), rows)


def _robustness(found: Mapping[str, Any]) -> str:
    reference = found["mean_ap"]["as drawn"]
    rows = [
        [name, _number(value), f"{value - reference:+.3f}"]
        for name, value in found["mean_ap"].items()
    ]
    heads = ("acquisition", "mean AP", "difference")
    return f"## Robustness ({found['studies']} studies)\n\n" + table(heads, rows)


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3f}"
