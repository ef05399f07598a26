"""What a store version has of a cohort for a survival study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analytics.endpoints import Endpoint, Outcomes, Rules, observe
from analytics.leakage import from_the_outcome
from analytics.survival.study import Plan
from angioatlas.cohorts import CohortMembers
from angioatlas.studied import (
    CLINICAL,
    StudyOptions,
    check,
    join_predictors,
    of_exams,
    participants,
    quartiles,
    reads_embeddings,
    subgroups,
)
from core.errors import UsageError
from core.labels import LabelKind
from store.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a snapshot has of a cohort.

    Attributes
    ----------
    outcomes : Outcomes
        Of the exams that can be analysed.
    sets : dict of str to DataFrame
    words : dict of str to tuple of str
    subgroups, attrition, participants : DataFrame
    checks : tuple of str
        What was looked for that would make figures too good; nothing of it was found.
    """

    outcomes: Outcomes
    sets: dict[str, pd.DataFrame]
    words: dict[str, tuple[str, ...]]
    subgroups: pd.DataFrame
    attrition: pd.DataFrame
    participants: pd.DataFrame
    checks: tuple[str, ...]


def gather(
    snapshot: Snapshot,
    cohort: CohortMembers,
    plan: Plan,
    options: StudyOptions,
    *,
    encoder_id: str,
    sets: Sequence[str],
) -> Gathered:
    """Join the index exams of a cohort with their vectors, labels and facts.

    Raises
    ------
    LeakageError
        Something would make the figures too good.
    UsageError
        Nobody can be followed.
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
    found, steps = follow(snapshot, index, plan.endpoint, plan.rules, steps)
    table = found.table
    own = of_exams(every, index, table)
    asked = {name: own[name] for name in sets}
    followed = {"median follow-up in days, quartiles": quartiles(table["time_days"])}
    return Gathered(
        outcomes=found,
        sets=asked,
        words=words,
        subgroups=subgroups(table),
        attrition=pd.DataFrame(steps, columns=["step", "studies", "patients"]),
        participants=participants(table, own[CLINICAL], followed),
        checks=check(
            snapshot,
            table,
            asked,
            options,
            encoder_id=encoder_id,
            tells=lambda clinical: from_the_outcome(clinical, found.times),
        ),
    )


def follow(
    snapshot: Snapshot,
    index: pd.DataFrame,
    target: Endpoint,
    rules: Rules,
    steps: Sequence[tuple[object, ...]],
) -> tuple[Outcomes, list[tuple[object, ...]]]:
    """Read off what became of index exams; return it, and the steps to those who are left.

    Parameters
    ----------
    snapshot : Snapshot
    index : DataFrame
        study_uid, patient_id, index_date.
    target : Endpoint
    rules : Rules
    steps : sequence of (step, studies, patients)
        Until here, at least one.

    Raises
    ------
    UsageError
        Nobody can be followed.
    """
    found = observe(
        index,
        snapshot.labels(LabelKind.EVENTS).to_pandas(),
        snapshot.labels(LabelKind.FOLLOW_UP).to_pandas(),
        target,
        rules,
    )
    steps, left = [*steps], len(index)
    for reason, count in found.excluded["reason"].value_counts().sort_index().items():
        left -= count
        steps.append((f"without those {reason}", left, None))
    table = found.table
    if table.empty:
        raise UsageError(
            "nobody of the cohort can be followed: "
            + "; ".join(str(each[0]) for each in steps[-3:]),
            "import follow-up first: angioatlas labels import PATH",
        )
    steps[-1] = (steps[-1][0], len(table), table["patient_id"].nunique())
    return found, steps
