"""`angioatlas survival`: predict events, judge the predictions, apply saved models."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from angioatlas.cli.options import EncoderOption, JsonOption, StoreOption, YesOption, open_atlas
from angioatlas.cli.output import (
    print_facts,
    print_json,
    print_notice,
    print_table,
    progress,
    say,
)
from angioatlas.cli.studies import (
    ClinicalOption,
    CohortOption,
    FoldsOption,
    FromStoreOption,
    ModelArgument,
    OutOption,
    PredictorsOption,
    ReportOption,
    RunByDefault,
    SameRunOption,
    SaveOption,
    SeedOption,
    SinceOption,
    SiteOption,
    StudiesOption,
    delete_model,
    print_models,
    print_predictions,
    words,
)
from angioatlas.plain_rows import records

if TYPE_CHECKING:
    from angioatlas.survival.study import SurvivalResult


app = typer.Typer(
    cls=RunByDefault,
    no_args_is_help=True,
    help="Predict events and judge the predictions: survival ENDPOINT --cohort NAME.",
)


@app.command("run")
def run(
    endpoint: Annotated[str, typer.Argument(help="Such as mace; see survival endpoints.")],
    store: StoreOption = None,
    cohort: CohortOption = None,
    clinical: ClinicalOption = None,
    covariates: Annotated[
        Path | None,
        typer.Option("--covariates", help="More predictors, as a table of covariates."),
    ] = None,
    predictors: PredictorsOption = None,
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
    since: SinceOption = None,
    site: SiteOption = None,
    folds: FoldsOption = 5,
    seed: SeedOption = 0,
    same_run_cosine: SameRunOption = 0.999,
    report: ReportOption = None,
    save: SaveOption = None,
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
        components=words(components),
        clinical=words(clinical) or (),
        covariates=covariates,
        sets=words(predictors) or (),
        horizons_days=tuple(int(day) for day in words(horizons) or ()),
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
    study: StudiesOption = None,
    out: OutOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Apply a saved model to the index exams of a cohort, or to single studies.

    Example: angioatlas survival predict mace-model --cohort new --out risks.csv
    """
    atlas = open_atlas(store)
    found = atlas.predict_survival(model, cohort=cohort, studies=study, encoder=encoder)
    print_predictions(found, out, json=json)


@app.command("validate")
def validate(
    model: ModelArgument,
    store: StoreOption = None,
    cohort: CohortOption = None,
    from_store: FromStoreOption = None,
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


@app.command("like")
def like(
    uid: Annotated[str, typer.Argument(metavar="UID", help="StudyInstanceUID.")],
    store: StoreOption = None,
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="Such as mace; see survival endpoints.")
    ] = "mace",
    horizons: Annotated[
        str, typer.Option("--horizons", help="Days, separated by commas.")
    ] = "30,180,365,730",
    cohort: CohortOption = None,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="Patients that count; chosen on the cohort when absent."),
    ] = None,
    report: ReportOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what became of the patients who are most similar to one, beside the whole cohort.

    A description of what happened to others, no prediction.  The patient's own exams do not count.
    An exam that is far from all is refused (docs/survival.md).

    Example: angioatlas survival like 2.25.1234 --endpoint mace --horizons 365 --store atlas
    """
    found = open_atlas(store).outcomes_like(
        uid,
        endpoint=endpoint,
        horizons=[int(day) for day in words(horizons) or ()],
        cohort=cohort,
        k=k,
        encoder=encoder,
    )
    written = found.write(report) if report is not None else ()
    if json:
        print_json(found.as_dict())
    else:
        print_facts(found.facts())
        print_table(records(found.horizons))
        for cut in found.outcomes.cut:
            say(f"not told: {cut}", style="yellow")
        say(found.meaning)
        print_notice(found.encoder_id)
    for path in written:
        say(f"{path} written", stderr=json)


@app.command("models")
def models(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the saved models.

    Example: angioatlas survival models --store atlas
    """
    frame = open_atlas(store).survival_models()
    print_models(frame, empty="no model yet: angioatlas survival mace --save NAME", json=json)


@app.command("delete")
def delete(model: ModelArgument, store: StoreOption = None, yes: YesOption = False) -> None:
    """Delete a saved model.

    Example: angioatlas survival delete mace-model --yes
    """
    delete_model(store, model, yes=yes)


@app.command("endpoints")
def endpoints(json: JsonOption = False) -> None:
    """List the endpoints and what they are made of.

    Example: angioatlas survival endpoints
    """
    from analytics.endpoints import ENDPOINTS

    rows = [{"endpoint": name, "events": each.components} for name, each in ENDPOINTS.items()]
    print_json(rows) if json else print_table(rows)


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
