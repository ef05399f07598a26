"""A new exam as a query: its files through the store's encoder, kept nowhere.

The files are embedded, as any others would be, into a store of their own in a temporary folder.  It
has the identity of the real store, so that the exam's patient is recognised there; nothing is
written into the real one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from angioatlas.identities import store_identity
from angioatlas.ingest import EmbedOptions, EncoderHandle, embed
from angioatlas.plan import Plan
from angioatlas.scores import Query
from angioatlas.survey import OnProgress
from angioatlas.video_files import VideoFiles
from core.errors import NotFoundError, TooLargeError, UsageError
from core.outcomes import Status
from core.schema import Level
from core.settings import Settings
from store.store import Store

_SHOWN: Final = 10


@dataclass(frozen=True)
class ExamLimits:
    """What an exam may claim before anything of it is decoded.

    Attributes
    ----------
    frames : int
        Of all its cines together.
    pixels : int
        Rows times columns times frames, likewise.
    """

    frames: int
    pixels: int


def query_of_files(
    paths: Sequence[Path],
    *,
    like: Store,
    encoder: EncoderHandle,
    settings: Settings,
    on_progress: OnProgress,
    limits: ExamLimits | None = None,
) -> Query:
    """Embed the files of one exam.

    Parameters
    ----------
    paths : sequence of Path
        Files, folders, DICOMDIRs.
    like : Store
        Whose identity the query gets.
    encoder : EncoderHandle
    settings : Settings
    on_progress : callable
    limits : ExamLimits, optional
        Of files that somebody else sent.

    Raises
    ------
    UsageError
        The files are of several studies.
    TooLargeError
        They claim more than the limits.
    NotFoundError
        A path is not there, or none of the files could be used.
    IdentityError
        The store is pseudonymised and its key is not here.
    """
    store_identity(like.identity, settings.identity_key)
    with TemporaryDirectory(prefix="angioatlas-exam-") as folder:
        own = Path(folder)
        aside = Store.create(own / "store", identity=like.identity)
        # The private map of pseudonyms stands beside the key: beside a link, it goes with it.
        key = own / "identity.key"
        if settings.identity_key.exists():
            key.symlink_to(settings.identity_key.resolve())
        report = embed(
            aside.path,
            paths,
            encoder=encoder,
            settings=settings.model_copy(update={"identity_key": key}),
            options=EmbedOptions(),
            on_progress=on_progress,
            on_plan=lambda plan: check_exam(plan, limits),
        )
        if not report.videos_embedded:
            raise NotFoundError(*none_usable(report.by_code, report.inputs))
        with aside.snapshot() as snapshot:
            space = encoder.encoder_id
            _, vectors = snapshot.vectors(space, Level.STUDY)
            files = VideoFiles(own / "indexes")
            return Query.of_row(snapshot, files, space, Level.STUDY, 0, vector=vectors[0])


def none_usable(codes: Mapping[str, int], inputs: int) -> tuple[str, str]:
    """Return what is said of an exam none of whose files could be used, and the next step."""
    said = ", ".join(f"{code} {count}" for code, count in codes.items())
    return (
        f"none of the {inputs} files could be used: {said or 'there are none'}",
        "angioatlas embed --dry-run PATH says more",
    )


def check_exam(plan: Plan, limits: ExamLimits | None) -> list[str]:
    """Hold a plan to be one of one exam, within limits, before anything of it is decoded.

    Returns
    -------
    list of str
        The study's UID; empty when the plan has none.

    Raises
    ------
    UsageError
        The files are of several studies.
    TooLargeError
        They claim more than the limits.
    """
    # Files that the store has already are of a study, too.
    copies = [row.study_uid for row in plan.settled if row.status is Status.DUPLICATE]
    uids = sorted({work.study_uid for work in plan.work if work.cines} | {*filter(None, copies)})
    if len(uids) > 1:
        more = f" and {len(uids) - _SHOWN} more" if len(uids) > _SHOWN else ""
        raise UsageError(
            f"the files are of {len(uids)} studies: {', '.join(uids[:_SHOWN])}{more}",
            "give the files of one study",
        )
    cines = [cine for work in plan.work for cine in work.cines]
    frames = sum(cine.n_frames for cine in cines)
    pixels = sum(cine.n_frames * cine.rows * cine.columns for cine in cines)
    if limits is not None and (frames > limits.frames or pixels > limits.pixels):
        raise TooLargeError(
            f"the exam has {frames:,} frames with {pixels:,} pixels; at the most "
            f"{limits.frames:,} frames with {limits.pixels:,} pixels are taken",
            "send fewer of its cines",
        )
    return uids
