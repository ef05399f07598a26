"""The first half of an embedding run: walk the paths, read what is not known, plan the work."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from angioatlas.choose import Choice
from angioatlas.instances import resolve_instances
from angioatlas.known import Known
from angioatlas.movies import never_there, redescribed
from angioatlas.plan import Choosing, Found, Plan, plan_studies, refuse
from angioatlas.reconsider import left_out_before, offered_again, read_facts
from angioatlas.sources import is_gone
from core.ids import Identity
from core.outcomes import Code, InputRefused, Status
from core.schema import CINE_MODALITIES, Cine
from core.uris import uri_of
from embedder.dicom.dicomdir import referenced_files
from embedder.discover import Offered, References, discover
from embedder.frames import file_sha256
from embedder.guard.pool import GuardedPool
from embedder.inputs import Input, MovieRows, read_input
from embedder.runs import RunFacts
from store.inputs import InputRow

OnProgress = Callable[[str, int, int | None], None]
"""Called with the phase, the items done, and how many there are if that is known."""

_HEADERS_AHEAD = 512
_HEADERS_CHUNK = 16


def no_progress(phase: str, done: int, total: int | None) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class SurveyOptions:
    """What is read besides what is new."""

    modalities: frozenset[str]
    """Modalities whose multi-frame images are cines."""
    header_seconds: float
    """Time limit of one header."""
    choice: Choice
    """Which runs count."""
    movies: MovieRows = field(default_factory=dict)
    """What a table says of AVI and MP4 files, by uri."""
    retry: bool = False
    """Read quarantined inputs again."""
    verify: bool = False
    """Hash known files again instead of trusting size and modification time."""
    prune: bool = False
    """Drop videos whose file is no longer under the folders given."""
    reselect: bool = False
    """Decide every study under the paths anew by the rules."""
    exclude: Path | None = None
    """A folder that is no part of the archive although it may lie inside it: the store's own."""


@dataclass
class Findings:
    """What a walk over the paths found."""

    seen: set[str] = field(default_factory=set)
    trusted: dict[str, InputRow] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    settled: list[InputRow] = field(default_factory=list)
    dropped: dict[str, str | None] = field(default_factory=dict)
    """Study of each video whose file left the archive, by uri."""
    surrogates: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    """(kind, surrogate, original) of what was replaced, by SOPInstanceUID."""


class Survey:
    """A walk over paths that ends in a plan.

    Parameters
    ----------
    known : Known
        What the store knows.
    identity : Identity
        Maps identifiers to the store's.
    options : SurveyOptions
    on_progress : callable
    """

    def __init__(
        self,
        known: Known,
        identity: Identity,
        options: SurveyOptions,
        *,
        on_progress: OnProgress,
    ) -> None:
        self.known = known
        self.identity = identity
        self.options = options
        self.on_progress = on_progress
        self.findings = Findings()
        # What left the archive and came back is read again, and so is what an earlier run may
        # have skipped for its modality when this run admits more.
        self._reconsidered = {Code.NO_LONGER_THERE}
        if options.modalities - set(CINE_MODALITIES):
            self._reconsidered.add(Code.OTHER_MODALITY)
        self._redescribed: set[str] = set()

    def plan(self, paths: Sequence[Path], pool: GuardedPool) -> Plan:
        """Walk the paths, read the headers of what is not known in `pool`, and plan the work."""
        # Called before the headers are mapped: it reads DICOMDIRs in the same pool.
        offered = discover(paths, read_dicomdir=partial(read_dicomdir, pool=pool))
        self._read_headers(self._not_trusted(offered), pool)
        self.on_progress("headers", len(self.findings.seen), len(self.findings.seen))
        if self.options.prune:
            self._drop_what_left(paths)
        studies = self._to_decide()
        idle = self._read_left_out(studies, pool)
        fresh, compared = resolve_instances(
            self.findings.found,
            ledger=self.known.ledger,
            dropped=self.findings.dropped,
            redescribed=self._redescribed,
            hash_files=partial(hash_files, pool=pool),
        )
        settled = [*self.findings.settled, *compared]
        return plan_studies(
            fresh,
            current=self.known.cines,
            dropped=self.findings.dropped,
            ledger=self.known.ledger,
            settled=settled,
            known_studies=[
                row.study_uid
                for row in (*self.findings.trusted.values(), *settled)
                if row.status in (Status.EMBEDDED, Status.DUPLICATE) and row.study_uid
            ],
            in_space=self.known.in_space,
            choosing=Choosing(
                self.options.choice,
                partial(self._facts, pool=pool),
                studies=studies if self.options.reselect else (),
                idle=idle,
            ),
        )

    def _not_trusted(self, inputs: Iterator[Offered]) -> Iterator[Offered]:
        exclude = self.options.exclude
        own = f"{uri_of(exclude)}/" if exclude else None
        named = self._named_and_not_there()
        for offered in itertools.chain(inputs, named):
            if own and offered.uri.startswith(own):
                continue
            self.findings.seen.add(offered.uri)
            self.on_progress("headers", len(self.findings.seen), None)
            row = self.known.ledger.known(offered.uri, offered.size, offered.mtime_ns)
            if row is not None and self._trusts(row):
                self.findings.trusted[offered.uri] = row
            elif offered.refusal is not None:
                self.findings.settled.append(refuse(offered, offered.refusal))
            else:
                yield offered
        yield from self._take_back_redescribed()

    def _named_and_not_there(self) -> Iterator[Offered]:
        # A generator of its own: what was seen is known only when the walk is over.
        yield from never_there(self.options.movies, self.findings.seen, self.known.ledger)

    def _take_back_redescribed(self) -> Iterator[Offered]:
        """Trust no longer what the table of movies describes anew."""
        movies, ledger, trusted = self.options.movies, self.known.ledger, self.findings.trusted
        rows = [ledger.get(uri) for uri in movies if uri in self.findings.seen]
        self._redescribed = redescribed(
            [row for row in rows if row is not None and row.status is Status.EMBEDDED],
            movies,
            current=self.known.cines,
            identity=self.identity,
        )
        for uri in sorted(self._redescribed & trusted.keys()):
            yield offered_again(trusted.pop(uri))

    def _trusts(self, row: InputRow) -> bool:
        if row.code is Code.MOVIE_WITHOUT_STUDY and row.uri in self.options.movies:
            return False
        match row.status:
            case Status.EMBEDDED:
                # A row without its study would be a broken promise: the file is read again.
                return not self.options.verify and row.study_uid in self.known.studies
            case Status.QUARANTINED:
                return not self.options.retry
            case _:
                return row.code not in self._reconsidered

    def _read_headers(self, offered: Iterable[Offered], pool: GuardedPool) -> None:
        waiting: deque[Offered] = deque()

        def items() -> Iterator[Input]:
            for each in offered:
                waiting.append(each)
                yield Input(each.path, self.options.movies.get(each.uri))

        read = partial(read_input, modalities=self.options.modalities)
        headers = pool.map(
            read,
            items(),
            ahead=_HEADERS_AHEAD,
            chunk=_HEADERS_CHUNK,
            fallback=Code.BAD_HEADER,
            seconds=self.options.header_seconds,
        )
        for _, header in headers:
            self._take(waiting.popleft(), header)

    def _take(self, offered: Offered, header: tuple[Cine, RunFacts] | InputRefused) -> None:
        if isinstance(header, InputRefused):
            row = self.known.ledger.known(offered.uri, offered.size, offered.mtime_ns)
            if header.reason is Code.MOVIE_WITHOUT_STUDY and row is not None and row.study_uid:
                # A known movie stays what it is in a run without its table.
                self.findings.settled.append(row)
            else:
                self.findings.settled.append(refuse(offered, header))
            return
        original, facts = header
        cine = self.identity.cine(original)
        if self.known.is_deleted(cine.patient_id):
            refusal = InputRefused(Code.PATIENT_DELETED)
            self.findings.settled.append(refuse(offered, refusal))
            return
        self.findings.surrogates[cine.sop_uid] = _surrogates(original, cine)
        self.findings.found.append(Found(offered, cine, facts))

    def _to_decide(self) -> dict[str, None]:
        """Return the studies that may gain or lose a run, in the order in which they were met."""
        found, ledger = self.findings, self.known.ledger
        studies = [each.cine.study_uid for each in found.found]
        # A file may have held a run of another study before.
        changed = [*(each.offered.uri for each in found.found), *sorted(found.dropped)]
        rows = [row for uri in changed if (row := ledger.get(uri)) is not None]
        if self.options.reselect:
            rows += found.trusted.values()
        before = [*(row.study_uid for row in rows), *found.dropped.values()]
        return dict.fromkeys([*studies, *filter(None, before)])

    def _read_left_out(self, studies: Iterable[str], pool: GuardedPool) -> set[str]:
        """Read what rules left out of studies before: a study is decided from all its runs.

        Returns
        -------
        set of str
            Uris of those whose contrast was too low, unless this run is to look at them again.
        """
        again = {each.offered.uri for each in self.findings.found}
        known = left_out_before(studies, self.known.ledger)
        rows = [row for row in known if row.uri not in again]
        found, self.findings.found = self.findings.found, []
        self._read_headers(map(offered_again, rows), pool)
        # Before what is new, or a copy that has come would take the place of the first.
        self.findings.found += found
        if self.options.reselect:
            return set()
        return {row.uri for row in rows if row.code is Code.NO_CONTRAST}

    def _facts(self, cines: Sequence[Cine], *, pool: GuardedPool) -> dict[str, RunFacts]:
        if self.options.choice.all_runs:
            return {}
        return read_facts(
            cines,
            pool=pool,
            modalities=self.options.modalities,
            seconds=self.options.header_seconds,
            on_read=lambda done: self.on_progress("known headers", done, len(cines)),
        )

    def _drop_what_left(self, paths: Sequence[Path]) -> None:
        """Find videos whose file is no longer under the folders that were walked."""
        found = self.findings
        roots = tuple(f"{uri_of(path)}/" for path in paths if path.is_dir())
        # What lies below a folder that could not be read has not left: nobody looked.
        blind = tuple(f"{row.uri}/" for row in found.settled if row.code is Code.UNREADABLE)
        bad = []
        for row in self.known.ledger:
            uri = row.uri
            if row.status not in (Status.EMBEDDED, Status.QUARANTINED) or uri in found.seen:
                continue
            if uri.startswith(roots) and not uri.startswith(blind) and is_gone(uri):
                if row.status is Status.EMBEDDED:
                    found.dropped[uri] = row.study_uid
                else:
                    bad.append(uri)
        if bad:
            # The video of a file that went bad stayed, and only the store knows of which study.
            stored = self.known.cines([*self.known.studies])
            studies = {each.source_uri: uid for uid, cines in stored.items() for each in cines}
            found.dropped |= {uri: studies[uri] for uri in bad if uri in studies}


def read_dicomdir(dicomdir: Path, *, pool: GuardedPool) -> References | InputRefused:
    """Return what a DICOMDIR references, read in a guarded worker."""
    ((_, references),) = pool.map(referenced_files, [dicomdir], ahead=1, fallback=Code.BAD_HEADER)
    return references


def hash_files(paths: Sequence[Path], *, pool: GuardedPool) -> list[str | InputRefused]:
    """Return the sha256 of each file, in hexadecimal, or why it cannot be read."""
    hashed = pool.map(file_sha256, paths, ahead=len(paths) or 1, fallback=Code.UNREADABLE)
    return [digest for _, digest in hashed]


def _surrogates(original: Cine, stored: Cine) -> list[tuple[str, str, str]]:
    """Return (kind, surrogate, original) of the identifiers that were replaced."""
    triples = [
        ("sop", stored.sop_uid, original.sop_uid),
        ("series", stored.series_uid, original.series_uid),
        ("study", stored.study_uid, original.study_uid),
    ]
    if original.patient_known:
        triples.append(("patient", stored.patient_id, original.patient_id))
    return [triple for triple in triples if triple[1] != triple[2]]
