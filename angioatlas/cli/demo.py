"""`angioatlas demo`: phantoms with known truth, embedded, asked, held against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from angioatlas.cli.options import JsonOption
from angioatlas.cli.output import print_json, print_notice, print_table, progress, say
from angioatlas.demo_settings import DemoSettings
from core.settings import load_settings
from phantom.files.cohort_settings import INVENTED
from phantom.seeds import DEMO_SEEDS

if TYPE_CHECKING:
    from angioatlas.demo_report import DemoAnswer, DemoReport, DemoServed
    from angioatlas.demo_studies import DemoLvef, DemoMap, DemoProgression
    from angioatlas.demo_survival import DemoSurvival

_DEFAULT = DemoSettings()


def demo(
    folder: Annotated[Path, typer.Option(help="New folder, or one with the same demo.")] = Path(
        "angioatlas-demo"
    ),
    patients: Annotated[int, typer.Option(help="How many patients.")] = _DEFAULT.patients,
    seed: Annotated[
        int,
        typer.Option(
            help=f"Of the cohort; {DEMO_SEEDS[0]} to {DEMO_SEEDS[-1]} are kept for demos."
        ),
    ] = _DEFAULT.seed,
    size: Annotated[int, typer.Option(help="Rows and columns of a picture.")] = _DEFAULT.size,
    json: JsonOption = False,
) -> None:
    """Write a cohort of phantoms, embed it, search it, and hold the answers against the truth.

    Needs no network. The same command again skips what is done.

    Example: angioatlas demo --folder angioatlas-demo
    """
    from angioatlas.demo import demo  # brings LanceDB and the renderer: not for --help

    with progress(quiet=json) as on_progress:
        report = demo(
            folder,
            settings=load_settings(),
            options=DemoSettings(patients, seed, size),
            on_progress=on_progress,
        )
    print_json(report.as_dict()) if json else _print(report)


def _print(report: DemoReport) -> None:
    times = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in report.seconds.items())
    say(
        f"{report.patients} patients, {report.studies} studies, {report.videos} videos in "
        f"{report.places.store} ({times})"
    )
    if report.left_out:
        say(
            f"{report.left_out} runs were left out by the rules of docs/runs.md: "
            f"angioatlas store inputs --status skipped --store {report.places.store}"
        )
    for answer in report.answers:
        say("")
        _print_answer(answer)
    say("")
    _print_survival(report.survival)
    for command, told in (
        ("lvef", _lvef(report.lvef)),
        ("progression", _progression(report.progression)),
        ("map show demo", _map(report.map)),
    ):
        say(f"\nangioatlas {command}", style="bold")
        say(f"  {told}")
    if report.served is not None:
        say("")
        _print_served(report.served)
    say(f"\nFrames of these hits, one row a question: {report.places.picture}")
    say("\nGo on with")
    for command in report.next_commands():
        say(f"  {command}")
    say("")
    say(INVENTED, style="dim")
    print_notice(report.encoder_id)


def _print_answer(answer: DemoAnswer) -> None:
    asked = f'angioatlas search "{answer.text}"'
    if answer.case is not None:
        asked = f"angioatlas similar {answer.case}"
    say(asked, style="bold")
    _print_hits(answer)


def _print_hits(answer: DemoAnswer) -> None:
    say(f"  true of {answer.positives} of {answer.studies} studies: {answer.text}")
    print_table(
        [
            {
                "": "✓" if hit.right else "✗",
                "rank": hit.rank,
                "score": f"{hit.score:.3f}",
                "patient": hit.patient_id,
                "true findings": hit.truth,
            }
            for hit in answer.hits
        ]
    )


def _print_served(served: DemoServed) -> None:
    say(served.command, style="bold")
    say(f"  an exam that is not in the store, sent to a server of it: {served.seconds:.1f} s")
    _print_hits(served.answer)
    say("  the server was stopped again: make serve keeps one running")


def _lvef(found: DemoLvef | None) -> str:
    if found is None:
        return "too few exams"
    return (
        f"LVEF of {found.exams} exams, by the embedding alone, cross-validated: mean absolute "
        f"error {found.mae:.1f} % ({found.lower:.1f} to {found.upper:.1f}); the mean of everybody "
        f"is off by {found.mae_of_mean:.1f} %, the echocardiogram itself by "
        f"{found.mae_of_echo:.1f} %"
    )


def _progression(found: DemoProgression | None) -> str:
    if found is None:
        return "too few exams"
    return (
        f"{found.pairs} pairs of exams of {found.patients} patients: beyond the noise floor "
        f"({found.floor}) in {found.natural_beyond:.0%} of natural courses, in "
        f"{found.treated_beyond:.0%} of those treated in between; truly changed against truly "
        f"unchanged: AUC {found.auc:.2f}"
    )


def _map(found: DemoMap | None) -> str:
    if found is None:
        return "too few exams"
    return (
        f"{found.dots} exams on a plane by UMAP, {found.islands} islands: trustworthiness "
        f"{found.trustworthiness:.2f}, {found.overlap:.0%} of the nearest neighbours kept"
    )


def _print_survival(found: DemoSurvival | None) -> None:
    say("angioatlas survival mace", style="bold")
    if found is None:
        say("  too few events for a model")
        return
    say(
        f"  MACE after the first exam, by the embedding alone, cross-validated: C {found.c:.2f} "
        f"({found.lower:.2f} to {found.upper:.2f}), {found.patients} patients, {found.events} "
        f"events; the hazard they were drawn from reaches {found.known_c:.2f}"
    )
