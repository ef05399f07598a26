"""What a table of movies says of movies that are known, or that are nowhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from angioatlas.sources import is_gone
from core.ids import Identity
from core.outcomes import Code, InputRefused
from core.schema import Cine
from core.uris import path_of
from embedder.discover import Offered
from embedder.inputs import MovieRows
from embedder.movies.rows import MovieRow
from store.inputs import InputRow, Ledger


def redescribed(
    known: Sequence[InputRow],
    movies: MovieRows,
    *,
    current: Callable[[Collection[str]], Mapping[str, tuple[Cine, ...]]],
    identity: Identity,
) -> set[str]:
    """Find the embedded movies that the table describes otherwise than the store does.

    Parameters
    ----------
    known : sequence of InputRow
        Embedded inputs that the table names.
    movies : mapping of uri to MovieRow
    current : callable
        Study UIDs to their visible cines.
    identity : Identity
        Maps what the table says to the store's identifiers.

    Returns
    -------
    set of str
        Their uris.
    """
    studies = dict.fromkeys(row.study_uid for row in known if row.study_uid)
    cines = current([*studies]) if studies else {}
    stored = {cine.sop_uid: cine for study in cines.values() for cine in study}
    return {
        row.uri
        for row in known
        if row.sop_uid in stored
        and _differs(movies[row.uri], stored[row.sop_uid], identity=identity)
    }


def never_there(movies: MovieRows, seen: Collection[str], ledger: Ledger) -> Iterator[Offered]:
    """Give the movies that the table names, that no run has met, and that do not exist."""
    refusal = InputRefused(Code.UNREADABLE, "a table names it, and it is not there")
    for uri in movies:
        if uri in seen or not is_gone(uri):
            continue
        row = ledger.get(uri)
        if row is None or row.code is Code.UNREADABLE:
            yield Offered(path_of(uri), uri, 0, 0, refusal)


def _differs(row: MovieRow, stored: Cine, *, identity: Identity) -> bool:
    said = identity.cine(replace(stored, **row.says()))
    # Sex, age and date are facts of the study, which may have them from another file, and so may
    # be the patient where this row names none.
    said = replace(
        said,
        sop_uid=said.sop_uid if row.sop_uid else stored.sop_uid,
        patient_id=said.patient_id if row.patient_known else stored.patient_id,
        patient_known=row.patient_known or stored.patient_known,
        patient_sex=stored.patient_sex,
        patient_age_years=stored.patient_age_years,
        study_date=stored.study_date,
    )
    return said != stored
