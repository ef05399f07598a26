"""Keys: shown once, refused in one way, ended at once."""

from __future__ import annotations

import datetime as dt
import hashlib
import sqlite3
import stat
from contextlib import closing

import pytest

from angioatlas.access.keys import KeyBook
from angioatlas.access.principal import Principal, Scope
from core.errors import NotFoundError, StoreError, UnauthenticatedError, UsageError

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access" / "keys.sqlite"


@pytest.fixture
def book(path):
    with KeyBook(path) as opened:
        yield opened


def refusal(book, token, now=NOW):
    with pytest.raises(UnauthenticatedError, match="the key or token is not accepted") as refused:
        book.verify(token, now=now)
    return refused.value.code, refused.value.message, refused.value.hint


def test_a_token_says_who_calls_and_what_they_may_do(book):
    facts, token = book.create("dashboard", [Scope.READ, "search"], None, now=NOW)
    assert book.verify(token, now=NOW) == Principal(
        "dashboard", frozenset({Scope.READ, Scope.SEARCH}), "key"
    )
    assert token.startswith(f"aa_{facts.id}_")
    assert book.list() == [facts]


def test_only_a_hash_is_kept_and_only_the_owner_reads_it(book, path):
    _, token = book.create("dashboard", ["read"], None, now=NOW)
    secret = token.rpartition("_")[2].encode()
    files = [*path.parent.iterdir()]
    assert path in files
    held = b"".join(file.read_bytes() for file in files)
    assert secret not in held
    assert bytes.fromhex(secret.decode()) not in held
    assert hashlib.sha256(token.encode()).digest() in held
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_refusal_is_the_same(book):
    _, token = book.create("a", ["read"], NOW + DAY, now=NOW)
    gone, revoked = book.create("b", ["read"], None, now=NOW)
    book.revoke(gone.id, now=NOW)
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    elsewhere = f"aa_{'0' * 12}_{token.rpartition('_')[2]}"
    swapped = token.rpartition("_")[0] + "_" + revoked.rpartition("_")[2]
    malformed = [
        "",
        "aa_",
        token + "\n",
        " " + token,
        token.upper(),
        "ä" * 80,
        "\ud800",
        "x" * 10**6,
    ]
    told = {refusal(book, each) for each in (wrong, elsewhere, swapped, revoked, *malformed)}
    told.add(refusal(book, token, NOW + DAY))
    assert len(told) == 1
    assert book.verify(token, now=NOW + DAY - dt.timedelta(microseconds=1)).name == "a"


def test_a_key_revoked_elsewhere_stops_at_once(book, path):
    facts, token = book.create("a", ["read"], None, now=NOW)
    assert book.verify(token, now=NOW).name == "a"
    with KeyBook(path) as other:
        ended = other.revoke(facts.id, now=NOW + DAY)
        assert other.revoke(facts.id, now=NOW + 2 * DAY) == ended
    refusal(book, token, NOW + DAY)
    assert [each.state(NOW + DAY) for each in book.list()] == ["revoked"]


def test_a_name_is_of_one_key_in_force(book):
    first, _ = book.create("a", ["read"], None, now=NOW)
    with pytest.raises(UsageError, match="there is a key with the name 'a'"):
        book.create("a", ["search"], None, now=NOW)
    book.revoke(first.id, now=NOW)
    book.create("a", ["search"], NOW + DAY, now=NOW)
    book.create("a", ["search"], None, now=NOW + DAY)
    assert [each.state(NOW + DAY) for each in book.list()].count("in force") == 1


@pytest.mark.parametrize(
    ("name", "scopes", "end", "message"),
    [
        ("a\r\nb", ["read"], None, "a name cannot be"),
        ("a\u202eb", ["read"], None, "a name cannot be"),
        ("a", [], None, "a key needs a scope"),
        ("a", ["read", "root"], None, "no scope is called 'root'"),
        ("a", ["read"], NOW, "which is past"),
        ("a", ["read"], dt.datetime(2030, 1, 1), "has no time zone"),
    ],
)
def test_what_makes_no_key_leaves_none(book, name, scopes, end, message):
    with pytest.raises(UsageError, match=message):
        book.create(name, scopes, end, now=NOW)
    assert book.list() == []


def test_ends_are_compared_as_times_not_as_words(book):
    east = dt.timezone(dt.timedelta(hours=9))
    _, token = book.create("a", ["read"], (NOW + DAY).astimezone(east), now=NOW)
    assert book.verify(token, now=NOW + DAY / 2).name == "a"
    refusal(book, token, (NOW + DAY).astimezone(east))


def test_a_book_that_is_not_there_knows_nobody_and_is_not_made(book, path):
    refusal(book, f"aa_{'0' * 12}_{'0' * 64}")
    assert book.list() == []
    assert not path.parent.exists()
    with pytest.raises(NotFoundError, match="no key with this id"):
        book.revoke("0" * 12, now=NOW)


def test_a_book_that_cannot_be_read_is_no_refusal(path):
    path.parent.mkdir()
    path.write_text("this is no database, and long enough to be taken for one" * 20)
    with KeyBook(path) as book, pytest.raises(StoreError, match=r"book of keys .* cannot be read"):
        book.verify(f"aa_{'0' * 12}_{'0' * 64}", now=NOW)


def test_a_hash_of_another_length_is_no_match(book, path):
    facts, token = book.create("a", ["read"], None, now=NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE keys SET digest = x'00' WHERE id = ?", (facts.id,))
    refusal(book, token)
