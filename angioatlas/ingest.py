"""Embed: from paths to committed rows.  The one use case that writes vectors.

discover → trust the ledger or read the header → plan per study → decode, encode → commit.
Killing it at any moment loses at most the studies since the last commit; the same call resumes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from angioatlas.choose import Choice
from angioatlas.classified import read_classified
from angioatlas.engines import GIB, choose_engine
from angioatlas.execute import Execution, OnCommit
from angioatlas.failure_budget import FailureBudget
from angioatlas.identities import new_identity, open_map, store_identity
from angioatlas.known import Known
from angioatlas.plan import Plan
from angioatlas.report import EmbedReport
from angioatlas.stopping import Stop
from angioatlas.survey import OnProgress, Survey, SurveyOptions
from core.errors import NotFoundError, UsageError
from core.ids import Identity, IdentityMode, KeptIdentity
from core.outcomes import Status
from core.provenance import Run
from core.settings import Settings
from embedder.discover import existing
from embedder.encoders.spec import Encoder
from embedder.guard.pool import GuardedPool
from embedder.inputs import MovieRows
from embedder.movies.rows import read_movie_rows
from embedder.runs import Classified
from embedder.sampling import ClipRule
from embedder.work import Engine
from store.incoming import store_url
from store.inputs import InputRow
from store.store import Store, Where, place_of


@dataclass(frozen=True)
class EmbedOptions:
    """What a run does beyond embedding what is new."""

    dry_run: bool = False
    """Read headers and say what would be done; write nothing."""
    retry: bool = False
    """Try quarantined inputs again."""
    verify: bool = False
    """Hash known files again instead of trusting size and modification time."""
    prune: bool = False
    """Drop videos whose file is no longer under the folders given."""
    reselect: bool = False
    """Decide every study under the paths anew: which of its runs count."""
    keep_identifiers: bool = False
    """For a new store: keep patient ids and UIDs as they are."""
    shift_dates: bool = False
    """For a new store: shift dates by one constant per patient."""


@dataclass(frozen=True)
class EncoderHandle:
    """An encoder by name; its weights are loaded only when there is something to embed."""

    encoder_id: str
    clip_rule: ClipRule
    """How its clips are made of cines."""
    load: Callable[[], Encoder]
    heads_id: str | None = None
    """Of its finding heads, if it has some."""
    notice: str | None = None
    """What must be said wherever it is used."""


def embed(
    store_path: Where,
    paths: Sequence[Path],
    *,
    encoder: EncoderHandle,
    settings: Settings,
    options: EmbedOptions,
    on_progress: OnProgress,
    on_step: Callable[[str], None] | None = None,
    on_plan: Callable[[Plan], object] | None = None,
    on_commit: OnCommit | None = None,
    stop: Stop | None = None,
) -> EmbedReport:
    """Embed what is new under `paths` into the store, which is made when there is none.

    Parameters
    ----------
    store_path : Place, Path or str
        Folder or URI of the store.
    paths : sequence of Path
        Files, folders, DICOMDIRs.
    encoder : EncoderHandle
    settings : Settings
        Workers, limits, modalities, commit cadence.
    options : EmbedOptions
    on_progress : callable
    on_step : callable, optional
        Called after every single write to the store.
    on_plan : callable, optional
        Called when the headers are read and nothing is decoded yet; what it raises ends the run.
    on_commit : callable, optional
        Called with what a commit will bring, before it is made; what it raises ends the run.
    stop : Stop, optional
        Asked while cines are embedded, it ends the run after the studies in flight.

    Raises
    ------
    AtlasError
        When the run itself cannot go on; a bad input never ends it.
    """
    began = time.monotonic()
    run = Run.begin()
    report = EmbedReport(run.run_id, encoder.encoder_id, options.dry_run)
    report.notes += [encoder.notice] if encoder.notice else []
    # Before a store is made for nothing.
    paths = existing(paths)
    FailureBudget(settings.embed.max_failed, inputs=0)
    classified = _classified(settings)
    movies = read_movie_rows(settings.embed.movies) if settings.embed.movies else {}
    store, identity = _open(store_path, settings, options, report.notes)
    with ExitStack() as stack:
        writer = None
        if store is not None and not options.dry_run:
            writer = stack.enter_context(store.writer(run.run_id, on_step=on_step))
            if writer.took_over is not None:
                report.notes.append(
                    f"the last run ({writer.took_over.run_id}) did not end by itself; "
                    "going on from its last commit"
                )
        pool = stack.enter_context(_pool(settings))
        # What the store shows is read as the plan asks for it.
        with ExitStack() as reading:
            known = _known(store, encoder, reading)
            survey = Survey(
                known,
                identity,
                _survey_options(
                    store_path, settings, options, _choice(settings, classified, identity), movies
                ),
                on_progress=on_progress,
            )
            plan = survey.plan(paths, pool)
        if on_plan is not None:
            on_plan(plan)
        report.notes += _unmatched(settings, survey)
        standing = dict(survey.findings.trusted)
        if writer is None:
            standing = _would_stand(plan, standing)
            report.studies_embedded = sum(bool(work.cines) for work in plan.work)
            report.videos_embedded = sum(len(work.cines) for work in plan.work)
        else:
            _record_surrogates(identity, settings, survey, plan)
            execution = Execution(
                writer,
                plan,
                known=known,
                encoder_id=encoder.encoder_id,
                heads_id=encoder.heads_id,
                settings=settings,
                report=report,
                budget=FailureBudget(settings.embed.max_failed, len(plan.inputs)),
                stop=stop or Stop(),
                on_commit=on_commit,
            )
            make_engine = partial(
                choose_engine,
                encoder,
                settings,
                pool=pool,
                store_url=store_url(writer.tables.place.uri),
                run_id=run.run_id,
            )
            _carry_out(execution, on_progress, make_engine)
            standing |= execution.settled
    report.unchanged = sum(
        standing[uri].code is row.code for uri, row in survey.findings.trusted.items()
    )
    report.no_longer_there = len(survey.findings.dropped)
    seen = survey.findings.seen
    left = seen - standing.keys() if report.left_for_later else set()
    report.count(standing[uri] for uri in sorted(seen - left))
    report.store_version = store.latest_version if store is not None else None
    report.seconds = time.monotonic() - began
    return report


def _open(
    store_path: Where, settings: Settings, options: EmbedOptions, notes: list[str]
) -> tuple[Store | None, Identity]:
    """Open the store, or make it; a dry run makes none."""
    try:
        store = Store.open(store_path)
    except NotFoundError:
        if options.dry_run:
            return None, KeptIdentity()
        if not options.keep_identifiers and not settings.identity_key.exists():
            notes.append(
                f"a new identity key was made: {settings.identity_key}; back it up, apart from the "
                "store"
            )
        identity = new_identity(
            settings.identity_key,
            keep_identifiers=options.keep_identifiers,
            shift_dates=options.shift_dates,
        )
        return Store.create(store_path, identity=identity.record), identity
    kept = store.identity.mode is IdentityMode.KEPT
    if (options.keep_identifiers and not kept) or (
        options.shift_dates and not store.identity.shift_dates
    ):
        raise UsageError(
            f"the store {store_path} was made otherwise: identifiers {store.identity.mode}, "
            f"dates {'shifted' if store.identity.shift_dates else 'as recorded'}",
            "leave the option out, or make another store",
        )
    return store, store_identity(store.identity, settings.identity_key)


def _known(store: Store | None, encoder: EncoderHandle, reading: ExitStack) -> Known:
    if store is None:
        return Known.nothing()
    return Known.of(
        reading.enter_context(store.snapshot()),
        encoder.encoder_id,
        encoder.heads_id,
        is_deleted=store.tombstones().__contains__,
    )


def _classified(settings: Settings) -> dict[str, Classified]:
    table = settings.embed.classified
    return {} if table is None or settings.embed.all_runs else read_classified(table)


def _choice(settings: Settings, classified: Mapping[str, Classified], identity: Identity) -> Choice:
    return Choice(
        min_frames=settings.embed.min_frames,
        videos_per_study=settings.embed.videos_per_study,
        all_runs=settings.embed.all_runs,
        classified={identity.uid(original): said for original, said in classified.items()},
    )


def _unmatched(settings: Settings, survey: Survey) -> list[str]:
    table, read = survey.options.choice.classified, survey.findings.found
    if not table or not read or any(each.cine.sop_uid in table for each in read):
        return []
    return [f"{settings.embed.classified} names none of the runs that were read: {len(read)}"]


def _survey_options(
    store_path: Where,
    settings: Settings,
    options: EmbedOptions,
    choice: Choice,
    movies: MovieRows,
) -> SurveyOptions:
    return SurveyOptions(
        modalities=frozenset(settings.embed.modalities),
        retry=options.retry,
        verify=options.verify,
        prune=options.prune,
        choice=choice,
        movies=movies,
        reselect=options.reselect,
        exclude=place_of(store_path).folder,
        header_seconds=settings.limits.header_seconds,
    )


def _pool(settings: Settings) -> GuardedPool:
    return GuardedPool(
        settings.embed.workers or os.cpu_count() or 1,
        seconds=settings.limits.decode_seconds,
        memory_bytes=int(settings.limits.worker_memory_gib * GIB),
    )


def _carry_out(
    execution: Execution, on_progress: OnProgress, make_engine: Callable[[], Engine]
) -> None:
    total = sum(bool(work.cines) for work in execution.plan.work)
    report = execution.report
    # However it ends, what is complete is committed.
    try:
        execution.settle_what_needs_no_decoding()
        execution.remove_lost_studies()
        if total:
            on_progress("studies", 0, total)
            engine = make_engine()
            report.stages = engine.stages
            for done in execution.embed(engine):
                on_progress("studies", done, total)
            report.left_for_later = execution.left
            report.notes += engine.notes
            report.computed_in(engine.precision)
    finally:
        execution.commit()


def _would_stand(plan: Plan, trusted: Mapping[str, InputRow]) -> dict[str, InputRow]:
    rows = {**trusted, **{row.uri: row for row in plan.settled}}
    rows |= {row.uri: row for work in plan.work for row in work.dropped}
    # A known copy may take the place of the file that its study was read from before.
    copies = {uri for uri, row in rows.items() if row.status is Status.DUPLICATE}
    uris = [cine.source_uri for work in plan.work for cine in work.cines]
    return rows | {
        uri: InputRow(uri, 0, 0, Status.EMBEDDED)
        for uri in uris
        if uri in plan.offered or uri in copies
    }


def _record_surrogates(identity: Identity, settings: Settings, survey: Survey, plan: Plan) -> None:
    """Keep the private way back of what will be embedded, before anything of it is committed."""
    replaced = survey.findings.surrogates
    private_map = open_map(identity.record, settings.identity_key)
    if private_map is not None:
        with private_map:
            private_map.record(
                triple
                for work in plan.work
                for cine in work.cines
                for triple in replaced.get(cine.sop_uid, ())
            )
