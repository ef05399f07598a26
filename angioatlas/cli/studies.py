"""What the commands that study cohorts share: options, and how models and predictions are told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from angioatlas.cli.options import open_atlas
from angioatlas.cli.output import print_json, print_notice, print_table, say
from angioatlas.plain_rows import records
from core.provenance import RESEARCH_USE

if TYPE_CHECKING:
    import pandas as pd

    from angioatlas.predictions import Predictions

_SHOWN = 50


class RunByDefault(TyperGroup):
    """`survival mace` is `survival run mace`, and `lvef` alone is `lvef run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before what names no command."""
        named = bool(args) and args[0] in {*self.commands, *ctx.help_option_names}
        if not named and (args or not self.no_args_is_help):
            args = ["run", *args]
        return super().parse_args(ctx, args)


CohortOption = Annotated[
    str | None,
    typer.Option(
        "--cohort",
        "-c",
        metavar="NAME",
        help="Cohort; the first exam of every patient when absent.",
        show_default=False,
    ),
]
StudiesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--study",
        metavar="UID",
        help="StudyInstanceUID, in place of a cohort; may be given several times.",
        show_default=False,
    ),
]
ExamsOption = Annotated[
    str | None,
    typer.Option(
        "--cohort",
        "-c",
        metavar="NAME",
        help="Cohort; every exam of everybody when absent.",
        show_default=False,
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", help="Write OUT.html, and OUT.json beside it.", show_default=False),
]
ModelArgument = Annotated[str, typer.Argument(help="Name of a saved model, or its id.")]
ClinicalOption = Annotated[
    str | None,
    typer.Option("--clinical", help="Clinical predictors, such as age_years,sex,diabetes."),
]
PredictorsOption = Annotated[
    str | None,
    typer.Option("--predictors", help="Of embeddings,clinical,both; all by default."),
]
SinceOption = Annotated[
    dt.datetime | None,
    typer.Option("--since", formats=["%Y-%m-%d"], help="Hold out exams from this day on."),
]
SiteOption = Annotated[str | None, typer.Option("--site", help="Hold out this site.")]
FoldsOption = Annotated[int, typer.Option("--folds", min=2, help="Of the cross-validation.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of folds and samples.")]
SameRunOption = Annotated[
    float,
    typer.Option(
        "--same-run-cosine",
        min=0.9,
        help="Runs of two patients whose vectors are as near as this are one run: refused.",
    ),
]
SaveOption = Annotated[
    str | None,
    typer.Option("--save", metavar="NAME", help="Save the model fitted to the whole cohort."),
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="CSV to write.")]
FromStoreOption = Annotated[
    str | None, typer.Option("--from-store", help="Store that the model is saved in.")
]


def words(text: str | None) -> tuple[str, ...] | None:
    """Return the words of an option that are separated by commas."""
    if text is None:
        return None
    return tuple(word.strip() for word in text.split(",") if word.strip())


def print_predictions(found: Predictions, out: Path | None, *, json: bool) -> None:
    """Print what a model says of exams, or write it to a file."""
    frame = found.table
    if out is not None:
        frame.to_csv(out, index=False)
        say(f"{len(frame)} exams written to {out}")
        print_notice()
        return
    if json:
        print_json({"model": found.model_name, "rows": records(frame), "notice": RESEARCH_USE})
        return
    print_table(records(frame.head(_SHOWN).dropna(axis="columns", how="all")))
    if len(frame) > _SHOWN:
        say(f"{_SHOWN} of {len(frame)} exams; --out writes all")
    print_notice()


def print_models(frame: pd.DataFrame, *, empty: str, json: bool) -> None:
    """Print which models are saved."""
    rows = records(frame)
    if json:
        print_json(rows)
        return
    shown = [
        {**row, "model_id": row["model_id"][:12], "cohort_id": row["cohort_id"][:12]}
        for row in rows
    ]
    print_table(shown, empty=empty)
    print_notice()


def delete_model(store: str | None, model: str, *, yes: bool) -> None:
    """Delete a saved model, after asking."""
    if not yes:
        typer.confirm(f"Delete the model {model!r}?", abort=True)
    open_atlas(store).drop_model(model)
    say(f"deleted {model!r}")
