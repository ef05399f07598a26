"""What the Atlas finds: by a text, by a case, by a new exam; and the indexes that it looks in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angioatlas import hybrid as hybrid_
from angioatlas import retrieve as retrieve_
from angioatlas.access.audit import Action
from angioatlas.access.recording import audited, note
from angioatlas.chance import ChanceCache
from angioatlas.cohort_studies import CohortStudies
from angioatlas.filters import rows_where
from angioatlas.hits import Found, Similar
from angioatlas.indexes import IndexCache, IndexFacts
from angioatlas.ingest import EncoderHandle
from angioatlas.live import POLL_S, LiveStore
from angioatlas.new_exam import ExamLimits, query_of_files
from angioatlas.reference_queries import REFERENCE_QUERIES
from angioatlas.scores import chosen_score
from angioatlas.spaces import choose_space
from angioatlas.survey import OnProgress, no_progress
from angioatlas.video_files import VideoFiles
from core.closing import Closing
from core.errors import EncoderError, NotFoundError, UsageError
from core.schema import Level, StudyScore
from core.settings import Settings
from index.engines import Kind
from store.report_text import ReportText
from store.snapshot import Snapshot
from store.store import Store


class Searches(CohortStudies, Closing):
    """Searches of one store; a part of `Atlas`, made like it."""

    def __init__(self, store: Store, settings: Settings, version: int | None = None) -> None:
        super().__init__(store, settings, version)
        self._live: LiveStore | None = None
        self._auto: dict[str, StudyScore] = {}
        self._caches = self._new_caches()
        derived = settings.state_dir / "indexes" / store.uuid
        # No encoder has a name that starts so: it goes whenever the indexes do.
        self._reports = ReportText(derived / "_reports")

    def follow(self, *, every_s: float = POLL_S) -> None:
        """Share one snapshot among all calls, and follow the store in a thread; see `LiveStore`.

        Returns when the first snapshot is ready.

        Parameters
        ----------
        every_s : float
            Seconds between two looks at the store.

        Raises
        ------
        UsageError
            This reads one version.
        """
        if self.version is not None:
            raise UsageError(f"version {self.version} never changes", "leave the version out")
        if self._live is None:
            self._caches = self._new_caches(for_server=True)
            self._live = LiveStore(
                self.store, warm=self._warm, settle=self._settle, every_s=every_s
            )

    def close(self) -> None:
        """Follow the store no more."""
        if self._live is not None:
            self._live.close()

    def snapshot(self) -> Snapshot:
        """Open, or where the store is followed borrow, the version that this Atlas reads."""
        if self._live is None:
            return super().snapshot()
        borrowed = self._live.snapshot()
        note(store_version=borrowed.version)
        return borrowed

    def _reach(self, version: int) -> None:
        """Wait until this Atlas reads a version, or a newer one, where it follows the store."""
        if self._live is not None:
            self._live.reach(version)

    def _space_to_store_in(self, encoder: str | None, where: str | None) -> str:
        """Return the space that an exam is put into, and is then asked about in.

        Raises
        ------
        NotFoundError
            The store has no vectors of that encoder.
        UsageError
            The predicate is none: once the exam is stored that would come too late.
        """
        # Not `self.snapshot`: what is on record is the version that comes of it.
        with (self._live or self.store).snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            _require(snapshot, space)
            if where is not None:
                keys = snapshot.keys(space, Level.STUDY)
                rows_where(snapshot, keys, where, level=Level.STUDY, encoder_id=space)
            return space

    def _snapshot_at(self, version: int) -> Snapshot:
        """Open a version of the store, or borrow it where it is the one that is followed."""
        if self._live is not None:
            borrowed = self._live.snapshot()
            if borrowed.version == version:
                return borrowed
            borrowed.close()
        return super()._snapshot_at(version)

    @audited(Action.SEARCH, "text", "level", "k", "where", "plain", "reports", "score")
    def search(
        self,
        text: str,
        *,
        level: Level | str = Level.STUDY,
        k: int = 10,
        where: str | None = None,
        plain: bool = False,
        without: Collection[str] = (),
        encoder: str | None = None,
        reports: bool = False,
        score: StudyScore | str = StudyScore.AUTO,
        one_per_patient: bool = False,
        explain: bool = False,
    ) -> Found:
        """Rank the studies (or videos) that a text describes best.

        Parameters
        ----------
        text : str
            Such as "proximal LAD occlusion"; read by the text encoder of the searched space.
        level : Level
        k : int
            Hits wanted, 1 or more.
        where : str, optional
            Only what this predicate holds for, such as ``"lvef_percent < 40 and sex = 'F'"``; see
            `angioatlas.filters.rows_where`.
        plain : bool
            Take the text as it is.  By default its clinical words are read: what was understood is
            the `question` of the answer; see `angioatlas.clinical`.
        without : collection of str
            Words of parts of that question that are not used: so what was understood is corrected.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.
        reports : bool
            Rank by the words of reports too, see `angioatlas.hybrid.search`; of studies alone.
            Not for measuring how well an encoder retrieves: reports say what is to be found.
        score : StudyScore
            How a study is compared with the text; ``late`` is by its best matching video.
        one_per_patient : bool
            Only the best study (or video) of each patient.
        explain : bool
            Say why each hit matched: `Found.why`; not with `reports`.

        Raises
        ------
        UsageError
            When the text is empty, or the predicate is none.
        NotFoundError
            When the encoder's folder is not here; with `reports`, when none were imported.
        EncoderError
            When it has no text encoder, or that lacks its vocabulary; not with `reports`.
        """
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            wanted = self._wanted(space, level, k, where, score, one_per_patient, explain)
            if reports:
                return hybrid_.search(
                    snapshot,
                    self._caches,
                    self._reports,
                    text,
                    reader=self._text_reader(space),
                    encoder_id=space,
                    wanted=wanted,
                    plain=plain,
                    without=without,
                )
            reader = self._reader(space)
            return retrieve_.search(
                snapshot,
                self._caches,
                text,
                reader=reader,
                wanted=wanted,
                plain=plain,
                without=without,
            )

    @audited(Action.SIMILAR, "level", "k", "where", "score", "exclude_same_patient")
    def similar(
        self,
        uid: str,
        *,
        level: Level | str = Level.STUDY,
        k: int = 10,
        exclude_same_patient: bool = True,
        where: str | None = None,
        encoder: str | None = None,
        score: StudyScore | str = StudyScore.AUTO,
        one_per_patient: bool = False,
        explain: bool = False,
    ) -> Similar:
        """Rank the studies (or videos) most similar to one in the store.

        Parameters
        ----------
        uid : str
            StudyInstanceUID (SOPInstanceUID for videos), the original or the store's surrogate.
        level : Level
        k : int
            Hits wanted, 1 or more.
        exclude_same_patient : bool
            Leave out the query's own patient.
        where : str, optional
            Only what this predicate holds for, as in `search`.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.
        score : StudyScore
            How two studies are compared.
        one_per_patient : bool
            Only the best study (or video) of each patient.
        explain : bool
            Say why each hit matched: `Similar.why`.
        """
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            return retrieve_.similar(
                snapshot,
                self._caches,
                self._may_be(uid),
                encoder_id=space,
                wanted=self._wanted(space, level, k, where, score, one_per_patient, explain),
                exclude_same_patient=exclude_same_patient,
            )

    @audited(Action.SIMILAR_TO_UPLOAD, "k", "where", "score", "exclude_same_patient")
    def similar_to_files(
        self,
        paths: Sequence[Path | str],
        *,
        k: int = 10,
        exclude_same_patient: bool = True,
        where: str | None = None,
        encoder: str | EncoderHandle | None = None,
        score: StudyScore | str = StudyScore.AUTO,
        one_per_patient: bool = False,
        explain: bool = False,
        on_progress: OnProgress = no_progress,
        limits: ExamLimits | None = None,
    ) -> Similar:
        """Rank the studies most similar to an exam that is not in the store, and stays out of it.

        Parameters
        ----------
        paths : sequence of path
            Files, folders or DICOMDIRs of one study.
        k, exclude_same_patient, where, score, one_per_patient, explain
            As for `similar`; the store's patients are compared with the exam's.
        encoder : str, EncoderHandle or None
            Needed when the store holds vectors of several encoders.
        on_progress : callable, optional
            Called with (phase, done, total or None).
        limits : ExamLimits, optional
            Of files that somebody else sent.

        Raises
        ------
        UsageError
            The files are of several studies.
        TooLargeError
            They claim more than the limits.
        NotFoundError
            None of the files could be used (the codes say why), or the encoder is not here.
        """
        with self.snapshot() as snapshot:
            if not isinstance(encoder, EncoderHandle):
                encoder = self._handle(choose_space(snapshot, encoder, self.settings))
            space = encoder.encoder_id
            _require(snapshot, space)
            wanted = self._wanted(space, Level.STUDY, k, where, score, one_per_patient, explain)
            query = query_of_files(
                [Path(path) for path in paths],
                like=self.store,
                encoder=encoder,
                settings=self.settings,
                on_progress=on_progress,
                limits=limits,
            )
            return retrieve_.similar_to(
                snapshot,
                self._caches,
                query,
                encoder_id=space,
                wanted=wanted,
                exclude_same_patient=exclude_same_patient,
            )

    @audited(Action.WRITE, "level", "kind")
    def build_index(
        self, level: Level, *, kind: Kind | str | None = None, encoder: str | None = None
    ) -> IndexFacts:
        """Build and save the index of the version that this Atlas reads; see `IndexCache.build`.

        Parameters
        ----------
        level : Level
        kind : Kind, optional
            By default what suits the number of rows and the free memory.
        encoder : str, optional
            Needed when the store holds vectors of several encoders.
        """
        wanted = None if kind is None else Kind(kind)
        with self.snapshot() as snapshot:
            space = choose_space(snapshot, encoder, self.settings)
            return self._caches.indexes.build(snapshot, space, level, kind=wanted)

    @audited(Action.READ, refusals_only=True)
    def indexes(self) -> list[IndexFacts]:
        """Describe the saved indexes of this store."""
        return self._caches.indexes.saved()

    @audited(Action.READ, refusals_only=True)
    def reports_indexed(self) -> int | None:
        """Return how many reports the saved full-text index has; None when there is none."""
        return self._reports.rows()

    def _new_caches(self, *, for_server: bool = False) -> retrieve_.Caches:
        derived = self.settings.state_dir / "indexes" / self.store.uuid
        return retrieve_.Caches(
            IndexCache(
                derived, reopen=self.snapshot, texts=self._reference_vectors, beside=for_server
            ),
            ChanceCache(self.settings.state_dir / "calibrations" / self.store.uuid),
            VideoFiles(derived, for_server=for_server),
        )

    def _warm(self, snapshot: Snapshot) -> None:
        for space in snapshot.spaces():
            score = self._chosen("auto", Level.STUDY, space)
            reader = self._text_reader(space)
            readers = [None] if reader is None else [None, reader]
            retrieve_.warm(snapshot, self._caches, space, score=score, readers=readers)

    def _settle(self, snapshot: Snapshot) -> None:
        # Without a pin, what it lacks may be gone from the store.
        for space in snapshot.spaces() if snapshot.is_pinned else ():
            encoder = None
            # Of means, which late interaction is for, nothing has to be made again.
            if self._chosen("auto", Level.STUDY, space) is StudyScore.STUDY:
                with suppress(NotFoundError, EncoderError):
                    encoder = self._encoder(space)
            self._caches.files.bring_up_to_date(snapshot, space, encoder)
        self._caches.keep_only(snapshot)

    def _reference_vectors(self, space: str) -> NDArray[np.float32] | None:
        """Return typical text queries in a space; None where its text encoder is not here."""
        reader = self._text_reader(space)
        return None if reader is None else reader.encode(REFERENCE_QUERIES)

    def _chosen(self, score: StudyScore | str, level: Level, space: str) -> StudyScore:
        """Return the score that is meant; what an encoder's folder says of it is read once."""
        if (score, level) != (StudyScore.AUTO, Level.STUDY):
            return chosen_score(score, level, encoder_id=space, settings=self.settings)
        if space not in self._auto:
            self._auto[space] = chosen_score(score, level, encoder_id=space, settings=self.settings)
        return self._auto[space]

    def _wanted(
        self,
        space: str,
        level: Level | str,
        k: int,
        where: str | None,
        score: StudyScore | str,
        one_per_patient: bool,
        explain: bool,
    ) -> retrieve_.Wanted:
        level = Level(level)
        return retrieve_.Wanted(
            level=level,
            k=k,
            score=self._chosen(score, level, space),
            where=where,
            one_per_patient=one_per_patient,
            load_encoder=partial(self._encoder, space) if explain else None,
        )


def _require(snapshot: Snapshot, space: str) -> None:
    # Before an exam is embedded for nothing.
    if space not in snapshot.spaces():
        raise NotFoundError(
            f"the store has no vectors of {space}", "leave the encoder out, or name another"
        )
