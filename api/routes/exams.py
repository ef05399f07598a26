"""A new exam as the query: uploaded, compared, and forgotten unless it is to be stored."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from starlette.datastructures import FormData

from angioatlas.new_exam import ExamLimits
from api.callers import Caller, CallersAtlas
from api.guard import check_upload
from api.jobs import Job, OnProgress
from api.routes.search import similar_answer
from api.schemas import MOST_HITS, MOST_TEXT, EncoderName, ExamJob, FormBool, SimilarStudies
from api.state import state_of
from core.errors import TooLargeError, UsageError
from core.schema import StudyScore

router = APIRouter(prefix="/v1", tags=["search"])
MOST_WAIT_S: Final = 60.0
_LOOK_S: Final = 0.05


@router.post(
    "/exams:similar",
    responses={
        202: {
            "model": ExamJob,
            "description": "It takes longer; ask again at `Location`.",
            "headers": {
                "Location": {"description": "The job.", "schema": {"type": "string"}},
            },
        }
    },
)
async def similar_to_exam(
    request: Request,
    response: Response,
    atlas: CallersAtlas,
    who: Caller,
    files: Annotated[list[UploadFile], File(min_length=1, description="DICOM files of one study.")],
    k: Annotated[int, Form(ge=1, le=MOST_HITS)] = 10,
    where: Annotated[str | None, Form(min_length=1, max_length=MOST_TEXT)] = None,
    exclude_same_patient: Annotated[FormBool, Form()] = True,
    one_per_patient: Annotated[FormBool, Form()] = False,
    explain: Annotated[FormBool, Form()] = True,
    score: Annotated[StudyScore, Form()] = StudyScore.AUTO,
    encoder: Annotated[
        EncoderName | None,
        Form(description="Needed where the store has vectors of several encoders."),
    ] = None,
    store: Annotated[
        bool, Query(description="Keep the exam: its files, and its vectors in the store.")
    ] = False,
    wait: Annotated[
        float, Query(ge=0, le=MOST_WAIT_S, description="Seconds to wait for the answer.")
    ] = 20.0,
) -> ExamJob:
    """Rank the studies most similar to an exam, which stays out of the store unless asked."""
    check_upload(who, atlas.settings.serve, store=store)
    state, serve = state_of(request), atlas.settings.serve
    if len(files) > serve.upload_files:
        raise TooLargeError(
            f"{len(files)} files were sent; at the most {serve.upload_files} are taken",
            "send fewer of the exam's cines",
        )
    wanted: dict[str, Any] = {
        "k": k,
        "where": where,
        "exclude_same_patient": exclude_same_patient,
        "one_per_patient": one_per_patient,
        "explain": explain,
        "score": score,
        "encoder": encoder,
    }
    _require_no_empty(await request.form(), wanted)
    limits = ExamLimits(serve.upload_frames, serve.upload_megapixels * 10**6)
    folder = await asyncio.to_thread(_kept, files, atlas.settings.state_dir / "uploads")

    def work(on_progress: OnProgress) -> str:
        try:
            ask = atlas.store_exam if store else atlas.similar_to_files
            kept = sorted(folder.iterdir())
            found = ask(kept, limits=limits, on_progress=on_progress, **wanted)
            return SimilarStudies(**similar_answer(found)).model_dump_json()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    try:
        job = state.jobs.begin(who.id, work)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    until = asyncio.get_running_loop().time() + wait
    while True:
        found = state.jobs.get(job, who.id)
        if found.status.ended or asyncio.get_running_loop().time() >= until:
            break
        await asyncio.sleep(_LOOK_S)
    if not found.status.ended:
        response.status_code = HTTPStatus.ACCEPTED
        response.headers["Location"] = f"/v1/jobs/{job}"
    return _shown(found)


@router.get("/jobs/{job_id}")
def job(job_id: str, request: Request, who: Caller) -> ExamJob:
    """Tell where the comparison of an uploaded exam stands, and what it found."""
    return _shown(state_of(request).jobs.get(job_id, who.id))


def _require_no_empty(form: FormData, fields: Iterable[str]) -> None:
    """Refuse what FastAPI takes for left out, which may be a variable that somebody forgot."""
    for name in fields:
        if form.get(name) == "":
            raise UsageError(f"{name} is empty", "leave it out, or give a value")


def _shown(found: Job) -> ExamJob:
    done = found.status == "done"
    return ExamJob(
        job_id=found.id,
        status=found.status,
        phase=found.phase,
        done=found.done,
        total=found.total,
        answer=SimilarStudies.model_validate(found.answer) if done else None,
        failure=None if done else found.answer,
    )


def _kept(files: Sequence[UploadFile], uploads: Path) -> Path:
    """Copy what was sent into a folder of its own, under names of ours."""
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(mkdtemp(dir=uploads))
    for number, sent in enumerate(files):
        with (folder / f"{number:04d}").open("wb") as file:
            shutil.copyfileobj(sent.file, file, 2**20)
    return folder
