"""The second half of an embedding run: decode, encode, commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np

from angioatlas.failure_budget import FailureBudget
from angioatlas.known import Known
from angioatlas.plan import Plan, StudyWork
from angioatlas.report import EmbedReport
from angioatlas.stopping import Stop
from core.outcomes import InputRefused, Status
from core.schema import Cine
from core.segments import HEADS
from core.settings import Settings
from embedder.work import CineToRead, EmbeddedStudy, Engine, StudyToEmbed
from store.batch import CommitBatch, StudyFacts, StudyFindings, StudyVectors, VideoVectors
from store.commits import StoreWriter
from store.inputs import InputRow, input_hash

OnCommit = Callable[[CommitBatch], None]
_LEDGER_ROWS_PER_COMMIT = 20_000


@dataclass(frozen=True)
class _Done:
    """A study that is done, None if it lost all its cines, with the ledger rows that it settles."""

    work: StudyWork
    study: EmbeddedStudy | None
    rows: tuple[InputRow, ...]

    @property
    def changes_the_store(self) -> bool:
        return self.study is None or bool(self.study.cines or self.work.before)


@dataclass
class _Pending:
    """What the next commit will bring.

    A study comes in one step, so that an interruption finds it whole or not at all: the row of a
    cine and the vectors of its study become visible together.
    """

    settled: list[InputRow] = field(default_factory=list)
    done: list[_Done] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Execution:
    """Carries out a plan, commit by commit.

    Parameters
    ----------
    writer : StoreWriter
    plan : Plan
    known : Known
        What the plan was made from.
    encoder_id : str
    heads_id : str or None
        Of the encoder's finding heads.
    settings : Settings
    report : EmbedReport
        Is told what was embedded.
    budget : FailureBudget
    stop : Stop
        Once asked, no more studies are begun.
    on_commit : callable, optional
        Called with what a commit will bring, before it is made; what it raises ends the run.
    """

    def __init__(
        self,
        writer: StoreWriter,
        plan: Plan,
        *,
        known: Known,
        encoder_id: str,
        heads_id: str | None,
        settings: Settings,
        report: EmbedReport,
        budget: FailureBudget,
        stop: Stop,
        on_commit: OnCommit | None = None,
    ) -> None:
        self.writer = writer
        self.plan = plan
        self.known = known
        self.encoder_id = encoder_id
        self.heads_id = heads_id
        self.settings = settings
        self.report = report
        self.budget = budget
        self.stop = stop
        self.on_commit = on_commit
        self.settled: dict[str, InputRow] = {}
        """Where each input of the run stands, by uri."""
        self._pending = _Pending()
        self._taken: set[str] = set()

    def settle_what_needs_no_decoding(self) -> None:
        """Note the inputs that the plan settled already; all but the last of many are committed."""
        for start in range(0, len(self.plan.settled), _LEDGER_ROWS_PER_COMMIT):
            if start:
                self.commit()
            rows = self.plan.settled[start : start + _LEDGER_ROWS_PER_COMMIT]
            self._pending.settled += rows
            self._note(rows)
        self.budget.spend(self.plan.settled)

    def remove_lost_studies(self) -> None:
        """Take out the studies that lost all their cines."""
        for work in self.plan.work:
            if not work.cines:
                self._pending.done.append(_Done(work, None, work.dropped))
                self._note(work.dropped)
                self.report.studies_removed += 1

    @property
    def left(self) -> int:
        """Cines of the plan's work that the run has not come to."""
        return sum(len(w.cines) for w in self.plan.work if w.study_uid not in self._taken)

    def embed(self, engine: Engine) -> Iterator[int]:
        """Embed the plan's studies; yields the number of studies done so far.

        Who stops early commits what is complete.
        """
        todo = {work.study_uid: work for work in self.plan.work if work.cines}
        wanted = takewhile(lambda work: not self.stop.asked, todo.values())
        studies = engine.embed(map(self._to_embed, wanted))
        with closing(studies), self.stop.finishing():
            for done, study in enumerate(studies, start=1):
                self._take(todo[study.study_uid], study)
                if self._is_time():
                    self.commit()
                yield done

    def commit(self) -> None:
        """Write what is pending, if anything, as one store version."""
        pending, self._pending = self._pending, _Pending()
        if not (pending.settled or pending.done):
            return
        done = [each for each in pending.done if each.changes_the_store]
        embedded = [each.study for each in done if each.study is not None and each.study.cines]
        changed = [
            (each.work, each.study)
            for each in done
            if not self._is_vectors_only(each.work, each.study)
        ]
        rows = [*pending.settled, *(row for each in pending.done for row in each.rows)]
        batch = CommitBatch(
            inputs=list({row.uri: row for row in rows}.values()),
            cines=[cine for _, study in changed if study for cine in study.cines],
            studies=[self._facts(work, study) for work, study in changed],
            encoder_id=self.encoder_id if embedded else None,
            video_vectors=_video_vectors(embedded) if embedded else None,
            study_vectors=_study_vectors(embedded) if embedded else None,
            findings=_findings(embedded, self.heads_id) if embedded else None,
        )
        if self.on_commit is not None:
            self.on_commit(batch)
        with self.report.stages.timed("write"):
            self.writer.commit(batch)

    def _note(self, rows: Iterable[InputRow]) -> None:
        self.settled.update((row.uri, row) for row in rows)

    def _take(self, work: StudyWork, study: EmbeddedStudy) -> None:
        refused = [
            self._row(cine, refusal.status, refusal=refusal) for cine, refusal in study.refused
        ]
        embedded = [
            self._row(cine, Status.EMBEDDED, sha256=sha256)
            for cine, sha256 in zip(study.cines, study.sha256, strict=True)
        ]
        done = _Done(work, study, (*work.dropped, *embedded, *refused))
        self._pending.done.append(done)
        self._note(done.rows)
        self._taken.add(work.study_uid)
        self.report.studies_embedded += bool(study.cines)
        self.report.videos_embedded += len(study.cines)
        self.report.studies_removed += bool(work.before and not study.cines)
        # Last of all: what it raises must find a study that is whole.
        self.budget.spend(refused)

    def _is_time(self) -> bool:
        limits = self.settings.embed
        waited = time.monotonic() - self._pending.since
        return len(self._pending.done) >= limits.commit_studies or waited >= limits.commit_seconds

    def _to_embed(self, work: StudyWork) -> StudyToEmbed:
        return StudyToEmbed(work.study_uid, tuple(self._to_read(cine) for cine in work.cines))

    def _to_read(self, cine: Cine) -> CineToRead:
        seen = cine.sop_uid in self.plan.contrast_seen
        return CineToRead(
            cine, *self._signs(cine), 0.0 if seen else self.settings.embed.min_contrast
        )

    def _row(
        self,
        cine: Cine,
        status: Status,
        *,
        sha256: str | None = None,
        refusal: InputRefused | None = None,
    ) -> InputRow:
        size, mtime_ns = self._signs(cine)
        return InputRow(
            uri=cine.source_uri,
            size=size,
            mtime_ns=mtime_ns,
            status=status,
            code=refusal.reason if refusal else None,
            message=refusal.message if refusal else "",
            sop_uid=cine.sop_uid,
            study_uid=cine.study_uid,
            sha256=sha256,
        )

    def _signs(self, cine: Cine) -> tuple[int, int]:
        """Return size and modification time of the file that the cine's header was read from."""
        uri = cine.source_uri
        row = self.plan.offered.get(uri) or self.settled.get(uri) or self.known.ledger.get(uri)
        assert row is not None, "every cine of a plan was offered or is in the ledger"
        return row.size, row.mtime_ns

    def _is_vectors_only(self, work: StudyWork, study: EmbeddedStudy | None) -> bool:
        """Whether the facts in the store already are those of the study (another encoder's run)."""
        current = self.known.studies.get(work.study_uid)
        return (
            study is not None
            and current is not None
            and study.cines == work.before
            and current.input_hash == _hash(study)
        )

    def _facts(self, work: StudyWork, study: EmbeddedStudy | None) -> StudyFacts:
        current = self.known.studies.get(work.study_uid)
        site = self.settings.embed.site or (current.site if current else None)
        if study is not None and study.cines:
            return StudyFacts.of(study.cines, input_hash=_hash(study), site=site)
        gone = StudyFacts.of(work.before, input_hash=input_hash([]), site=site)
        return replace(gone, n_videos=0)


def _hash(study: EmbeddedStudy) -> str:
    return input_hash(
        (cine.sop_uid, sha256) for cine, sha256 in zip(study.cines, study.sha256, strict=True)
    )


def _video_vectors(studies: Sequence[EmbeddedStudy]) -> VideoVectors:
    cines = [cine for study in studies for cine in study.cines]
    return VideoVectors(
        sop_uids=[cine.sop_uid for cine in cines],
        study_uids=[cine.study_uid for cine in cines],
        pooled=np.concatenate([study.videos.pooled for study in studies]),
        embedding=np.concatenate([study.videos.embedding for study in studies]),
    )


def _study_vectors(studies: Sequence[EmbeddedStudy]) -> StudyVectors:
    return StudyVectors(
        study_uids=[study.study_uid for study in studies],
        input_hashes=[_hash(study) for study in studies],
        embedding=np.stack([s.embedding for s in studies if s.embedding is not None]),
    )


def _findings(studies: Sequence[EmbeddedStudy], heads_id: str | None) -> StudyFindings | None:
    found = [study.findings for study in studies if study.findings is not None]
    if heads_id is None or not found:
        return None
    raw = [[each.raw.get(head, np.nan) for head in HEADS] for each in found]
    return StudyFindings(
        heads_id=heads_id,
        study_uids=[study.study_uid for study in studies],
        input_hashes=[_hash(study) for study in studies],
        raw=np.array(raw, np.float32),
        pooled=np.stack([each.pooled for each in found]),
    )
