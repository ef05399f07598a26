"""The `angioatlas` command: assembles the verbs, turns errors into two lines and an exit code.

Exit codes: 0 clean, 1 failed, 2 usage, 3 finished with quarantined inputs, 130 interrupted.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from angioatlas.cli import (
    audit,
    cine,
    cohort,
    config,
    dashboard,
    demo,
    doctor,
    embed,
    encoders,
    evaluate,
    export,
    findings,
    index,
    judgements,
    keys,
    labels,
    lvef,
    maps,
    phantom,
    probes,
    progression,
    search,
    serve,
    similar,
    store,
    survival,
)
from angioatlas.cli.output import say
from core.errors import AtlasError
from core.provenance import RESEARCH_USE, software_version


class _Commands(TyperGroup):
    """A group whose expected failures are two lines on standard error, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AtlasError as error:
            if ctx.params.get("debug"):
                raise
            say(f"error: {error.message}", stderr=True, style="red")
            if error.hint:
                say(f"hint: {error.hint}", stderr=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            say("interrupted; the same command resumes", stderr=True)
            raise typer.Exit(embed.INTERRUPTED_EXIT) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Embedding search for coronary angiography. {RESEARCH_USE}",
)


def _print_version(asked: bool) -> None:
    if asked:
        say(f"angioatlas {software_version()}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of failures.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before the verb; the group's help is set above."""


app.command("demo")(demo.demo)
app.command("embed")(embed.embed)
app.command("search")(search.search)
app.command("similar")(similar.similar)
app.command("findings")(findings.findings)
app.command("cine")(cine.cine)
app.command("probes")(probes.probes)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("dashboard")(dashboard.dashboard)
app.command("phantom")(phantom.phantom)
app.command("doctor")(doctor.doctor)
app.add_typer(encoders.app, name="encoders")
app.add_typer(index.app, name="index")
app.add_typer(judgements.app, name="judgements")
app.add_typer(labels.app, name="labels")
app.add_typer(cohort.app, name="cohort")
app.add_typer(survival.app, name="survival")
app.add_typer(lvef.app, name="lvef")
app.add_typer(progression.app, name="progression")
app.add_typer(maps.app, name="map")
app.add_typer(store.app, name="store")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(config.app, name="config")


def run() -> None:
    """Run the command line (the console script)."""
    app(prog_name="angioatlas")


if __name__ == "__main__":
    run()
