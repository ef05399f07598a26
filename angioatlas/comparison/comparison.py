"""Cohorts compared: who is in them, what became of them, and the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pandas as pd
import plotly.graph_objects as go

from analytics.balance import Balance, balance
from analytics.endpoints import Endpoint, Outcomes, Rules, observe
from analytics.preparation import library_versions
from analytics.report import cohorts as report
from analytics.report.document import Document
from analytics.survival.groups import Fates, compare_groups
from analytics.survival.times import follow_up
from angioatlas.cohorts import CohortMembers, opened
from angioatlas.comparison.characteristics import characteristics, described
from angioatlas.comparison.groups import Group, grouped, in_several, named
from angioatlas.report_files import Reported
from core.errors import UsageError
from core.labels import LabelKind
from core.provenance import RESEARCH_USE, software_version
from store.snapshot import Snapshot
from store.store import Store


@final
@dataclass(frozen=True, eq=False)
class Comparison(Reported):
    """Several cohorts side by side: a description, no causal statement.

    Attributes
    ----------
    groups : tuple of Group
        name, cohort_id, store_version, studies, patients.
    endpoint : Endpoint
    balance : Balance
        Characteristics as numbers, and all differences.
    outcomes : Fates or None
        What became of the groups; None where that cannot be told.
    not_told : str or None
        Why there are no outcomes, and the next step.
    excluded : DataFrame
        group, reason, patients: who could not be followed.
    notes : tuple of str
    provenance : dict
    notice : str
    """

    groups: tuple[Group, ...]
    endpoint: Endpoint
    balance: Balance
    outcomes: Fates | None
    not_told: str | None
    excluded: pd.DataFrame
    notes: tuple[str, ...]
    provenance: dict[str, Any]
    notice: str = RESEARCH_USE

    @property
    def characteristics(self) -> pd.DataFrame:
        """characteristic, words for each group, smd; see `analytics.balance.Balance.table`."""
        return self.balance.table()

    @property
    def store_versions(self) -> tuple[int, ...]:
        """The store versions that the groups are of, ascending, each once."""
        return tuple(sorted({each.store_version for each in self.groups}))

    def survival_figure(self) -> go.Figure:
        """Draw the Kaplan-Meier curves with the numbers at risk below.

        Raises
        ------
        UsageError
            There are no outcomes.
        """
        return report.survival_figure(self._told())

    def incidence_figure(self) -> go.Figure:
        """Draw the cumulative incidence likewise."""
        return report.incidence_figure(self._told())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        found: dict[str, Any] = json.loads(self.document().json())
        return found

    def document(self) -> Document:
        """Return the report."""
        return report.cohorts_report(
            report.Compared(
                [each.about() for each in self.groups],
                self.endpoint,
                self.balance,
                self.outcomes,
                self.not_told,
                self.excluded,
                self.notes,
                self.provenance,
            )
        )

    def follow_up(self) -> pd.DataFrame:
        """Return patients, events and median follow-up by group, as words for a table."""
        return report.followed_table(self._told())

    def risks(self) -> pd.DataFrame:
        """Return survival and incidence at the horizons by group, as words for a table."""
        return report.risks_table(self._told())

    def tested(self) -> str:
        """Return the log-rank test in a sentence, or why there is none."""
        return report.tested(self._told())

    def _told(self) -> Fates:
        if self.outcomes is None:
            raise UsageError("there are no curves to draw", self.not_told or "")
        return self.outcomes


def compare(
    store: Store,
    cohorts: Sequence[CohortMembers],
    open_at: Callable[[int], Snapshot],
    *,
    names: Sequence[str] | None,
    rest: bool,
    endpoint: Endpoint,
    horizons: Sequence[int],
    rules: Rules,
) -> Comparison:
    """Compare cohorts, each on the store version that it was chosen from.

    Parameters
    ----------
    store : Store
    cohorts : sequence of CohortMembers
    open_at : callable
        Opens a version of the store.
    names : sequence of str, optional
        Of the cohorts; their own by default.
    rest : bool
        Whether everybody else is a group, too.
    endpoint : Endpoint
    horizons : sequence of int
        In days, ascending.
    rules : Rules

    Raises
    ------
    UsageError
        Groups are too few, too many or of nobody, or two have one name.
    """
    groups = grouped(cohorts, named(cohorts, names, rest=rest), open_at, rest=rest)
    versions = {}
    for version, cohort in {each.store_version: each for each in cohorts}.items():
        same = pd.concat([each.exams for each in groups if each.store_version == version])
        with opened(cohort, open_at) as snapshot:
            versions[version] = _read(snapshot, same.drop_duplicates("study_uid"), endpoint, rules)
    shared = in_several(groups)
    followed = {each.name: _of(each, versions[each.store_version][1].table) for each in groups}
    outcomes, not_told = _outcomes(followed, horizons, shared)
    read = [note for _, found in versions.values() for note in found.notes]
    return Comparison(
        groups=tuple(groups),
        endpoint=endpoint,
        balance=_balance(groups, {each: facts for each, (facts, _) in versions.items()}),
        outcomes=outcomes,
        not_told=not_told,
        excluded=_excluded(groups, {each: found for each, (_, found) in versions.items()}),
        notes=(*_notes(groups, shared), *dict.fromkeys(read)),
        provenance=_provenance(store, groups, endpoint, rules),
    )


def _read(
    snapshot: Snapshot, exams: pd.DataFrame, endpoint: Endpoint, rules: Rules
) -> tuple[pd.DataFrame, Outcomes]:
    """Return what a store version knows of exams, and what became of their patients."""
    facts = characteristics(snapshot, exams.reset_index(drop=True))
    patients = [*facts["patient_id"].unique()]
    events, ends = (
        snapshot.labels(kind, patients=patients).to_pandas()
        for kind in (LabelKind.EVENTS, LabelKind.FOLLOW_UP)
    )
    index = facts[["study_uid", "patient_id", "index_date"]]
    return facts, observe(index, events, ends, endpoint, rules)


def _of(group: Group, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are a group's."""
    return table[table["study_uid"].isin(group.exams["study_uid"])]


def _balance(groups: Sequence[Group], facts: Mapping[int, pd.DataFrame]) -> Balance:
    # Together, so that a column is of numbers, truth values or words in all groups alike.
    parts = {each.name: _of(each, facts[each.store_version]) for each in groups}
    whole = described(pd.concat(parts))
    return balance({name: whole.loc[[name]] for name in parts})


def _outcomes(
    followed: Mapping[str, pd.DataFrame], horizons: Sequence[int], shared: int
) -> tuple[Fates | None, str | None]:
    nobody = [name for name, table in followed.items() if table.empty]
    if nobody:
        return None, (
            f"nobody of {' and '.join(nobody)} can be followed beyond the index date: import "
            "events and follow-up (angioatlas labels import PATH), and choose the cohort anew, "
            "which reads the labels that the store has then"
        )
    times = {name: follow_up(each["time_days"], each["state"]) for name, each in followed.items()}
    return compare_groups(times, horizons=horizons, shared=shared), None


def _excluded(groups: Sequence[Group], found: Mapping[int, Outcomes]) -> pd.DataFrame:
    parts = [
        _of(each, found[each.store_version].excluded).assign(group=each.name) for each in groups
    ]
    counted = pd.concat(parts).groupby(["group", "reason"], sort=False).size()
    return counted.reset_index(name="patients")


def _notes(groups: Sequence[Group], shared: int) -> list[str]:
    notes = [
        f"{each.name}: of {each.studies:,} exams the first of each patient counts"
        for each in groups
        if each.studies > each.patients
    ]
    if len({each.store_version for each in groups}) > 1:
        notes.append("the cohorts were chosen from different store versions, each is read as then")
    if shared:
        notes.append(f"patients in more than one group: {shared:,}")
    return notes


def _provenance(
    store: Store, groups: Sequence[Group], endpoint: Endpoint, rules: Rules
) -> dict[str, Any]:
    return {
        "store": store.uuid,
        "cohorts": ", ".join(f"{each.name} {each.cohort_id or ''}".strip() for each in groups),
        "store_versions": ", ".join(str(each.store_version) for each in groups),
        "endpoint": f"{endpoint.name}: {', '.join(endpoint.components)}",
        **vars(rules),
        "software": f"angioatlas {software_version()}",
        **library_versions(),
    }
