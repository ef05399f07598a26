"""`angioatlas progression`: how much patients changed from exam to exam."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from angioatlas.cli.options import EncoderOption, JsonOption, StoreOption, open_atlas
from angioatlas.cli.output import (
    print_facts,
    print_json,
    print_notice,
    print_table,
    say,
)
from angioatlas.cli.studies import ExamsOption, OutOption, ReportOption, RunByDefault, SeedOption
from angioatlas.plain_rows import records
from core.provenance import RESEARCH_USE

app = typer.Typer(
    cls=RunByDefault,
    help="Measure change between serial exams beyond the noise floor: progression --cohort NAME.",
)


@app.command("run")
def run(
    store: StoreOption = None,
    cohort: ExamsOption = None,
    floor: Annotated[
        str,
        typer.Option("--floor", help="Of unchanged pairs, of halves of exams, or auto."),
    ] = "auto",
    unchanged_days: Annotated[
        int,
        typer.Option(
            "--unchanged-days",
            min=1,
            help="Exams as near as this, nothing done or happened in between, are unchanged.",
        ),
    ] = 90,
    endpoint_name: Annotated[
        str, typer.Option("--endpoint", help="Events after change; see survival endpoints.")
    ] = "mace",
    findings: Annotated[
        str,
        typer.Option("--findings", help="Stenoses from heads, measurements, none, or auto."),
    ] = "auto",
    direction: Annotated[
        str,
        typer.Option("--direction", help="Toward disease by text, fitted to stenoses, or auto."),
    ] = "auto",
    on_map: Annotated[
        str | None, typer.Option("--map", help="Follow patients on this saved map of studies.")
    ] = None,
    seed: SeedOption = 0,
    report: ReportOption = None,
    out: OutOption = None,
    trajectories: Annotated[
        Path | None,
        typer.Option("--trajectories", help="Write where each exam stands, as CSV, here."),
    ] = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Compare each exam with the one before it, and report.

    A cohort needs every exam of its patients: cohort create NAME --index every.

    Example: angioatlas progression --report progression.html --out pairs.csv --store atlas
    """
    from analytics.endpoints import endpoint
    from analytics.progression.study import FLOORS, Plan
    from angioatlas.question import one_of

    plan = Plan(
        one_of("floor", floor, FLOORS),
        unchanged_days=unchanged_days,
        seed=seed,
        endpoint=endpoint(endpoint_name),
    )
    result = open_atlas(store).progression(
        plan,
        cohort=cohort,
        findings=findings,
        direction=direction,
        on_map=on_map,
        encoder=encoder,
    )
    written: list[Path] = [*result.write(report)] if report is not None else []
    if out is not None:
        result.pairs().to_csv(out, index=False)
        written.append(out)
    if trajectories is not None:
        result.trajectories().to_csv(trajectories, index=False)
        written.append(trajectories)
    study = result.study
    if json:
        print_json(result.as_dict())
    else:
        print_facts(
            {
                "pairs of exams": len(study.pairs),
                "patients": study.pairs["patient_id"].nunique(),
                "noise floor": f"{study.floor.source} of {study.floor.patients} patients",
                "threshold": f"{study.floor.threshold:.3f} (1 − cosine)",
            }
        )
        print_table(records(study.rates))
        if len(study.comparisons):
            print_table(records(study.comparisons))
        for table in (study.treated, study.steps, study.years.slopes, study.years.hazards):
            if len(table):
                print_table(records(table))
        for note in (*study.inputs.notes, *(f"not told: {why}" for why in study.years.untold)):
            say(note)
        print_notice(result.encoder_id)
    for path in written:
        say(f"{path} written", stderr=json)


@app.command("patient")
def patient(
    uid: Annotated[str, typer.Argument(metavar="UID", help="StudyInstanceUID of an exam.")],
    store: StoreOption = None,
    report: ReportOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Show what changed between the exams of the patient of a study, beyond the noise floor.

    Example: angioatlas progression patient 2.25.1234 --report course.html --store atlas
    """
    atlas = open_atlas(store)
    found = atlas.patient_progression(atlas.resolve(uid), encoder=encoder)
    told = found.compared
    exams, pairs = records(told.exams), records(told.pairs)
    for path in found.write(report) if report is not None else ():
        say(f"{path} written", stderr=json)
    if json:
        print_json(
            {
                "study_uid": found.study_uid,
                "exams": exams,
                "changes": pairs,
                "notes": [*told.notes],
                "not_told": told.not_told,
                "notice": RESEARCH_USE,
            }
        )
        return
    print_table(exams)
    shown = ("study_uid", "days", "treatment", "change", "score", "beyond", "toward_disease")
    print_table([{name: pair.get(name) for name in shown} for pair in pairs])
    for note in (*told.notes, *([f"not told: {told.not_told}"] if told.not_told else [])):
        say(note)
    print_notice(found.encoder_id)


@app.command("timeline")
def timeline(
    patient: Annotated[str, typer.Argument(help="Patient id, or the store's pseudonym.")],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Show everything dated of one patient: exams, changes, measurements, procedures, events.

    Example: angioatlas progression timeline PHANTOM-3091-00040 --store atlas
    """
    rows = records(open_atlas(store).timeline(patient, encoder=encoder))
    if json:
        print_json({"rows": rows, "notice": RESEARCH_USE})
        return
    print_table(rows)
    print_notice()
