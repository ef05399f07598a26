"""What commands print: tables for people, JSON for programs, progress on standard error."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from core.provenance import RESEARCH_USE
from core.schema import UID_COLUMN

Row = Mapping[str, Any]


_WIDE = 250


def console(*, stderr: bool = False) -> Console:
    """Make a console on the present standard output or error."""
    made = Console(stderr=stderr, highlight=False)
    # Into a pipe or a file a table keeps its lines whole: a UID cut in two is of no use.
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDE)


def say(text: str, *, stderr: bool = False, style: str = "") -> None:
    """Print a line as it is: no markup, and no line break that the text does not have."""
    console(stderr=stderr).print(text, markup=False, soft_wrap=True, style=style)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    console().file.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")


def print_table(rows: Sequence[Row], *, title: str = "", empty: str = "nothing found") -> None:
    """Print rows as a table; the columns are the keys of the first row."""
    out = console()
    if not rows:
        out.print(empty)
        return
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    for column in rows[0]:
        numeric = all(isinstance(row[column], int | float | None) for row in rows)
        table.add_column(str(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)


def print_facts(facts: Row, *, title: str = "") -> None:
    """Print name and value pairs, one a line."""
    if title:
        say(title, style="bold")
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        say(f"{name:<{width}}  {_cell(value)}")


def print_notice(encoder_id: str | None = None) -> None:
    """Print the research-use notice, with the encoder the results come from."""
    source = f"Encoder {encoder_id}. " if encoder_id else ""
    say(f"{source}{RESEARCH_USE}", style="dim")


def print_hits(found: Any, *, query: Row, json: bool, empty: str) -> None:
    """Print what `Atlas.search` or `Atlas.similar` found, and what it was asked."""
    rows = found.rows()
    uids = [row[UID_COLUMN[found.level]] for row in rows]
    if json:
        about = {
            "level": found.level.value,
            "score": found.score.value,
            "encoder_id": found.encoder_id,
            "store_version": found.store_version,
            "chance_note": found.chance_note,
        }
        if found.explanations:
            rows = [
                row | {"why": asdict(found.why(uid))} for row, uid in zip(rows, uids, strict=True)
            ]
        print_json({**query, **about, "hits": rows, "notice": RESEARCH_USE})
        return
    print_table([_with_chance(row) for row in rows], empty=empty)
    for uid in uids if found.explanations else ():
        _print_why(uid, found.why(uid))
    if found.chance_note:
        say(f"note: {found.chance_note}", style="yellow")
    print_notice(found.encoder_id)


def _with_chance(row: Row) -> Row:
    """Show an expected number with two digits, and a bound as one."""
    number, is_bound = row["chance"], row["chance_is_bound"]
    shown = None if number is None else f"{'< ' if is_bound else ''}{number:.2g}"
    return {
        name: shown if name == "chance" else value
        for name, value in row.items()
        if name != "chance_is_bound"
    }


def _print_why(uid: str, why: Any) -> None:
    if why.note:
        say(f"{uid}: {why.note}")
        return
    title = "contributions add up to the score" if why.adds_up else "what each video adds"
    print_table([asdict(each) for each in why.matched], title=f"{uid}: {title}")


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show the progress of a long task on standard error.

    Yields
    ------
    callable (phase, done, total or None)
        To be called with the number of items done so far.
    """
    if quiet:
        yield lambda phase, done, total: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def on_progress(phase: str, done: int, total: int | None) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total, rate="")
            speed = bar.tasks[tasks[phase]].speed
            bar.update(
                tasks[phase],
                completed=done,
                total=total,
                rate=f"{speed:.1f}/s" if speed else "",
            )

        yield on_progress


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(_plain(each)) for each in value) or "-"
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it knows."""
    match value:
        case np.generic():
            return value.item()
        case np.ndarray():
            return value.tolist()
        case dt.datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case dt.date():
            return value.isoformat()
        case Enum():
            return value.value
        case Path():
            return str(value)
        case _:
            return value if isinstance(value, str | int | float | list | dict) else str(value)
