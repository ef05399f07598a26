"""What a store version has of a cohort for a study of LVEF."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analytics.leakage import from_the_measurement
from analytics.lvef.study import Inputs
from analytics.lvef.target import Target, nearest
from angioatlas.cohorts import CohortMembers
from angioatlas.studied import (
    CLINICAL,
    StudyOptions,
    check,
    held_out,
    join_predictors,
    of_exams,
    participants,
    provenance,
    quartiles,
    reads_embeddings,
    subgroups,
)
from core.errors import UsageError
from core.labels import LabelKind
from store.snapshot import Snapshot
from store.store import Store


def gather(
    store: Store,
    snapshot: Snapshot,
    cohort: CohortMembers,
    target: Target,
    options: StudyOptions,
    *,
    encoder_id: str,
    sets: Sequence[str],
) -> Inputs:
    """Join the index exams of a cohort with their vectors, measurements and facts.

    Raises
    ------
    LeakageError
        Something would make the figures too good.
    UsageError
        No exam has a measurement.
    """
    index, every, words = join_predictors(
        snapshot,
        cohort.members,
        options.clinical,
        encoder_id=encoder_id,
        sets=sets,
        more=options.table,
    )
    steps = [tuple(row) for row in cohort.attrition.itertuples(index=False)]
    if reads_embeddings(sets):
        steps.append((f"with a vector of {encoder_id}", len(index), index["patient_id"].nunique()))
    found = nearest(index, snapshot.labels(LabelKind.MEASUREMENTS).to_pandas(), target)
    table = found.table
    by = f" by {target.method}" if target.method else ""
    within = f"with {target.name}{by} within {target.window_days} days"
    if table.empty:
        raise UsageError(
            f"no exam of the cohort is {within.removeprefix('with ')}",
            "take a wider --window-days, or import measurements: angioatlas labels import PATH",
        )
    steps.append((within, len(table), table["patient_id"].nunique()))
    own = of_exams(every, index, table)
    asked = {name: own[name] for name in sets}
    measured = {
        f"{target.name}, median and quartiles": quartiles(table["measured"]),
        "days from exam to measurement": quartiles(table["apart_days"]),
        **{
            f"{target.name} below {each:g}": f"{(table['measured'] < each).mean():.1%}"
            for each in target.thresholds
        },
    }
    return Inputs(
        table=table,
        sets=asked,
        predictors=words,
        subgroups=subgroups(table),
        attrition=pd.DataFrame(steps, columns=["step", "studies", "patients"]),
        participants=participants(table, own[CLINICAL], measured),
        notes=found.notes,
        checks=check(
            snapshot,
            table,
            asked,
            options,
            encoder_id=encoder_id,
            tells=lambda clinical: from_the_measurement(clinical, table["measured"], target.name),
        ),
        provenance=provenance(store, cohort, encoder_id),
        held_out=held_out(table, options),
    )
