"""`angioatlas findings`: what the finding heads say of each segment."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from angioatlas.cli.options import (
    EncoderOption,
    JsonOption,
    StoreOption,
    VersionOption,
    open_atlas,
)
from angioatlas.cli.output import print_json, print_notice, print_table, say
from angioatlas.plain_rows import records
from core.segments import FINDINGS, SIGNIFICANT_PERCENT

_OF = {"stenosis": f">{SIGNIFICANT_PERCENT} %", "calcification": "calcified", "cto": "CTO"}


def findings(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY", help="StudyInstanceUID; every study when absent.", show_default=False
        ),
    ] = None,
    store: StoreOption = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="PREDICATE",
            help="SQL predicate over the columns of the findings (see --json) and of studies, such "
            "as \"segment = 'prox_lad' and stenosis_percent > 70 and patient_sex = 'F'\".",
            show_default=False,
        ),
    ] = None,
    encoder: EncoderOption = None,
    heads: Annotated[
        str | None,
        typer.Option(
            "--heads",
            metavar="ID",
            help="Set of finding heads; may be left out when the store holds findings of one.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")] = 50,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show logits in place of probabilities; JSON has both.")
    ] = False,
    version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Show percent stenosis and the probability of each finding, one row a segment.

    The UID may be the original one or the store's surrogate.

    Example: angioatlas findings 2.25.1234 --store atlas
    """
    atlas = open_atlas(store, version=version)
    found = atlas.findings(where, study_uid=study, encoder=encoder, heads=heads)
    total, rows = len(found.table), records(found.table.head(limit))
    if json:
        print_json(
            {
                "study": found.study_uid,
                "encoder_id": found.encoder_id,
                "heads_id": found.heads_id,
                "store_version": found.store_version,
                "total": total,
                "findings": rows,
                "notice": found.notice,
            }
        )
        return
    if found.study_uid is not None:
        say(f"study {found.study_uid}")
    print_table(
        [_shown(row, raw=raw, one_study=study is not None) for row in rows],
        empty="no segment of any study fulfils the predicate",
    )
    if total > len(rows):
        say(f"{len(rows)} of {total} rows; --limit shows more, angioatlas export writes all")
    say(f"* above {SIGNIFICANT_PERCENT} %. Notes tell where heads contradict each other.")
    say(f"Heads {found.heads_id}.", style="dim")
    print_notice(found.encoder_id)


def _shown(row: dict[str, Any], *, raw: bool, one_study: bool) -> dict[str, str]:
    cells = {} if one_study else {"study": row["study_uid"]}
    cells["segment"] = row["segment_name"]
    for finding in FINDINGS:
        of = _OF.get(finding.column, finding.column)
        if not finding.is_probability:
            cells["stenosis %"] = _percent(row[finding.column])
        elif raw:
            cells[f"logit({of})"] = _number(row[f"{finding.column}_logit"])
        else:
            cells[f"P({of})"] = _number(row[finding.column])
    cells["note"] = row["note"] or ""
    return cells


def _percent(value: float | None) -> str:
    if value is None:
        return f"{'-':>6}"
    if value <= SIGNIFICANT_PERCENT:
        return f"{value:6.1f}"
    # Never by colour alone.
    return f"[bold red]{value:6.1f} *[/bold red]"


def _number(value: float | None) -> str:
    return f"{'-':>6}" if value is None else f"{value:6.2f}"
