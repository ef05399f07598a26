"""What the Atlas takes in: cines of an archive, and an exam that somebody sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from angioatlas import ingest
from angioatlas.access.access import audit_trail
from angioatlas.access.audit import Action
from angioatlas.access.principal import Principal, Scope
from angioatlas.access.recording import audited, note, recorded
from angioatlas.hits import Similar
from angioatlas.ingest import EmbedOptions, EncoderHandle
from angioatlas.new_exam import ExamLimits
from angioatlas.report import EmbedReport
from angioatlas.searches import Searches
from angioatlas.spaces import encoder_handle
from angioatlas.stopping import Stop
from angioatlas.stored_exam import archive_of, keep_exam
from angioatlas.survey import OnProgress, no_progress
from core.errors import LeaseHeldError, UsageError
from core.schema import StudyScore
from core.settings import Settings, load_settings
from store.maintain import commits_since_compaction, compact
from store.store import Store, Where


class Embedding(Searches):
    """Ways into one store; a part of `Atlas`, made like it."""

    @staticmethod
    def embed_into(
        store: Where,
        paths: Sequence[Path | str],
        *,
        encoder: str | EncoderHandle | None = None,
        settings: Settings | None = None,
        options: EmbedOptions | None = None,
        on_progress: OnProgress = no_progress,
        stop: Stop | None = None,
    ) -> EmbedReport:
        """Embed the cines under `paths` into a store, which is made when there is none.

        Parameters
        ----------
        store : path or URI
        paths : sequence of path
            Files, folders, DICOMDIRs.
        encoder : str, EncoderHandle or None
            A name, a folder, or the configured encoder.
        settings : Settings, optional
        options : EmbedOptions, optional
        on_progress : callable, optional
            Called with (phase, done, total or None).
        stop : Stop, optional
            Asked from elsewhere, it ends the run after the studies in flight.

        Returns
        -------
        EmbedReport
            Where every input ended.
        """
        settings = settings or load_settings()
        if not isinstance(encoder, EncoderHandle):
            encoder = encoder_handle(encoder or settings.encoder, settings)
        options = options or EmbedOptions()
        facts = {"use_case": "embed", "encoder_id": encoder.encoder_id}
        with recorded(
            audit_trail(settings),
            Principal.local(),
            Action.WRITE,
            facts,
            refusals_only=options.dry_run,
        ):
            report = ingest.embed(
                store,
                [Path(path) for path in paths],
                encoder=encoder,
                settings=settings,
                options=options,
                on_progress=on_progress,
                stop=stop,
            )
            note(precision=report.precision, precision_cosine=report.precision_cosine)
            if report.store_version and not options.dry_run:
                opened = Store.open(store)
                if stop is None or not stop.asked:  # who waits for the end waits for no compaction
                    report.store_version = _tidied(opened, settings, on_progress)
                note(store=opened.uuid, store_version=report.store_version)
            return report

    @audited(Action.WRITE)
    def embed(self, paths: Sequence[Path | str], **how: Any) -> EmbedReport:
        """Embed more cines into this store; see `embed_into`."""
        return self.embed_into(self.store.place, paths, settings=self.settings, **how)

    @audited(Action.WRITE, "k", "where", "score", "exclude_same_patient")
    def store_exam(
        self,
        files: Sequence[Path | str],
        *,
        k: int = 10,
        exclude_same_patient: bool = True,
        where: str | None = None,
        encoder: str | None = None,
        score: StudyScore | str = StudyScore.AUTO,
        one_per_patient: bool = False,
        explain: bool = False,
        on_progress: OnProgress = no_progress,
        limits: ExamLimits | None = None,
    ) -> Similar:
        """Store an exam that somebody sent, and rank the studies most similar to it.

        Its files are copied into the folder that the setting ``serve.archive_dir`` names.  An exam
        that the store has already, byte for byte, is not stored again.

        Parameters
        ----------
        files : sequence of path
            Of one study.
        k, exclude_same_patient, where, encoder, score, one_per_patient, explain
            As for `similar`.
        on_progress : callable, optional
            Called with (phase, done, total or None).
        limits : ExamLimits, optional

        Returns
        -------
        Similar
            Its `query_uid` is the study's UID in the store.

        Raises
        ------
        UsageError
            No folder is configured, the files are of several studies, the predicate is none, or
            this reads one version.
        ForbiddenError
            The principal may not search, too.
        TooLargeError, NotFoundError
            As for `similar_to_files`.
        LeaseHeldError
            Somebody else is writing to the store.
        StoreError
            The files cannot be kept, or the store cannot be written.
        """
        # Of the search at the end, which would come too late to refuse.
        self.principal.require(Scope.SEARCH)
        if self.version is not None:
            raise UsageError(f"version {self.version} never changes", "leave the version out")
        archive = archive_of(self.settings.serve)
        space = self._space_to_store_in(encoder, where)
        study_uid, version = keep_exam(
            [Path(file) for file in files],
            archive=archive,
            store=self.store,
            embed=partial(
                ingest.embed,
                self.store.place,
                encoder=self._handle(space),
                # One exam, and an encoder that is loaded: no cluster is faster.
                settings=self.settings.with_embed(engine="local"),
                options=EmbedOptions(),
                on_progress=on_progress,
            ),
            limits=limits,
        )
        note(study_uid=study_uid, store_version=version)
        _tidied(self.store, self.settings, on_progress)
        self._reach(version)
        return self.similar(
            study_uid,
            k=k,
            exclude_same_patient=exclude_same_patient,
            where=where,
            encoder=space,
            score=score,
            one_per_patient=one_per_patient,
            explain=explain,
        )


def _tidied(store: Store, settings: Settings, on_progress: OnProgress) -> int:
    """Compact a store after many commits, and return its version."""
    retention = settings.retention
    if commits_since_compaction(store) < retention.compact_after:
        return store.latest_version
    on_progress("compaction", 0, None)
    with suppress(LeaseHeldError):  # who writes now compacts afterwards
        grace = dt.timedelta(days=retention.grace_days)
        compact(store, keep_versions=retention.keep_versions, grace=grace)
    return store.latest_version
