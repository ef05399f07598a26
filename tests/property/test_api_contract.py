"""The API answers as its own description says, whatever is asked, with a key and without.

`make api-contract` sends 20,000 requests and more; the default run some hundred.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Path
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

import api.analysis_schemas
import api.cohort_schemas
import api.problems
import api.schemas
from api.examples import EXAMPLES
from tests.support.api_server import served
from tests.support.api_world import api_world
from tests.support.contract import held_to_description

LARGE = 20_000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    # Wrong keys get their 401 here, however many are tried; test_guard holds the limit.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.guard.REFUSALS_PER_SECOND", 0)
        with api_world(tmp_path_factory.mktemp("contract")) as world:
            yield world


def _holds(world, **wanted: Any) -> int:
    with world.client() as client:
        before = world.atlas.store.position()
        came = held_to_description(world.description, world.address, **wanted)
        sys.stdout.write(f"{came}\n")
        assert not came.failures, "\n\n".join(came.failures.values())
        assert not came.errors
        assert not [status for status in came.statuses if status >= 500]
        # A run in which nothing got past the door, or no check was made, shows nothing.
        assert bool(wanted.get("token")) == (came.statuses[200] > 3 * came.statuses[401])
        assert came.checks["response_schema_conformance"] > came.cases / 2
        assert client.get("/readyz").status_code == 200
        assert world.atlas.store.position() == before
        # Jobs that nobody waited for end, too, and leave nothing.
        until = time.monotonic() + 60
        while [*(world.settings.state_dir / "uploads").glob("*")]:
            assert time.monotonic() < until
            time.sleep(0.1)
    return came.cases


def test_with_a_key(world):
    token = world.tokens["curator"]
    assert _holds(world, token=token, phases=("examples", "fuzzing"), examples=2) > 100


def test_without_a_key(world):
    assert _holds(world, phases=("examples", "fuzzing"), examples=1) >= 40


# Whose key, which paths, and how many requests at the least: 20,000 together.
UPLOADS = "exams:"
PARTS: dict[str, tuple[str | None, dict[str, Any], int]] = {
    "others": ("reader", {"but": UPLOADS, "examples": 600}, 15_000),
    "uploads": ("curator", {"only": UPLOADS, "examples": 400}, 100),
    # Apart, and fewer: each that is saved makes the list longer that the next one reads.
    "cohorts": ("curator", {"only": "/cohorts", "examples": 60}, 300),
    "nobody": (None, {"examples": 400}, 5_000),
}


@pytest.mark.slow
@pytest.mark.timeout(5400)
# Of a large file that Hypothesis drew.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("part", [*PARTS])
def test_many_requests(world, part):
    who, wanted, at_least = PARTS[part]
    token = None if who is None else world.tokens[who]
    phases = ("examples", "coverage", "fuzzing", *(["stateful"] if part != "uploads" else []))
    cases = _holds(world, token=token, phases=phases, **wanted)
    assert sum(least for _, _, least in PARTS.values()) >= LARGE
    assert cases >= at_least


class _Told(BaseModel):
    number: int


def _broken() -> FastAPI:
    app = FastAPI()

    @app.get("/fails/{number}", response_model=_Told)
    def fails(number: Annotated[int, Path(ge=0)]) -> Response:
        return JSONResponse({"detail": "it failed"}, 500)

    @app.get("/hides-a-status", response_model=_Told)
    def hides_a_status() -> Response:
        return JSONResponse({"number": 1}, 418)

    @app.get("/breaks-its-schema", response_model=_Told)
    def breaks_its_schema() -> Response:
        return JSONResponse({"number": "one"})

    @app.get("/other-type", response_model=_Told)
    def other_type() -> Response:
        return PlainTextResponse("1")

    @app.get("/readyz")
    def readyz() -> _Told:
        return _Told(number=1)

    return app


def test_an_api_that_breaks_its_word_is_caught():
    app = _broken()
    with served(app) as address:
        came = held_to_description(app.openapi(), address, examples=3)
    assert {
        ("GET /fails/{number}", "Server error"),
        ("GET /hides-a-status", "Undocumented status code"),
        ("GET /breaks-its-schema", "Response violates schema"),
        ("GET /other-type", "Undocumented Content-Type"),
    } <= {*came.failures}
    assert not [told for label, told in came.failures if label == "GET /readyz"]


def _content(world, wanted):
    for path, verbs in world.description["paths"].items():
        for verb, operation in verbs.items():
            parts = [operation["requestBody"]] if "requestBody" in operation else []
            parts += [*operation["responses"].values()] if wanted == "all" else []
            for part in parts:
                for media_type, held in part.get("content", {}).items():
                    yield f"{verb} {path}", media_type, held["schema"]


def test_every_body_and_answer_is_shown_by_an_example(world):
    schemas = world.description["components"]["schemas"]
    shown = 0
    for where, media_type, schema in _content(world, "all"):
        if not media_type.endswith("json"):
            continue
        named = schema.get("items", schema)["$ref"].rpartition("/")[2]
        assert schemas[named]["examples"], where
        shown += 1
    assert shown > 40


@pytest.mark.parametrize("name", [*EXAMPLES])
def test_examples_are_what_the_models_take(name):
    modules = (api.schemas, api.cohort_schemas, api.analysis_schemas, api.problems)
    model = next(getattr(each, name) for each in modules if hasattr(each, name))
    # No field that there is not, and none left out of an answer.
    made = model.model_validate(EXAMPLES[name], extra="forbid")
    assert {*EXAMPLES[name]} <= {*model.model_fields}
    if not name.endswith("Query") and name != "NewCohort":
        assert {*made.model_dump()} == {*EXAMPLES[name]}


def test_failures_are_problems_and_what_is_unchanged_has_no_body(world):
    for path, verbs in world.description["paths"].items():
        for verb, operation in verbs.items():
            for status, answer in operation["responses"].items():
                if status == "304":
                    assert "content" not in answer, path
                elif int(status) >= 400 and path != "/readyz":
                    assert [*answer["content"]] == ["application/problem+json"], (verb, path)
    assert world.description["openapi"].startswith("3.1")
