"""Who calls has exactly the scopes given, and a name that is safe to show."""

from __future__ import annotations

import pytest

from angioatlas.access.principal import LONGEST_NAME, Principal, Scope
from core.errors import ForbiddenError, UsageError


def reader(*scopes):
    return Principal("reader", frozenset(scopes), "key")


@pytest.mark.parametrize("held", [*Scope])
@pytest.mark.parametrize("needed", [*Scope])
def test_a_scope_is_itself_alone_and_admin_is_all(held, needed):
    assert reader(held).allows(needed) == (held in {needed, Scope.ADMIN})


def test_a_refusal_names_what_is_needed_and_what_is_there():
    with pytest.raises(
        ForbiddenError, match="scope 'write'; 'reader' has: read, search"
    ) as refused:
        reader(Scope.SEARCH, Scope.READ).require(Scope.WRITE)
    assert (refused.value.code, refused.value.exit_code) == ("forbidden", 1)
    assert "--scope write" in refused.value.hint
    with pytest.raises(ForbiddenError, match="has: none"):
        reader().require(Scope.SEARCH)


def test_whoever_is_at_this_machine_may_do_anything():
    assert all(Principal.local().allows(scope) for scope in Scope)
    assert Principal.local().via == "local"


@pytest.mark.parametrize(
    "name",
    [
        "",
        " padded",
        "padded ",
        "two\r\nlines",
        "a\tb",
        "nul\0",
        "turned \u202e around",
        "isolate \u2066x\u2069",
        "zero\u200bwidth",
        "paragraph\u2029",
        "escape\x1b[31m",
        "c1 \x9b31m",
        "lone \ud800",
        "x" * (LONGEST_NAME + 1),
    ],
)
def test_a_name_with_what_is_not_seen_is_refused(name):
    with pytest.raises(UsageError, match="a name cannot be") as refused:
        Principal(name, frozenset(), "oidc")
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("name", ["cathlab 3", "Ärztin", "造影", "a@b.example", "x" * LONGEST_NAME])
def test_names_of_people_and_machines_are_names(name):
    assert Principal(name, frozenset(), "oidc").name == name
