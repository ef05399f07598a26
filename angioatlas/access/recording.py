"""What makes a use case one that is allowed, and on record."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from numbers import Integral, Real
from typing import Any, Final, Protocol, TypeVar, cast

from angioatlas.access.audit import OK, Action, AuditTrail
from angioatlas.access.principal import Principal
from core.errors import AtlasError

LONGEST_TEXT: Final = 2000
"""Characters of a text that the trail keeps."""
FAILED: Final = "failed"
"""The outcome of what ended with an error that has no code."""

_TOLD_BY_RESULTS: Final = ("store_version", "encoder_id", "query_uid", "study_uid", "cohort_id")

# The facts of the use case that is running: what it calls in turn is part of it.
_running: ContextVar[dict[str, Any] | None] = ContextVar("_running", default=None)

_Method = TypeVar("_Method", bound=Callable[..., Any])


class Acting(Protocol):
    """Something that acts for a principal, on a store, and keeps a trail of it."""

    principal: Principal
    trail: AuditTrail
    store: Any


@contextmanager
def recorded(
    trail: AuditTrail,
    principal: Principal,
    action: Action,
    facts: Mapping[str, Any],
    *,
    refusals_only: bool = False,
) -> Iterator[bool]:
    """Do the block if the principal may, and write one entry of how it ended.

    In a block that is on record already the scope is asked for again, and no other entry written.

    Parameters
    ----------
    trail : AuditTrail
    principal : Principal
    action : Action
    facts : mapping
        What is known beforehand; the block may `note` more.
    refusals_only : bool
        No entry when it ends well.

    Yields
    ------
    bool
        Whether the entry is this block's own.

    Raises
    ------
    ForbiddenError
        The principal lacks the scope; that is on record, too.
    StoreError
        The trail cannot be written: the block was not begun, or what it found is withheld.
    """
    if _running.get() is not None:
        principal.require(action.scope)
        yield False
        return
    if not refusals_only:
        trail.ready()
    told: dict[str, Any] = {}
    token = _running.set(told)
    note(**facts)
    outcome = FAILED
    try:
        principal.require(action.scope)
        yield True
        outcome = OK
    except AtlasError as error:
        outcome = error.code
        raise
    finally:
        _running.reset(token)
        if not (refusals_only and outcome == OK):
            trail.append(principal, action, told, outcome=outcome)


def note(**facts: Any) -> None:
    """Add facts to the entry of what is running; a fact that is there stays.

    Texts, numbers and truth values are kept, anything else is left out.
    """
    running = _running.get()
    if running is None:
        return
    for name, value in facts.items():
        plain = _plain(value)
        if plain is not None:
            running.setdefault(name, plain)


def audited(
    action: Action, *names: str, refusals_only: bool = False
) -> Callable[[_Method], _Method]:
    """Make a method a use case: its action's scope is required, and an entry is written.

    The method is one of something `Acting`.

    Parameters
    ----------
    action : Action
    *names : str
        Arguments that stand in the entry.  Never paths, and no identifier as it was typed, which
        may be an original one: methods `note` the store's own.
    refusals_only : bool
        Of what only describes a store (versions, names of what is saved): no entry unless it was
        refused or failed.
    """

    def decorate(method: _Method) -> _Method:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def use_case(self: Acting, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind(self, *args, **kwargs)
            given.apply_defaults()
            facts = {name: given.arguments[name] for name in names}
            facts |= {"use_case": method.__name__, "store": self.store.uuid}
            with recorded(
                self.trail, self.principal, action, facts, refusals_only=refusals_only
            ) as own:
                result = method(self, *args, **kwargs)
                if own:
                    note(**_told_by(result))
                return result

        return cast(_Method, use_case)

    return decorate


def _told_by(result: Any) -> dict[str, Any]:
    counts = isinstance(result, Sized) and not isinstance(result, Mapping | str)
    told = {name: getattr(result, name, None) for name in _TOLD_BY_RESULTS}
    return {**told, "rows": len(result) if counts else None}


def _plain(value: Any) -> str | int | float | None:
    match value:
        case Enum():
            return str(value.value)
        case str():
            left = len(value) - LONGEST_TEXT
            return value if left <= 0 else f"{value[:LONGEST_TEXT]} … and {left:,} characters"
        case bool():
            return value
        case Integral():
            return int(value)
        case Real() if math.isfinite(value):
            return float(value)
        case _:
            return None
