"""What of the store is looked at again when a study is decided anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from angioatlas.sources import is_intact
from core.outcomes import Code, InputRefused, Status
from core.schema import Cine
from core.uris import path_of
from embedder.discover import Offered
from embedder.guard.pool import GuardedPool
from embedder.inputs import Input, read_input
from embedder.runs import RULE_CODES, RunFacts, facts_of
from store.inputs import InputRow, Ledger

_AHEAD = 512
_CHUNK = 16


def left_out_before(studies: Iterable[str], ledger: Ledger) -> list[InputRow]:
    """Return the inputs of studies that a rule left out before and that can be read.

    A copy of such a run is none of them unless the run itself is gone.
    """
    rows = [row for study_uid in studies for row in ledger.of_study(study_uid)]
    return [row for row in rows if _was_left_out(row, ledger) and is_intact(row)]


def offered_again(row: InputRow) -> Offered:
    """Return an input as a walk would offer it that finds it unchanged."""
    return Offered(path_of(row.uri), row.uri, row.size, row.mtime_ns)


def read_facts(
    cines: Sequence[Cine],
    *,
    pool: GuardedPool,
    modalities: frozenset[str],
    seconds: float,
    on_read: Callable[[int], None],
) -> dict[str, RunFacts]:
    """Read what the rules look at, of cines that are in the store.

    Parameters
    ----------
    cines : sequence of Cine
    pool : GuardedPool
    modalities : frozenset of str
        See `embedder.dicom.cine.read_run`.
    seconds : float
        Time limit of one header.
    on_read : callable
        Called with the number of headers read so far.

    Returns
    -------
    dict of str to RunFacts
        By SOPInstanceUID; of a file that cannot be read, what its cine alone tells.
    """
    headers = pool.map(
        partial(read_input, modalities=modalities),
        [Input(path_of(cine.source_uri)) for cine in cines],
        ahead=_AHEAD,
        chunk=_CHUNK,
        fallback=Code.BAD_HEADER,
        seconds=seconds,
    )
    facts: dict[str, RunFacts] = {}
    for n, (cine, (_, header)) in enumerate(zip(cines, headers, strict=True), start=1):
        facts[cine.sop_uid] = facts_of(cine) if isinstance(header, InputRefused) else header[1]
        on_read(n)
    return facts


def _was_left_out(row: InputRow, ledger: Ledger) -> bool:
    if row.status is not Status.DUPLICATE or row.sop_uid is None:
        return row.code in RULE_CODES
    files = ledger.of_instance(row.sop_uid)
    left_out = [each for each in files if each.code in RULE_CODES]
    embedded = any(each.status is Status.EMBEDDED for each in files)
    return bool(left_out) and not embedded and not any(map(is_intact, left_out))
