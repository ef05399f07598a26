"""Which of several files of one SOP instance is the one: new ones, duplicates, conflicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from angioatlas.plan import Found, refuse, settle
from core.outcomes import Code, InputRefused, Status
from core.uris import path_of
from store.inputs import InputRow, Ledger

HashFiles = Callable[[Sequence[Path]], Sequence["str | InputRefused"]]
"""Hash files in guarded workers: sha256 in hexadecimal, or why a file cannot be read."""


def resolve_instances(
    found: Iterable[Found],
    *,
    ledger: Ledger,
    dropped: Collection[str],
    redescribed: Collection[str] = (),
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
    redescribed : collection of str
        Uris of known inputs whose description changed: to be embedded again although their bytes
        are the same.
    hash_files : callable
        Used only where the UID is known already.

    Returns
    -------
    fresh : list of Found
        To be embedded: new instances, and files whose bytes or description changed.
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
        elif keeper_uri == each.offered.uri and (mine != theirs or keeper_uri in redescribed):
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
