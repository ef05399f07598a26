"""`angioatlas probes`: what embeddings, text and heads tell of findings that were measured."""

from __future__ import annotations

from pathlib import Path

from angioatlas.cli.options import EncoderOption, JsonOption, StoreOption, open_atlas
from angioatlas.cli.output import print_facts, print_json, print_notice, print_table, say
from angioatlas.cli.studies import ExamsOption, FoldsOption, OutOption, ReportOption, SeedOption
from angioatlas.plain_rows import records
from core.provenance import RESEARCH_USE


def probes(
    store: StoreOption = None,
    cohort: ExamsOption = None,
    folds: FoldsOption = 5,
    seed: SeedOption = 0,
    report: ReportOption = None,
    out: OutOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Hold probes, text and the encoder's heads against measured findings, segment by segment.

    Of every exam of everybody, or of the index exams of a cohort.

    Example: angioatlas probes --report probes.html --store atlas
    """
    from analytics.probes.errors import EVERY

    found = open_atlas(store).probe_findings(cohort=cohort, encoder=encoder, folds=folds, seed=seed)
    written: list[Path] = [*found.write(report)] if report is not None else []
    if out is not None:
        found.table.to_csv(out, index=False)
        written.append(out)
    if json:
        print_json(found.as_dict() | {"notice": RESEARCH_USE})
    else:
        print_facts({"exams": found.exams, "patients": found.patients})
        columns = ["finding", "method", "cases", "auc", "auc_lower", "auc_upper", "weak"]
        print_table(records(found.table[columns]))
        errors = found.errors[found.errors["place"] == EVERY].drop(columns="place")
        say("percent stenosis over every segment, mean absolute error in points:")
        print_table(records(errors))
        print_notice(found.encoder_id)
    for path in written:
        say(f"{path} written", stderr=json)
