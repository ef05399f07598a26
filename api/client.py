"""A client of the API: `Client(address, key)` has a method for every route.

    from api.client import Client

    with Client("http://127.0.0.1:8000", key) as atlas:
        for hit in atlas.similar_studies("1.2.840.113619.2.55.3", k=5).hits:
            print(hit.study_uid, hit.score)

What an option means, and what it is when left out, says docs/api-routes.md.  Answers are the models
of `api.schemas`; whatever fails is an `ApiError`.

Research use only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar, Unpack, final

from api.client_analyses import AnalysisCalls
from api.client_answers import ApiError, reached, read
from api.client_cohorts import CohortCalls
from api.client_connection import given, in_path
from api.client_options import (
    CaseOptions,
    ExamOptions,
    ListOptions,
    StudyCaseOptions,
    StudyTextOptions,
    TextOptions,
)
from api.schemas import (
    ExamJob,
    FoundStudies,
    FoundVideos,
    Health,
    PatientTimeline,
    Resolved,
    SimilarStudies,
    SimilarVideos,
    StoreFacts,
    Study,
    StudyFindings,
    StudyPage,
    Version,
    Video,
    VideoPage,
)
from core.schema import Level

__all__ = ["ApiError", "Client"]

T = TypeVar("T")
OnProgress = Callable[[ExamJob], None]
_ASK_EVERY_S: Final = 0.25


@final
class Client(CohortCalls, AnalysisCalls):
    """The API of one server.

    One client may be used by several threads; close it, or use it as a context.

    Parameters
    ----------
    address : str
        Such as ``http://127.0.0.1:8000``.
    key : str, optional
        An API key, or a token of the issuer that the server trusts.
    timeout_s : float
        To connect, and between two pieces of an answer.
    transport : httpx2.BaseTransport, optional
        For certificates, proxies and retries of your own.
    """

    # Searches

    def search_studies(self, text: str, **options: Unpack[StudyTextOptions]) -> FoundStudies:
        """Rank the studies that a text describes best."""
        return self._post("/v1/studies:search", {"text": text, **options}, FoundStudies)

    def search_videos(self, text: str, **options: Unpack[TextOptions]) -> FoundVideos:
        """Rank the videos that a text describes best."""
        return self._post("/v1/videos:search", {"text": text, **options}, FoundVideos)

    def similar_studies(self, uid: str, **options: Unpack[StudyCaseOptions]) -> SimilarStudies:
        """Rank the studies most similar to one in the store."""
        return self._post("/v1/studies:similar", {"uid": uid, **options}, SimilarStudies)

    def similar_videos(self, uid: str, **options: Unpack[CaseOptions]) -> SimilarVideos:
        """Rank the videos most similar to one in the store."""
        return self._post("/v1/videos:similar", {"uid": uid, **options}, SimilarVideos)

    # An exam that is not in the store

    def similar_to_exam(
        self,
        files: Sequence[Path],
        *,
        store: bool = False,
        on_progress: OnProgress | None = None,
        within_s: float = 600.0,
        **options: Unpack[ExamOptions],
    ) -> SimilarStudies:
        """Rank the studies most similar to an exam, and wait for the answer.

        Parameters
        ----------
        files : sequence of Path
            DICOM files of one study.  They are sent without their names.
        store : bool
            Keep the exam in the store, which takes the scope `write`, too.
        on_progress : callable, optional
            Called with the job, again and again, until it has ended.
        within_s : float
            Wait so long at the most; the server goes on, and `job` tells where it stands.
        **options

        Raises
        ------
        ApiError
            With code `waited` when it took longer.
        """
        until = time.monotonic() + within_s
        job = self.send_exam(files, store=store, **options)
        while True:
            if on_progress is not None:
                on_progress(job)
            if job.answer is not None:
                return job.answer
            if job.failure is not None:
                failed = job.failure
                raise ApiError(
                    failed.detail,
                    failed.hint,
                    code=failed.code,
                    status=failed.status,
                    request_id=job.job_id,
                )
            if time.monotonic() >= until:
                raise ApiError(
                    f"the exam is still being read after {within_s:g} s (job {job.job_id})",
                    "ask again with `job`, or give it more time",
                    code="waited",
                    request_id=job.job_id,
                )
            time.sleep(_ASK_EVERY_S)
            job = self.job(job.job_id)

    def send_exam(
        self,
        files: Sequence[Path],
        *,
        store: bool = False,
        wait: float = 0.0,
        **options: Unpack[ExamOptions],
    ) -> ExamJob:
        """Send an exam, and return its job after `wait` seconds, or when it has ended before.

        Raises
        ------
        OSError
            A file cannot be read.
        """
        with ExitStack() as opened:
            # A name may be a patient's: files are numbered.
            sent = [
                ("files", (f"{i}", opened.enter_context(path.open("rb")), "application/dicom"))
                for i, path in enumerate(files)
            ]
            return self._ask(
                "POST",
                "/v1/exams:similar",
                ExamJob,
                params={"wait": wait, "store": str(store).lower()},
                files=sent,
                data=_as_form(options),
            )

    def job(self, job_id: str) -> ExamJob:
        """Tell where the comparison of an exam stands, and what it found."""
        return self._get(f"/v1/jobs/{in_path(job_id)}", ExamJob)

    # What the store holds

    def studies(self, **options: Unpack[ListOptions]) -> Iterator[Study]:
        """Iterate over the studies, by UID; pages are fetched as they are needed."""
        for page in self._pages("/v1/studies", StudyPage, options):
            yield from page.studies

    def videos(self, **options: Unpack[ListOptions]) -> Iterator[Video]:
        """Iterate over the videos, by UID; pages are fetched as they are needed."""
        for page in self._pages("/v1/videos", VideoPage, options):
            yield from page.videos

    def resolve(self, uid: str, level: Level = Level.STUDY) -> Resolved:
        """Tell the store's own UID of a study or video, by which all else is asked for."""
        return self._post("/v1/uids:resolve", {"uid": uid, "level": level}, Resolved)

    def study(self, study_uid: str) -> Study:
        """Return one study."""
        return self._get(f"/v1/studies/{in_path(study_uid)}", Study)

    def videos_of_study(self, study_uid: str) -> list[Video]:
        """Return the videos of a study."""
        return self._get(f"/v1/studies/{in_path(study_uid)}/videos", list[Video])

    def findings(
        self, study_uid: str, *, encoder: str | None = None, heads: str | None = None
    ) -> StudyFindings:
        """Return what finding heads say of each segment of a study."""
        at = f"/v1/studies/{in_path(study_uid)}/findings"
        return self._get(at, StudyFindings, encoder=encoder, heads=heads)

    def timeline(self, study_uid: str) -> PatientTimeline:
        """Return what is known of the patient of a study."""
        return self._get(f"/v1/studies/{in_path(study_uid)}/timeline", PatientTimeline)

    def video(self, sop_uid: str) -> Video:
        """Return one video."""
        return self._get(f"/v1/videos/{in_path(sop_uid)}", Video)

    def cine(self, sop_uid: str, file: Path, *, height: int | None = None) -> Path:
        """Write a cine as an MP4 file; it appears once it is whole.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        at = f"/v1/videos/{in_path(sop_uid)}/cine.mp4"
        return self._download(at, file, height=height)

    def thumbnail(self, sop_uid: str, *, height: int | None = None) -> bytes:
        """Return the middle frame of a cine as JPEG."""
        at = f"/v1/videos/{in_path(sop_uid)}/thumbnail.jpg"
        return self._send("GET", at, params=given(height=height)).content

    def store(self) -> StoreFacts:
        """Tell what the store holds."""
        return self._get("/v1/store", StoreFacts)

    def versions(self) -> list[Version]:
        """List the store versions that can be read, newest first."""
        return self._get("/v1/versions", list[Version])

    # The server itself

    def healthz(self) -> Health:
        """Tell that the server lives; needs no key."""
        return self._get("/healthz", Health)

    def readyz(self) -> Health:
        """Tell whether searches are answered at once; needs no key."""
        with reached():
            answer = self._http.get("/readyz")
        return read(answer, Health)

    def metrics(self) -> str:
        """Return what the server counted, in Prometheus' text format."""
        return self._send("GET", "/metrics").text


def _as_form(options: ExamOptions) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
    }
