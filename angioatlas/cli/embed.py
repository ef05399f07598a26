"""`angioatlas embed`: cines in, vectors in the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from angioatlas.cli.options import JsonOption, StoreOption, named_store
from angioatlas.cli.output import (
    print_facts,
    print_json,
    print_notice,
    print_table,
    progress,
    say,
)
from core.errors import UsageError
from core.settings import load_settings

if TYPE_CHECKING:
    from angioatlas.report import EmbedReport

QUARANTINED_EXIT = 3
INTERRUPTED_EXIT = 130
_SHOWN = 10


def embed(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files, folders or DICOMDIRs.", show_default=False),
    ],
    store: StoreOption = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            "-e",
            metavar="NAME|FOLDER",
            help="Encoder to embed with; the configured one when absent (phantom-mini, which knows "
            "phantoms only).",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read headers and say what would be done; write nothing."),
    ] = False,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="Modality whose multi-frame images are cines; repeat for several."),
    ] = None,
    site: Annotated[str | None, typer.Option(help="Site name to record.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, fp32 or bf16; auto is bf16 on a GPU, fp32 on a CPU.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips per encoder call.")] = None,
    workers: Annotated[int | None, typer.Option(help="Decode processes.")] = None,
    movies: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Table that assigns AVI and MP4 files to studies."),
    ] = None,
    max_failed: Annotated[
        str | None,
        typer.Option(
            metavar="N|P%", help="Give up when more inputs fail than this; no limit by default."
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try quarantined inputs again.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Hash known files again instead of trusting size and time."),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop videos whose file is no longer under PATH.")
    ] = False,
    videos_per_study: Annotated[
        int | None,
        typer.Option(
            help="Keep the first N runs of a study, in study order; all by default. The original "
            "pipeline takes the first 10."
        ),
    ] = None,
    classified: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Table of a classifier: structure, contrast, stent."),
    ] = None,
    all_runs: Annotated[
        bool, typer.Option("--all-runs", help="Leave no run out by a rule.")
    ] = False,
    reselect: Annotated[
        bool,
        typer.Option(
            "--reselect", help="Apply the rules anew to every study under PATH, known or not."
        ),
    ] = False,
    keep_identifiers: Annotated[
        bool,
        typer.Option(
            "--keep-identifiers", help="New store: keep patient ids and UIDs as they are."
        ),
    ] = False,
    shift_dates: Annotated[
        bool,
        typer.Option("--shift-dates", help="New store: shift dates, one constant per patient."),
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(help="local, or ray: one process a GPU, on one machine or several."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|HOST:PORT",
            help="Ray cluster to embed on; by default one of this machine, for this run alone.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Embed the cines under PATH into the store; the same command resumes.

    Every input ends embedded, skipped, quarantined or duplicate, with a reason.  By default the
    rules of docs/runs.md leave out what is no diagnostic coronary run.

    Example: angioatlas embed /archive/2026 --store atlas --encoder deepcoro
    """
    from angioatlas.atlas import Atlas  # brings LanceDB and pandas: not for --help
    from angioatlas.ingest import EmbedOptions
    from angioatlas.stopping import Stop

    given = {
        "modalities": tuple(modality) if modality else None,
        "site": site,
        "device": device,
        "precision": precision,
        "batch_size": batch_size,
        "workers": workers,
        "movies": movies,
        "max_failed": max_failed,
        "videos_per_study": videos_per_study,
        "classified": classified,
        "all_runs": all_runs or None,
        "engine": engine,
        "ray_address": ray_address,
    }
    settings = load_settings(store=store, encoder=encoder)
    settings = settings.with_embed(**given)
    if ray_address is not None and settings.embed.engine != "ray":
        raise UsageError("--ray-address names a cluster, but --engine is local", "--engine ray")
    options = EmbedOptions(
        dry_run=dry_run,
        retry=retry,
        verify=verify,
        prune=prune,
        reselect=reselect,
        keep_identifiers=keep_identifiers,
        shift_dates=shift_dates,
    )
    stop = Stop()
    with progress(quiet=json) as on_progress, stop.by_signals(_say_stopping):
        report = Atlas.embed_into(
            named_store(settings),
            paths,
            settings=settings,
            options=options,
            on_progress=on_progress,
            stop=stop,
        )
    if json:
        print_json(report.as_dict())
    else:
        _print(report)
    if report.left_for_later:
        say(
            f"stopped before the end, {report.left_for_later} cines are left; "
            "the same command resumes",
            stderr=True,
        )
        raise typer.Exit(INTERRUPTED_EXIT)
    if report.by_status.get("quarantined"):
        raise typer.Exit(QUARANTINED_EXIT)


def _say_stopping() -> None:
    say("stopping after the studies in flight; once more ends it at once", stderr=True)


def _print(report: EmbedReport) -> None:
    for note in report.notes:
        say(note)
    verb = "would be embedded" if report.dry_run else "embedded in this run"
    print_facts(
        {
            "inputs": report.inputs,
            **{f"  {status}": count for status, count in report.by_status.items()},
            "  left out by rules": report.left_out,
            "  known from before": report.unchanged,
            **({"left for later": report.left_for_later} if report.left_for_later else {}),
            f"studies {verb}": report.studies_embedded,
            f"videos {verb}": report.videos_embedded,
            **({"precision": _in(report)} if report.precision else {}),
            "seconds": f"{report.seconds:.1f}",
        },
        title="dry run: nothing was written" if report.dry_run else f"run {report.run_id}",
    )
    if report.stages.bound_by:
        say(report.stages.verdict())
    print_table(
        [{"why not embedded": code, "inputs": count} for code, count in report.by_code.items()],
        empty="every input so far is embedded"
        if report.left_for_later
        else "every input is embedded",
    )
    for problem in report.problems[:_SHOWN]:
        say(f"{problem.code}: {problem.uri}\n  {problem.message}")
    if report.by_status.get("quarantined", 0) > _SHOWN:
        say("all of them: angioatlas store inputs --status quarantined")
    print_notice(report.encoder_id)


def _in(report: EmbedReport) -> str:
    if report.precision == "fp32":
        return "fp32"
    return f"{report.precision}, its vectors of cosine {report.precision_cosine:.6f} to fp32"
