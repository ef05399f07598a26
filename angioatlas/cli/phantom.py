"""`angioatlas phantom`: a cohort of phantom angiograms with known truth."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from angioatlas.cli.options import JsonOption
from angioatlas.cli.output import print_facts, print_json, print_notice, progress, say
from phantom.files.cohort_settings import INVENTED, CohortReport
from phantom.files.transfer_syntax import DEFAULT_SYNTAX, TransferSyntax
from phantom.seeds import DEMO_SEEDS


def phantom(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="New folder, or one begun with the same settings.",
            show_default=False,
        ),
    ],
    patients: Annotated[int, typer.Option(help="How many patients.")] = 80,
    seed: Annotated[
        int, typer.Option(help="Of everything: another seed is another cohort.")
    ] = DEMO_SEEDS[0],
    size: Annotated[int, typer.Option(help="Rows and columns of a picture.")] = 512,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of every run; they vary from run to run when absent."),
    ] = None,
    transfer_syntax: Annotated[
        TransferSyntax, typer.Option(help="How pixels are stored; jpeg is baseline, lossy.")
    ] = DEFAULT_SYNTAX,
    runs: Annotated[
        int | None, typer.Option(help="Runs of an exam at the most, 2 or more; all by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by cores when absent.")] = None,
    json: JsonOption = False,
) -> None:
    """Write invented angiograms as DICOM files, their labels as tables, and the truth about them.

    The same command resumes, and always ends in the same files.

    Example: angioatlas phantom phantoms --patients 20 --size 256
    """
    from phantom.files.cohort import write_cohort  # brings the renderer: not for --help

    with progress(quiet=json) as on_progress:
        report = write_cohort(
            out,
            patients=patients,
            seed=seed,
            size=size,
            fps=fps,
            transfer_syntax=transfer_syntax,
            runs=runs,
            workers=workers,
            on_progress=on_progress,
        )
    if json:
        print_json(report.as_dict())
    else:
        _print(report)


def _print(report: CohortReport) -> None:
    print_facts(
        {
            "patients": report.patients,
            "studies": report.studies,
            "runs": report.runs,
            "  known from before": report.runs - report.runs_written,
            "megabytes": f"{report.bytes / 1e6:.0f}",
            "seconds": f"{report.seconds:.1f}",
        },
        title=f"phantom cohort in {report.folder}",
    )
    files = shlex.quote(str(report.folder / "dicom"))
    say(f"next: angioatlas embed {files} --store atlas --keep-identifiers")
    say(INVENTED, style="dim")
    print_notice()
