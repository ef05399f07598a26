"""`angioatlas lvef`: predict the ejection fraction, judge the predictions, apply saved models."""

from __future__ import annotations

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
    from angioatlas.lvef.study import LvefResult

app = typer.Typer(
    cls=RunByDefault,
    help="Predict the ejection fraction and judge the predictions: lvef --cohort NAME.",
)


@app.command("run")
def run(
    store: StoreOption = None,
    cohort: CohortOption = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Only measurements by this one, such as echo.")
    ] = None,
    window_days: Annotated[
        int,
        typer.Option("--window-days", min=0, help="How far from the exam a measurement may be."),
    ] = 30,
    thresholds: Annotated[
        str, typer.Option("--thresholds", help="Percent, separated by commas.")
    ] = "40,50",
    clinical: ClinicalOption = None,
    predictors: PredictorsOption = None,
    model: Annotated[
        str, typer.Option("--model", help="ridge, elastic-net, kernel or boosting.")
    ] = "ridge",
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

    Example: angioatlas lvef --cohort all --method echo --report lvef.html
    """
    from angioatlas.lvef.ask import LvefQuestion

    atlas = open_atlas(store)
    question = LvefQuestion(
        method=method,
        window_days=window_days,
        thresholds=_numbers(thresholds),
        model=model,
        clinical=words(clinical) or (),
        sets=words(predictors) or (),
        since=since.date() if since else None,
        site=site,
        folds=folds,
        seed=seed,
        same_run_cosine=same_run_cosine,
    )
    with progress(quiet=json) as on_step:
        result = atlas.lvef(question, cohort=cohort, encoder=encoder, on_step=on_step)
    _tell(result, report, json=json)
    if save is not None:
        saved = atlas.save_lvef_model(result, save)
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

    Example: angioatlas lvef predict lvef-model --cohort new --out lvef.csv
    """
    atlas = open_atlas(store)
    found = atlas.predict_lvef(model, cohort=cohort, studies=study, encoder=encoder)
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

    Example: angioatlas lvef validate lvef-model --cohort elsewhere --report external.html
    """
    atlas = open_atlas(store)
    result = atlas.validate_lvef(model, cohort=cohort, encoder=encoder, from_store=from_store)
    _tell(result, report, json=json)


@app.command("models")
def models(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the saved models.

    Example: angioatlas lvef models --store atlas
    """
    frame = open_atlas(store).lvef_models()
    print_models(frame, empty="no model yet: angioatlas lvef --save NAME", json=json)


@app.command("delete")
def delete(model: ModelArgument, store: StoreOption = None, yes: YesOption = False) -> None:
    """Delete a saved model.

    Example: angioatlas lvef delete lvef-model --yes
    """
    delete_model(store, model, yes=yes)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words(text) or ())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: expected numbers such as 40,50") from error


def _tell(result: LvefResult, report: Path | None, *, json: bool) -> None:
    written = result.write(report) if report is not None else ()
    study = result.study
    if json:
        print_json(result.as_dict())
    else:
        verdict = study.first
        print_facts({"exams": verdict.rows, "patients": verdict.patients})
        print_table(records(study.summary()))
        for cut in verdict.cut:
            say(f"threshold not judged, for want of data: {cut}", style="yellow")
        for note in study.inputs.notes:
            say(note)
        print_notice(result.encoder_id)
    for path in written:
        say(f"{path} written", stderr=json)
