"""What an embedding run has to do: from what was offered and what is known to work per study.

Nothing here reads pixels or writes rows.  Identifiers are the store's (already pseudonymised).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from angioatlas.sources import Sources, left
from core.outcomes import Code, InputRefused, Status
from core.schema import MAX_STUDY_CINES, Cine
from core.uris import path_of
from embedder.discover import Offered
from store.inputs import InputRow, Ledger

HashFiles = Callable[[Sequence[Path]], Sequence["str | InputRefused"]]
"""Hash files in guarded workers: sha256 in hexadecimal, or why a file cannot be read."""


@dataclass(frozen=True)
class Found:
    """An input whose header describes a cine."""

    offered: Offered
    cine: Cine


@dataclass(frozen=True)
class StudyWork:
    """A study to embed as a whole; no cines means that it lost all of them.

    `before` are its cines in the store now; `dropped`, the ledger rows of those that left.  The
    latter are written with the study and not before it, or a run that is killed in between would
    never come back for the study.
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
    """By uri: the inputs that the work will settle."""


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


def resolve_instances(
    found: Iterable[Found],
    *,
    ledger: Ledger,
    dropped: Collection[str],
    hash_files: HashFiles,
) -> tuple[list[Found], list[InputRow]]:
    """Tell new cines from known ones, duplicates and conflicts, by SOPInstanceUID and bytes.

    Parameters
    ----------
    found : iterable of Found
        In the order of discovery: of two new files with one UID the first is kept.
    ledger : Ledger
    dropped : collection of str
        Uris that left the archive: no longer the keeper of their instance.
    hash_files : callable
        Used only where the UID is known already.

    Returns
    -------
    fresh : list of Found
        To be embedded: new instances, and files whose bytes changed.
    settled : list of InputRow
        Known files that were only touched, duplicates, conflicts, unreadable ones.
    """
    first: dict[str, str] = {}
    fresh: list[Found] = []
    suspects: list[tuple[Found, str, str | None]] = []
    for each in found:
        sop_uid, uri = each.cine.sop_uid, each.offered.uri
        keeper = _keeper(ledger, sop_uid, dropped)
        if keeper is not None:
            suspects.append((each, keeper.uri, keeper.sha256))
        elif sop_uid in first:
            suspects.append((each, first[sop_uid], None))
        else:
            first[sop_uid] = uri
            fresh.append(each)

    to_hash = {each.offered.uri: each.offered.path for each, _, _ in suspects}
    to_hash |= {uri: path_of(uri) for _, uri, sha256 in suspects if sha256 is None}
    digests = dict(zip(to_hash, hash_files(list(to_hash.values())), strict=True))

    settled: list[InputRow] = []
    for each, keeper_uri, keeper_sha256 in suspects:
        mine = digests[each.offered.uri]
        theirs = keeper_sha256
        if keeper_uri != each.offered.uri:
            # The keeper itself may have changed in the meantime, and its copies with it.
            now = digests.get(keeper_uri)
            theirs = now if isinstance(now, str) else keeper_sha256
        if isinstance(mine, InputRefused):
            settled.append(refuse(each.offered, mine, each.cine))
        elif keeper_uri == each.offered.uri and mine != theirs:
            fresh.append(each)
        else:
            settled.append(_compare(each, mine, keeper_uri, same=mine == theirs))
    return fresh, settled


def _keeper(ledger: Ledger, sop_uid: str, dropped: Collection[str]) -> InputRow | None:
    """Return the input that the instance's vectors were made from."""
    for row in ledger.of_instance(sop_uid):
        if row.status is Status.EMBEDDED and row.uri not in dropped:
            return row
    return None


def _compare(each: Found, sha256: str, keeper_uri: str, *, same: bool) -> InputRow:
    if keeper_uri == each.offered.uri:
        return settle(each.offered, Status.EMBEDDED, cine=each.cine, sha256=sha256)
    code = Code.SAME_INSTANCE if same else Code.UID_CONFLICT
    relation = "the same bytes as" if same else "other bytes under the SOPInstanceUID of"
    refusal = InputRefused(code, f"{relation} {keeper_uri}")
    return settle(each.offered, refusal.status, refusal=refusal, cine=each.cine, sha256=sha256)


def plan_studies(
    fresh: Sequence[Found],
    *,
    current: Callable[[Collection[str]], Mapping[str, tuple[Cine, ...]]],
    dropped: Collection[str],
    ledger: Ledger,
    settled: Sequence[InputRow],
    known_studies: Iterable[str],
    in_space: Collection[str],
) -> Plan:
    """Put new, remaining and lost cines together, study by study.

    Parameters
    ----------
    fresh : sequence of Found
        New or changed cines.
    current : callable
        Study UIDs to their visible cines.
    dropped : collection of str
        Uris that left the archive.
    ledger : Ledger
        Tells which instance a replaced or dropped file held.
    settled : sequence of InputRow
        What is settled already; becomes part of the plan.
    known_studies : iterable of str
        Studies of inputs that were offered and are unchanged.
    in_space : collection of str
        Studies whose current vectors exist in the encoder's space.
    """
    plan = Plan(settled=list(settled), offered={each.offered.uri: each.offered for each in fresh})
    by_study: dict[str, list[Found]] = {}
    for each in fresh:
        by_study.setdefault(each.cine.study_uid, []).append(each)
    gone = set(dropped) | plan.offered.keys()
    # An instance may come back from another place while the file it was read from is unreadable.
    replaced = {each.cine.sop_uid for each in fresh}
    rows = [row for uri in sorted(gone) if (row := ledger.get(uri)) is not None]
    affected = [row.study_uid for row in rows if row.study_uid and row.status is Status.EMBEDDED]
    missing = [uid for uid in known_studies if uid not in in_space]
    study_uids = [*dict.fromkeys([*by_study, *affected, *missing])]
    sources = Sources(ledger, settled, gone)
    kept = current(study_uids)
    for study_uid in study_uids:
        before = kept.get(study_uid, ())
        found = [sources.of(cine) for cine in before if cine.sop_uid not in replaced]
        remaining = [cine for cine in found if cine is not None]
        new, excess = _within_limit(remaining, by_study.get(study_uid, []))
        cines, conflicts = _same_patient(remaining, new)
        plan.settled += [*excess, *conflicts]
        if cines or before:
            plan.work.append(StudyWork(study_uid, cines, before, _left(before, cines, ledger)))
    return plan


def _left(before: Sequence[Cine], cines: Sequence[Cine], ledger: Ledger) -> tuple[InputRow, ...]:
    """Return the new ledger rows of files that the study was read from and that are gone."""
    still = {cine.source_uri for cine in cines}
    uris = [cine.source_uri for cine in before if cine.source_uri not in still]
    rows = [row for uri in uris if (row := ledger.get(uri)) is not None]
    return tuple(
        left(row) for row in rows if row.status is Status.EMBEDDED and not path_of(row.uri).exists()
    )


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
