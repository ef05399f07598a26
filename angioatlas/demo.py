"""The demo: a phantom cohort that the encoder has never seen, embedded, asked, held against truth.

Every step skips what is done, so the same call again prints the same answers in seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from angioatlas.atlas import Atlas
from angioatlas.demo_picture import Tile, frame_of, write_picture
from angioatlas.demo_report import DemoAnswer, DemoReport, held_against
from angioatlas.demo_served import ask_over_http
from angioatlas.demo_settings import (
    DEMO_FILE,
    HITS,
    QUERIES,
    SIMILAR_TO,
    DemoPlaces,
    DemoSettings,
)
from angioatlas.demo_studies import ask_lvef, ask_progression, draw_map
from angioatlas.demo_survival import ask_survival
from angioatlas.ingest import EmbedOptions, EncoderHandle
from angioatlas.spaces import encoder_handle
from angioatlas.survey import OnProgress
from core.errors import StoreError, UsageError
from core.outcomes import Status
from core.schema import Level
from core.settings import EmbedSettings, Settings
from core.uris import path_of
from embedder.encoders.compact.spec import ARCHITECTURE
from phantom.files.cohort import write_cohort
from phantom.files.cohort_settings import CohortSettings
from phantom.files.truth_tables import StudyTruth, read_truth
from phantom.words.concepts import EVALUATION_QUERIES, holds

ENCODER: Final = ARCHITECTURE


def demo(
    folder: Path,
    *,
    settings: Settings,
    options: DemoSettings | None = None,
    over_http: bool = True,
    on_progress: OnProgress,
) -> DemoReport:
    """Make the demo in a folder, or what is missing of it, and ask the questions.

    Parameters
    ----------
    folder : Path
        A new or empty folder, or one with the same demo.
    settings : Settings
        Of its `embed` section only the device and the number of workers count.
    options : DemoSettings, optional
    over_http : bool
        Ask a server of the store, too.
    on_progress : callable
        Called with (phase, done, total or None).

    Raises
    ------
    UsageError
        When the folder holds something else, or another demo.
    NotFoundError
        When the encoder's weights are not here.
    AtlasError
        When the server does not answer.
    """
    options = options or DemoSettings()
    places = DemoPlaces(folder)
    _claim(folder, options)
    # Before minutes are spent on files that nothing here could read.
    encoder = encoder_handle(ENCODER, settings)
    report = DemoReport(folder)
    with _timed(report, "phantom cohort"):
        write_cohort(places.cohort, **asdict(options), on_progress=on_progress)
    with _timed(report, "embedding"):
        _embed(places, encoder, settings, on_progress)
    atlas = Atlas.open(places.store, settings=settings)
    with _timed(report, "labels"):
        atlas.import_labels([places.cohort / "labels"])
    with _timed(report, "index"):
        _build_indexes(atlas)
    with _timed(report, "questions"):
        truth = read_truth(places.cohort / "truth")
        _ask(atlas, truth, report)
    with _timed(report, "survival"):
        report.survival = ask_survival(atlas, truth, encoder=ENCODER)
    with _timed(report, "studies"):
        report.lvef = ask_lvef(atlas, encoder=ENCODER)
        report.progression = ask_progression(atlas, truth, encoder=ENCODER)
        report.map = draw_map(atlas, encoder=ENCODER)
    with _timed(report, "picture"):
        tiles = [_tiles(atlas, each, options) for each in report.answers]
        write_picture(places.picture, tiles)
    if over_http:
        with _timed(report, "over HTTP"):
            on_progress("server", 0, None)
            known = {uid: truth[uid] for uid in atlas.studies()["study_uid"]}
            report.served = ask_over_http(places, known, settings=settings, options=options)
    return report


def _claim(folder: Path, options: DemoSettings) -> None:
    """Make the folder this demo's, or refuse it."""
    file, wanted = folder / DEMO_FILE, {"demo": 1} | asdict(options)
    if file.is_file():
        found = _described(file)
        if found != wanted:
            raise UsageError(
                f"{folder} holds another demo: {found}; asked for {wanted}",
                "name another folder with --folder, or delete this one",
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty and holds no demo", "name a new folder with --folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
    part.replace(file)


def _described(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{file} describes no demo", "name another folder") from error


@contextmanager
def _timed(report: DemoReport, step: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    report.seconds[step] = round(time.monotonic() - began, 1)


def _embed(
    places: DemoPlaces, encoder: EncoderHandle, settings: Settings, on_progress: OnProgress
) -> None:
    # What a person has set for an archive, such as a classifier's table, is not for phantoms.  All
    # their runs are of coronary arteries with contrast; the rule that looks for contrast would miss
    # some in which an artery is blocked at its origin.
    plain = EmbedSettings(
        device=settings.embed.device, workers=settings.embed.workers, min_contrast=0
    )
    report = Atlas.embed_into(
        places.store,
        [places.cohort / "dicom"],
        encoder=encoder,
        settings=settings.model_copy(update={"embed": plain}),
        # Nobody is behind these identifiers, and the truth is looked up by them.
        options=EmbedOptions(keep_identifiers=True),
        on_progress=on_progress,
    )
    if report.by_status.get("quarantined"):
        raise StoreError(
            f"{report.by_status['quarantined']} files of the demo could not be embedded",
            f"angioatlas store inputs --status quarantined --store {places.store}",
        )


def _build_indexes(atlas: Atlas) -> None:
    saved = {each.level for each in atlas.indexes()}
    for level in Level:
        if level.value not in saved:
            atlas.build_index(level, encoder=ENCODER)


def _ask(atlas: Atlas, truth: Mapping[str, StudyTruth], report: DemoReport) -> None:
    studies = atlas.studies()
    report.studies, report.videos = len(studies), len(atlas.videos())
    report.patients = studies["patient_id"].nunique()
    report.left_out = len(atlas.inputs(status=Status.SKIPPED))
    known = {uid: truth[uid] for uid in studies["study_uid"]}
    for text in QUERIES:
        found = atlas.search(text, k=HITS, encoder=ENCODER)
        report.encoder_id = found.encoder_id
        report.answers.append(held_against(known, found.hits, text=text))
    concept = EVALUATION_QUERIES[SIMILAR_TO]
    case = next((of for of in known.values() if holds(concept, of, of.disease)), None)
    if case is not None:
        hits = atlas.similar(case.study_uid, k=HITS, encoder=ENCODER).hits
        others = {uid: of for uid, of in known.items() if of.patient_id != case.patient_id}
        report.answers.append(held_against(others, hits, case=case))


def _tiles(atlas: Atlas, answer: DemoAnswer, options: DemoSettings) -> list[Tile]:
    """Return a frame of each hit: of the run that is nearest to the question."""
    everything = len(atlas.videos())
    asked = SIMILAR_TO if answer.case else answer.text
    runs = atlas.search(asked, level=Level.VIDEO, k=everything, encoder=ENCODER).hits
    if answer.case is not None:
        (first, *_) = runs.loc[runs["study_uid"] == answer.case, "sop_uid"]
        runs = atlas.similar(first, level=Level.VIDEO, k=everything, encoder=ENCODER).hits
    nearest = runs.drop_duplicates("study_uid").set_index("study_uid")["sop_uid"]
    sources = atlas.videos().set_index("sop_uid")["source_uri"]
    cohort = CohortSettings(**asdict(options))
    return [
        Tile(frame_of(cohort, path_of(sources[nearest[hit.study_uid]])), hit.right)
        for hit in answer.hits
    ]
