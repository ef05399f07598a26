"""What an embedding run has to do: from what was offered and what is known to work per study.

Nothing here reads pixels or writes rows.  Identifiers are the store's (already pseudonymised).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from angioatlas.choose import AS_IT_IS, Choice
from angioatlas.sources import Sources, is_gone, left
from core.outcomes import Code, InputRefused, Status
from core.schema import MAX_STUDY_CINES, Cine
from embedder.discover import Offered
from embedder.runs import RunFacts
from store.inputs import InputRow, Ledger


@dataclass(frozen=True)
class Found:
    """An input whose header describes a cine."""

    offered: Offered
    cine: Cine
    facts: RunFacts


@dataclass(frozen=True)
class StudyWork:
    """A study to embed as a whole; no cines means that it lost all of them.

    `before` are its cines in the store now; `dropped`, the ledger rows of those that left and of
    the runs that a rule left out.  They are written with the study and not before it, or a run
    that is killed in between would never come back for the study.
    """

    study_uid: str
    cines: tuple[Cine, ...]
    before: tuple[Cine, ...] = ()
    dropped: tuple[InputRow, ...] = ()


@dataclass
class Plan:
    """The work of a run, and the ledger rows that are settled without decoding."""

    work: list[StudyWork] = field(default_factory=list)
    settled: list[InputRow] = field(default_factory=list)
    offered: dict[str, Offered] = field(default_factory=dict)
    """By uri: the new inputs that the work will settle."""
    contrast_seen: set[str] = field(default_factory=set)
    """SOPInstanceUIDs of runs of the work whose contrast need not be measured."""

    @property
    def inputs(self) -> set[str]:
        """The uris that the run settles, known or not: by their headers, or by decoding."""
        decoded = {cine.source_uri for work in self.work for cine in work.cines}
        return decoded | {row.uri for row in self.settled}


def settle(
    offered: Offered,
    status: Status,
    *,
    refusal: InputRefused | None = None,
    cine: Cine | None = None,
    sha256: str | None = None,
) -> InputRow:
    """Make the ledger row of one input."""
    return InputRow(
        uri=offered.uri,
        size=offered.size,
        mtime_ns=offered.mtime_ns,
        sop_uid=cine.sop_uid if cine else None,
        study_uid=cine.study_uid if cine else None,
        sha256=sha256,
        status=status,
        code=refusal.reason if refusal else None,
        message=refusal.message if refusal else "",
    )


def refuse(offered: Offered, refusal: InputRefused, cine: Cine | None = None) -> InputRow:
    """Make the ledger row of a refused input."""
    return settle(offered, refusal.status, refusal=refusal, cine=cine)


@dataclass(frozen=True)
class Choosing:
    """How the runs of this plan are chosen.

    Attributes
    ----------
    choice : Choice
    facts_of : callable
        Read what the rules look at, of cines that are in the store; by SOPInstanceUID.
    studies : collection of str
        Studies to decide anew although no input of theirs is new.
    idle : collection of str
        Uris that are no reason to embed their study again: only decoding would tell what they are.
    """

    choice: Choice
    facts_of: Callable[[Sequence[Cine]], Mapping[str, RunFacts]]
    studies: Collection[str] = ()
    idle: Collection[str] = ()


def plan_studies(
    fresh: Sequence[Found],
    *,
    current: Callable[[Collection[str]], Mapping[str, tuple[Cine, ...]]],
    dropped: Mapping[str, str | None],
    ledger: Ledger,
    settled: Sequence[InputRow],
    known_studies: Iterable[str],
    in_space: Collection[str],
    choosing: Choosing,
) -> Plan:
    """Put new, remaining and lost cines together, study by study, and choose those that count.

    Parameters
    ----------
    fresh : sequence of Found
        New or changed cines, and those of their studies that a rule left out before.
    current : callable
        Study UIDs to their visible cines.
    dropped : mapping of str to str
        Uris that left the archive, with the study that each was a video of.
    ledger : Ledger
        Tells which instance a replaced or dropped file held.
    settled : sequence of InputRow
        What is settled already; becomes part of the plan.
    known_studies : iterable of str
        Studies of inputs that were offered and are unchanged.
    in_space : collection of str
        Studies whose current vectors exist in the encoder's space.
    choosing : Choosing
        The rules.  A study that is only missing in the encoder's space stays what it is.
    """
    plan = Plan(settled=list(settled))
    by_study: dict[str, list[Found]] = {}
    for each in fresh:
        by_study.setdefault(each.cine.study_uid, []).append(each)
    gone = {*dropped, *(each.offered.uri for each in fresh)}
    # An instance may come back from another place while the file it was read from is unreadable.
    replaced = {each.cine.sop_uid for each in fresh}
    rows = [row for uri in sorted(gone) if (row := ledger.get(uri)) is not None]
    affected = [row.study_uid for row in rows if row.study_uid and row.status is Status.EMBEDDED]
    affected += [study_uid for study_uid in dropped.values() if study_uid]
    missing = [uid for uid in known_studies if uid not in in_space]
    anew, must = {*by_study, *affected, *choosing.studies}, {*affected, *missing}
    study_uids = [*dict.fromkeys([*by_study, *affected, *missing, *choosing.studies])]
    sources = Sources(ledger, settled, gone)
    kept = current(study_uids)
    remaining: dict[str, list[Cine]] = {}
    for study_uid in study_uids:
        found = [sources.of(c) for c in kept.get(study_uid, ()) if c.sop_uid not in replaced]
        remaining[study_uid] = [cine for cine in found if cine is not None]
    facts = choosing.facts_of(
        [cine for uid in study_uids if uid in anew for cine in remaining[uid]]
    )
    for study_uid in study_uids:
        new = by_study.get(study_uid, [])
        choice = choosing.choice if study_uid in anew else AS_IT_IS
        chosen = _choose(remaining[study_uid], new, facts, choice, sources)
        rows = [row for row in chosen.left_out if row != ledger.get(row.uri)]
        plan.settled += chosen.refused
        before = kept.get(study_uid, ())
        changed = study_uid in must or _is_changed(before, chosen, choosing.idle)
        if changed and (before or chosen.cines):
            rows += _left(before, chosen.cines, ledger)
            plan.work.append(StudyWork(study_uid, chosen.cines, before, tuple(rows)))
            plan.offered |= chosen.offered
            seen = [cine.sop_uid for cine in chosen.cines if choice.saw_contrast(cine.sop_uid)]
            plan.contrast_seen.update(seen)
        else:
            plan.settled += rows
    return plan


@dataclass(frozen=True)
class _Chosen:
    """What a study is made of, what is left out of it, and what it does not take at all."""

    cines: tuple[Cine, ...]
    offered: dict[str, Offered]
    left_out: list[InputRow]
    refused: list[InputRow]


def _choose(
    remaining: Sequence[Cine],
    found: Sequence[Found],
    facts: Mapping[str, RunFacts],
    choice: Choice,
    sources: Sources,
) -> _Chosen:
    runs = [(cine, facts[cine.sop_uid]) for cine in remaining if cine.sop_uid in facts]
    refusals = choice.refusals([*runs, *((each.cine, each.facts) for each in found)])
    staying = [cine for cine in remaining if cine.sop_uid not in refusals]
    coming = [each for each in found if each.cine.sop_uid not in refusals]
    new, excess = _within_limit(staying, coming)
    cines, conflicts = _same_patient(staying, new)
    refusals |= choice.over(cines)
    offered = {each.offered.uri: each.offered for each in found}
    out = [each for each in (*remaining, *(f.cine for f in found)) if each.sop_uid in refusals]
    cines = tuple(cine for cine in cines if cine.sop_uid not in refusals)
    uris = {cine.source_uri for cine in cines}
    return _Chosen(
        cines,
        {uri: each for uri, each in offered.items() if uri in uris},
        [_left_out(each, refusals[each.sop_uid], offered, sources) for each in out],
        [*excess, *conflicts],
    )


def _is_changed(before: Sequence[Cine], chosen: _Chosen, idle: Collection[str]) -> bool:
    """Whether a study is made of other runs than before, or of other bytes."""
    cines = [cine for cine in chosen.cines if cine.source_uri not in idle]
    return {cine.sop_uid for cine in cines} != {cine.sop_uid for cine in before} or any(
        cine.source_uri in chosen.offered for cine in cines
    )


def _left_out(
    cine: Cine, refusal: InputRefused, offered: Mapping[str, Offered], sources: Sources
) -> InputRow:
    """Return the ledger row of a run that a rule leaves out, new or embedded until now."""
    if cine.source_uri in offered:
        return refuse(offered[cine.source_uri], refusal, cine)
    row = sources.row(cine.source_uri)
    assert row is not None, "every cine of the store is in the ledger"
    return left(row, refusal)


def _left(before: Sequence[Cine], cines: Sequence[Cine], ledger: Ledger) -> tuple[InputRow, ...]:
    """Return the new ledger rows of files that the study was read from and that are gone."""
    still = {cine.source_uri for cine in cines}
    uris = [cine.source_uri for cine in before if cine.source_uri not in still]
    rows = [row for uri in uris if (row := ledger.get(uri)) is not None]
    gone = InputRefused(Code.NO_LONGER_THERE)
    held = (Status.EMBEDDED, Status.QUARANTINED)
    return tuple(left(row, gone) for row in rows if row.status in held and is_gone(row.uri))


def _within_limit(
    remaining: Sequence[Cine], found: Sequence[Found]
) -> tuple[Sequence[Found], list[InputRow]]:
    """Refuse what would make a study impossibly large: the last ones, in study order."""
    room = max(0, MAX_STUDY_CINES - len(remaining))
    if len(found) <= room:
        return found, []
    ordered = sorted(found, key=lambda each: each.cine.order)
    refusal = InputRefused(
        Code.TOO_MANY_CINES, f"its study has {len(remaining) + len(found)} cines"
    )
    return ordered[:room], [refuse(each.offered, refusal, each.cine) for each in ordered[room:]]


def _same_patient(
    remaining: Sequence[Cine], found: Sequence[Found]
) -> tuple[tuple[Cine, ...], list[InputRow]]:
    """Hold a study to one patient: that of the first cine, in study order, that has one."""
    ordered = sorted(found, key=lambda each: each.cine.order)
    known = [c for c in (*remaining, *(each.cine for each in ordered)) if c.patient_known]
    cines = list(remaining)
    conflicts: list[InputRow] = []
    for each in ordered:
        if each.cine.patient_known and each.cine.patient_id != known[0].patient_id:
            refusal = InputRefused(
                Code.PATIENT_CONFLICT, "its PatientID is not that of the study's other files"
            )
            conflicts.append(refuse(each.offered, refusal, each.cine))
        else:
            cines.append(each.cine)
    if known:
        # A file of the study that lost its PatientID belongs to the study's patient.
        cines = [
            replace(cine, patient_id=known[0].patient_id, patient_known=True) for cine in cines
        ]
    return tuple(sorted(cines, key=lambda cine: cine.order)), conflicts
