"""`angioatlas cohort`: who is studied, chosen by a rule that can be repeated."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    StoreOption,
    VersionOption,
    YesOption,
    open_atlas,
)
from angioatlas.cli.output import print_facts, print_json, print_notice, print_table, say
from angioatlas.cli.studies import ReportOption
from angioatlas.plain_rows import records
from core.errors import UsageError

if TYPE_CHECKING:
    from angioatlas.cohorts import CohortMembers
    from angioatlas.comparison.comparison import Comparison

app = typer.Typer(no_args_is_help=True, help="Choose, save and repeat cohorts.")

NameArgument = Annotated[str, typer.Argument(help="Name, id, or the beginning of the id.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)],
    store: StoreOption = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="Predicate over the columns of studies."),
    ] = None,
    members: Annotated[
        Path | None,
        typer.Option("--members", help="File with one study or patient a line."),
    ] = None,
    index: Annotated[
        str, typer.Option("--index", help="Exam that counts: first, last or every.")
    ] = "first",
    min_views: Annotated[
        int, typer.Option("--min-views", min=1, help="Videos that the exam has at least.")
    ] = 1,
    since: Annotated[
        dt.datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d"], help="First day of the exam."),
    ] = None,
    until: Annotated[
        dt.datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="Last day of the exam."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="NAME", help="Take the definition of a saved cohort."),
    ] = None,
    encoder: EncoderOption = None,
    version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Choose the index exam of each patient, and save the cohort.

    Predicates speak of patient_age_years, patient_sex, study_date, site, n_videos, n_views,
    exam_number, n_exams, lvef_percent (measured within 90 days), and findings such as
    prox_lad_stenosis_percent; subqueries may read events, procedures, covariates, …

    Example: angioatlas cohort create women --where "patient_sex = 'F' and lvef_percent < 40"
    """
    from analytics.cohort import WHICH, IndexRule

    if index not in WHICH:
        raise UsageError(f"--index {index!r}: expected {', '.join(WHICH)}", "first is the default")
    atlas = open_atlas(store, version=version)
    rule = (
        None
        if like is not None
        else IndexRule(
            WHICH[WHICH.index(index)],
            min_views,
            since.date() if since else None,
            until.date() if until else None,
        )
    )
    chosen = atlas.choose_cohort(
        where=where, members=members, index=rule, like=like, encoder=encoder, name=name
    )
    _print(chosen, json=json)


@app.command("list")
def list_(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the saved cohorts; a stale one was chosen from an older store version.

    Example: angioatlas cohort list --store atlas
    """
    rows = records(open_atlas(store).cohorts())
    if json:
        print_json(rows)
        return
    shown = [{**row, "cohort_id": row["cohort_id"][:12]} for row in rows]
    print_table(shown, empty="no cohort yet: angioatlas cohort create NAME")
    print_notice()


@app.command("show")
def show(name: NameArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show how a cohort was chosen, and how it differs from a choice made now.

    Example: angioatlas cohort show women --store atlas
    """
    atlas = open_atlas(store)
    cohort = atlas.cohort(name)
    stale = atlas.cohort_staleness(cohort)
    _print(cohort, json=json, more={"stale": vars(stale) if stale.is_stale else None})


@app.command("run")
def run(
    name: NameArgument,
    store: StoreOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV to write; the screen when absent.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Choose a saved cohort again, on its own store version: the same members.

    Example: angioatlas cohort run 3fa94c01 --out members.csv
    """
    cohort = open_atlas(store).cohort(name)
    if out is not None:
        cohort.members.to_csv(out, index=False)
        say(f"{len(cohort.members)} studies written to {out}")
        print_notice()
        return
    rows = records(cohort.members)
    if json:
        print_json({**cohort.about(), "members": rows, "notice": cohort.notice})
        return
    print_table(rows)
    print_notice()


@app.command("compare")
def compare(
    names: Annotated[list[str], typer.Argument(help="Cohorts, by name or id; up to four.")],
    store: StoreOption = None,
    rest: Annotated[bool, typer.Option("--rest", help="Compare with everybody else, too.")] = False,
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="Such as mace; see survival endpoints.")
    ] = "mace",
    horizon: Annotated[
        list[int] | None,
        typer.Option(
            "--horizon", metavar="DAYS", help="May be given several times; 365 when absent."
        ),
    ] = None,
    report: ReportOption = None,
    json: JsonOption = False,
) -> None:
    """Tell who is in several cohorts, and what became of them.

    Characteristics with standardised mean differences (SMD); Kaplan-Meier survival, cumulative
    incidence and the log-rank test, where patients were followed.

    Example: angioatlas cohort compare women --rest --horizon 365 --horizon 730 --report women.html
    """
    found = open_atlas(store).compare_cohorts(
        names, rest=rest, endpoint=endpoint, horizons=horizon or (365,)
    )
    written = found.write(report) if report is not None else ()
    if json:
        print_json(found.as_dict())
    else:
        _print_comparison(found)
    for path in written:
        say(f"{path} written", stderr=json)


@app.command("delete")
def delete(name: NameArgument, store: StoreOption = None, yes: YesOption = False) -> None:
    """Delete a saved cohort; studies, labels and models stay.

    Example: angioatlas cohort delete women --yes
    """
    if not yes:
        typer.confirm(f"Delete the cohort {name!r}?", abort=True)
    open_atlas(store).drop_cohort(name)
    say(f"deleted {name!r}")


def _print(cohort: CohortMembers, *, json: bool, more: dict[str, Any] | None = None) -> None:
    steps = records(cohort.attrition)
    if json:
        print_json({**cohort.about(), "attrition": steps, **(more or {}), "notice": cohort.notice})
        return
    about = cohort.about()
    rule = about.pop("definition")["index"]
    about["index"] = ", ".join(f"{key} {value}" for key, value in rule.items() if value is not None)
    print_facts(about)
    print_table(steps)
    stale = (more or {}).get("stale")
    if stale:
        changed = (
            ""
            if stale["joined"] is None
            else (f": now {stale['joined']} studies would join and {stale['left']} leave")
        )
        say(f"stale: the store is at version {stale['latest_version']}{changed}", style="yellow")
    print_notice()


def _print_comparison(found: Comparison) -> None:
    print_table(
        [{**each.about(), "cohort_id": (each.cohort_id or "")[:12]} for each in found.groups]
    )
    for told in found.notes:
        say(told, style="yellow")
    rows = records(found.characteristics)
    print_table([{**row, "smd": _two_digits(row["smd"])} for row in rows])
    if found.outcomes is None:
        say(f"no outcomes: {found.not_told}", style="yellow")
    else:
        print_table(records(found.follow_up()), title=f"\n{found.endpoint.name}")
        print_table(records(found.risks()))
        say(found.tested())
    print_notice()


def _two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
