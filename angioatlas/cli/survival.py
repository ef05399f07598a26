"""`angioatlas survival`: predict events, judge the predictions, apply saved models."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from angioatlas.cli.options import EncoderOption, JsonOption, StoreOption, YesOption, open_atlas
from angioatlas.cli.output import (
    print_facts,
    print_json,
    print_notice,
    print_table,
    progress,
    records,
    say,
)
from core.provenance import RESEARCH_USE

if TYPE_CHECKING:
    from angioatlas.survival.study import SurvivalResult


class _RunByDefault(TyperGroup):
    """`survival mace` is `survival run mace`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Predict events and judge the predictions: survival ENDPOINT --cohort NAME.",
)

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
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", help="Write OUT.html, and OUT.json beside it.", show_default=False),
]
ModelArgument = Annotated[str, typer.Argument(help="Name of a saved model, or its id.")]


@app.command("run")
def run(
    endpoint: Annotated[str, typer.Argument(help="Such as mace; see survival endpoints.")],
    store: StoreOption = None,
    cohort: CohortOption = None,
    clinical: Annotated[
        str | None,
        typer.Option("--clinical", help="Clinical predictors, such as age_years,sex,diabetes."),
    ] = None,
    covariates: Annotated[
        Path | None,
        typer.Option("--covariates", help="More predictors, as a table of covariates."),
    ] = None,
    predictors: Annotated[
        str | None,
        typer.Option("--predictors", help="Of embeddings,clinical,both; all by default."),
    ] = None,
    components: Annotated[
        str | None,
        typer.Option("--components", help="Events of an endpoint of your own, such as mi,stroke."),
    ] = None,
    horizons: Annotated[
        str, typer.Option("--horizons", help="Days, separated by commas.")
    ] = "30,180,365,730",
    model: Annotated[
        str, typer.Option("--model", help="elastic-net, components, forest or boosting.")
    ] = "elastic-net",
    blanking_days: Annotated[
        int, typer.Option("--blanking-days", min=0, help="Events until then belong to the exam.")
    ] = 0,
    until: Annotated[
        dt.datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="Last day that is looked at."),
    ] = None,
    unknown_death: Annotated[
        str, typer.Option("--unknown-death", help="competing, or event.")
    ] = "competing",
    since: Annotated[
        dt.datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d"], help="Hold out exams from this day on."),
    ] = None,
    site: Annotated[str | None, typer.Option("--site", help="Hold out this site.")] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of folds and samples.")] = 0,
    same_run_cosine: Annotated[
        float,
        typer.Option(
            "--same-run-cosine",
            min=0.9,
            help="Runs of two patients whose vectors are as near as this are one run: refused.",
        ),
    ] = 0.999,
    report: ReportOption = None,
    save: Annotated[
        str | None,
        typer.Option("--save", metavar="NAME", help="Save the model fitted to the whole cohort."),
    ] = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Fit models, judge them on people they have not seen, and report.

    Embeddings alone; with --clinical, clinical predictors alone and both as well.

    Example: angioatlas survival mace --cohort all --clinical age_years,sex --report mace.html
    """
    from angioatlas.survival.ask import SurvivalQuestion

    atlas = open_atlas(store)
    question = SurvivalQuestion(
        endpoint=endpoint,
        components=_words(components),
        clinical=_words(clinical) or (),
        covariates=covariates,
        sets=_words(predictors) or (),
        horizons_days=tuple(int(day) for day in _words(horizons) or ()),
        model=model,
        blanking_days=blanking_days,
        until=until.date() if until else None,
        unknown_death=unknown_death,
        since=since.date() if since else None,
        site=site,
        folds=folds,
        seed=seed,
        same_run_cosine=same_run_cosine,
    )
    with progress(quiet=json) as on_step:
        result = atlas.survival(question, cohort=cohort, encoder=encoder, on_step=on_step)
    _tell(result, report, json=json)
    if save is not None:
        saved = atlas.save_survival_model(result, save)
        say(f"model {saved.name!r} saved, id {saved.model_id[:12]}", stderr=json)


@app.command("predict")
def predict(
    model: ModelArgument,
    store: StoreOption = None,
    cohort: CohortOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV to write.")] = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Apply a saved model to the index exams of a cohort.

    Example: angioatlas survival predict mace-model --cohort new --out risks.csv
    """
    frame = open_atlas(store).predict_survival(model, cohort=cohort, encoder=encoder)
    if out is not None:
        frame.to_csv(out, index=False)
        say(f"{len(frame)} exams written to {out}")
        print_notice()
        return
    if json:
        print_json({"model": model, "rows": records(frame), "notice": RESEARCH_USE})
        return
    print_table(records(frame.head(50)))
    if len(frame) > 50:
        say(f"50 of {len(frame)} exams; --out writes all")
    print_notice()


@app.command("validate")
def validate(
    model: ModelArgument,
    store: StoreOption = None,
    cohort: CohortOption = None,
    from_store: Annotated[
        Path | None, typer.Option("--from-store", help="Store that the model is saved in.")
    ] = None,
    report: ReportOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Judge a saved model on another cohort, without refitting anything.

    Example: angioatlas survival validate mace-model --cohort elsewhere --report external.html
    """
    atlas = open_atlas(store)
    result = atlas.validate_survival(model, cohort=cohort, encoder=encoder, from_store=from_store)
    _tell(result, report, json=json)


@app.command("models")
def models(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the saved models.

    Example: angioatlas survival models --store atlas
    """
    rows = records(open_atlas(store).survival_models())
    if json:
        print_json(rows)
        return
    shown = [
        {**row, "model_id": row["model_id"][:12], "cohort_id": row["cohort_id"][:12]}
        for row in rows
    ]
    print_table(shown, empty="no model yet: angioatlas survival mace --save NAME")
    print_notice()


@app.command("delete")
def delete(model: ModelArgument, store: StoreOption = None, yes: YesOption = False) -> None:
    """Delete a saved model.

    Example: angioatlas survival delete mace-model --yes
    """
    if not yes:
        typer.confirm(f"Delete the model {model!r}?", abort=True)
    open_atlas(store).drop_model(model)
    say(f"deleted {model!r}")


@app.command("endpoints")
def endpoints(json: JsonOption = False) -> None:
    """List the endpoints and what they are made of.

    Example: angioatlas survival endpoints
    """
    from analytics.endpoints import ENDPOINTS

    rows = [{"endpoint": name, "events": each.components} for name, each in ENDPOINTS.items()]
    print_json(rows) if json else print_table(rows)


def _words(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _tell(result: SurvivalResult, report: Path | None, *, json: bool) -> None:
    written = result.write(report) if report is not None else ()
    study = result.study
    if json:
        print_json(result.as_dict())
    else:
        verdict = study.first
        print_facts(
            {
                "endpoint": study.plan.endpoint.name,
                "exams": verdict.subjects,
                "patients": verdict.patients,
                "events": verdict.events,
                "competing events": verdict.competing,
            }
        )
        print_table(records(study.summary()))
        for cut in verdict.cut:
            say(f"not judged, for want of data: {cut}", style="yellow")
        for note in study.notes:
            say(note)
        print_notice(result.encoder_id)
    for path in written:
        say(f"{path} written", stderr=json)
