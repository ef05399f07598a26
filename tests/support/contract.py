"""Requests made from an API's own description, and what is wrong with the answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

Phase = Literal["examples", "coverage", "fuzzing", "stateful"]


@dataclass
class Contracted:
    """What came of holding an API to its description.

    Attributes
    ----------
    cases : int
        Requests sent, those that a check sent by itself left out.
    statuses : Counter
        Answers by status.
    checks : Counter
        Checks made, by name.
    failures : dict
        What is wrong, a report by the operation and the kind of failure.
    errors : list of str
        What kept it from trying all that was wanted.
    """

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = ", ".join(f"{status} {count}" for status, count in sorted(self.statuses.items()))
        return f"{self.cases:,} cases, {self.checks.total():,} checks; answers: {told}"


def held_to_description(
    description: dict[str, Any],
    address: str,
    *,
    token: str | None = None,
    phases: tuple[Phase, ...] = ("examples", "coverage", "fuzzing"),
    examples: int = 10,
    seed: int = 0,
    only: str = "",
    but: str | None = None,
) -> Contracted:
    """Send what a description lets one send, and what it does not, and check the answers.

    Parameters
    ----------
    description : dict
        An OpenAPI document.
    address : str
        Where the API is served.
    token : str, optional
        The key to send.
    phases : tuple of str
        Of schemathesis.
    examples : int
        Cases of an operation when fuzzing.
    seed : int
    only, but : str, optional
        Regular expressions: paths that are asked, and those of them that are not.
    """
    known: tuple[Phase, ...] = ("examples", "coverage", "fuzzing", "stateful")
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "base-url": address,
            "continue-on-failure": True,
            "request-timeout": 60,
            "workers": 1,
            "headers": {"Authorization": f"Bearer {token}"} if token else {},
            "phases": {name: {"enabled": name in phases} for name in known},
            "generation": {"mode": "all", "max-examples": examples, "database": "none"},
            # What a predicate or a cursor may be, which names are taken and what a key is for is
            # more than a schema can say.
            "checks": {
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", "401", "403", "404", "409", "413", "422", "429"]
                }
            },
        }
    )
    made = Contracted()
    schema = schemathesis.openapi.from_dict(description, config=config).include(path_regex=only)
    if but is not None:
        schema = schema.exclude(path_regex=but)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(event, made)
        elif isinstance(event, events.NonFatalError):
            made.errors.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.Interrupted):
            made.errors.append("it was interrupted")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return made


def _count(event: events.ScenarioFinished, made: Contracted) -> None:
    recorder = event.recorder
    made.cases += sum(node.parent_id is None for node in recorder.cases.values())
    for interaction in recorder.interactions.values():
        if interaction.response is not None:
            made.statuses[interaction.response.status_code] += 1
    for checks in recorder.checks.values():
        for check in checks:
            made.checks[check.name] += 1
            if check.failure_info is not None:
                failure, sample = check.failure_info.failure, check.failure_info.code_sample
                told = f"{check.name}: {failure.title}\n{failure.message}\n{sample}"
                made.failures.setdefault((recorder.label, failure.title), told)
