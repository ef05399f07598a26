"""The trail: whatever is done to the file, the first entry that does not hold is named."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import sqlite3
import stat
import warnings
from contextlib import closing

import pytest

from angioatlas.access.audit import BEGINNING, Action, AuditTrail, Break, Head, _hash
from angioatlas.access.principal import Principal, Scope
from core.errors import StoreError, UsageError

WHO = Principal("reader", frozenset({Scope.SEARCH}), "key")
AT = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
ENTRIES = 6


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access" / "audit.sqlite"


@pytest.fixture
def trail(path):
    with AuditTrail(path) as opened:
        for i in range(1, ENTRIES + 1):
            opened.append(WHO, Action.SEARCH, {"text": f"text {i}", "k": i}, at=AT)
        yield opened


def tamper(path, *statements):
    """Write into the file as somebody does who knows how it is made."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "DROP TRIGGER IF EXISTS no_update; DROP TRIGGER IF EXISTS no_delete;"
        )
        for statement in statements:
            connection.execute(statement)


def broken(verdict):
    return verdict.broken_at, verdict.reason


def rewrite_from(path, start, until=ENTRIES):
    """Make the hashes of some entries right again, as the writer of the file can."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM entries ORDER BY seq").fetchall()
    previous = rows[start - 2][-1]
    for row in rows[start - 1 : until]:
        own = _hash((*row[:7], previous))
        tamper(
            path, f"UPDATE entries SET previous = '{previous}', hash = '{own}' WHERE seq = {row[0]}"
        )
        previous = own


def test_entries_are_read_as_they_were_written(trail, path):
    trail.append(WHO, Action.EXPORT, {"format": "csv"}, outcome="forbidden", at=AT)
    last = trail.entries(after=ENTRIES)[0]
    assert (last.seq, last.at) == (ENTRIES + 1, "2026-05-01T12:00:00.000000+00:00")
    assert (last.principal, last.via, last.action) == ("reader", "key", "export")
    assert (last.object, last.outcome) == ({"format": "csv"}, "forbidden")
    assert [each.seq for each in trail.entries(after=2, limit=3)] == [3, 4, 5]
    assert trail.head() == Head(last.seq, last.hash)
    verdict = trail.verify(trail.head())
    assert (verdict.intact, verdict.entries, verdict.head) == (True, ENTRIES + 1, trail.head())
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_the_chain_is_what_is_written_down(trail):
    """The hash is one that anybody can compute, with no code of ours."""
    first = trail.entries(limit=1)[0]
    row = [1, first.at, "reader", "key", "search", '{"k":1,"text":"text 1"}', "ok", "0" * 64]
    written = json.dumps(row, separators=(",", ":"))
    assert first.hash == hashlib.sha256(written.encode()).hexdigest()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "'2026-05-01T12:00:00.000001+00:00'"),
        ("principal", "'somebody'"),
        ("via", "'local'"),
        ("action", "'read'"),
        ("object", """'{"text":"other"}'"""),
        ("object", "'no json'"),
        ("object", """'{"text":"text 3","k":3}'"""),
        ("outcome", "'forbidden'"),
        ("hash", "upper(hash)"),
    ],
)
@pytest.mark.parametrize("seq", [1, 3, ENTRIES])
def test_a_change_is_found(trail, path, column, value, seq):
    tamper(path, f"UPDATE entries SET {column} = {value} WHERE seq = {seq}")
    assert broken(trail.verify()) == (seq, Break.CHANGED)
    assert trail.verify().head.seq == trail.verify().entries == seq - 1
    assert len(trail.entries()) == ENTRIES  # still to be read


def test_a_change_with_its_hash_made_right_breaks_the_next(trail, path):
    tamper(path, "UPDATE entries SET principal = 'somebody' WHERE seq = 3")
    rewrite_from(path, 3, until=3)
    assert broken(trail.verify()) == (4, Break.OUT_OF_PLACE)


@pytest.mark.parametrize("seq", [1, 3])
def test_a_removal_is_found(trail, path, seq):
    tamper(path, f"DELETE FROM entries WHERE seq = {seq}")
    assert broken(trail.verify()) == (seq, Break.MISSING)


def test_a_removal_with_later_entries_moved_up_is_found(trail, path):
    moves = [f"UPDATE entries SET seq = {i - 1} WHERE seq = {i}" for i in range(4, ENTRIES + 1)]
    tamper(path, "DELETE FROM entries WHERE seq = 3", *moves)
    assert broken(trail.verify()) == (3, Break.OUT_OF_PLACE)


def test_another_order_is_found(trail, path):
    tamper(
        path,
        "UPDATE entries SET seq = 99 WHERE seq = 3",
        "UPDATE entries SET seq = 3 WHERE seq = 4",
        "UPDATE entries SET seq = 4 WHERE seq = 99",
    )
    assert broken(trail.verify()) == (3, Break.OUT_OF_PLACE)


@pytest.mark.parametrize("seq", [0, -5, -(2**63) + 1])
def test_an_entry_before_the_first_is_found(trail, path, seq):
    tamper(
        path,
        "INSERT INTO entries SELECT "
        f"{seq}, at, principal, via, action, object, outcome, previous, hash FROM entries "
        "WHERE seq = 1",
    )
    assert broken(trail.verify()) == (1, Break.OUT_OF_PLACE)


def test_an_entry_slipped_in_is_found(trail, path):
    moves = [f"UPDATE entries SET seq = {i + 1} WHERE seq = {i}" for i in range(ENTRIES, 2, -1)]
    second = trail.entries(after=1, limit=1)[0]
    row = (3, second.at, "reader", "key", "search", "{}", "ok", second.hash)
    values = ", ".join(repr(each) for each in (*row, _hash(row)))
    tamper(path, *moves, f"INSERT INTO entries VALUES ({values})")
    assert broken(trail.verify()) == (4, Break.OUT_OF_PLACE)


def test_what_the_end_lost_shows_only_against_a_head(trail, path):
    known = trail.head()
    tamper(path, f"DELETE FROM entries WHERE seq > {ENTRIES - 2}")
    assert trail.verify().intact
    assert broken(trail.verify(known)) == (ENTRIES - 1, Break.TRUNCATED)
    for _ in range(3):
        trail.append(WHO, Action.READ, {}, at=AT)
    assert trail.verify().intact
    assert broken(trail.verify(known)) == (ENTRIES, Break.REPLACED)


def test_a_chain_written_anew_shows_only_against_a_head(trail, path):
    known = Head(4, trail.entries()[3].hash)
    assert trail.verify(known).intact
    tamper(path, "UPDATE entries SET principal = 'somebody' WHERE seq = 2")
    rewrite_from(path, 2)
    assert trail.verify().intact
    assert broken(trail.verify(known)) == (4, Break.REPLACED)


def test_a_trail_that_was_deleted_shows_and_is_not_written_into_nowhere(trail, path):
    known = trail.head()
    for file in path.parent.iterdir():
        file.unlink()
    assert broken(trail.verify(known)) == (1, Break.TRUNCATED)
    assert trail.append(WHO, Action.READ, {}, at=AT).seq == 1
    with AuditTrail(path) as other:
        assert len(other.entries()) == 1


def test_entries_cannot_be_changed_by_mistake(trail, path):
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="not changed"):
            connection.execute("UPDATE entries SET principal = 'x'")
        with pytest.raises(sqlite3.IntegrityError, match="not removed"):
            connection.execute("DELETE FROM entries")


def test_any_text_can_be_on_record(trail):
    texts = {"text": "Hauptstamm\r\n\u202e\0 \ud800 '; DROP TABLE entries; --", "where": "€" * 500}
    trail.append(WHO, Action.SEARCH, texts, at=AT)
    assert trail.entries(after=ENTRIES)[0].object == texts
    assert trail.verify().intact


def test_a_long_chain_is_read_by_pages(trail, monkeypatch):
    monkeypatch.setattr("angioatlas.access.audit._PAGE", 2)
    assert trail.verify().entries == ENTRIES


def test_a_trail_that_is_not_there_is_empty_and_not_made_by_reading(tmp_path):
    path = tmp_path / "none" / "audit.sqlite"
    with AuditTrail(path) as trail:
        assert (trail.head(), trail.entries(), trail.verify().intact) == (BEGINNING, [], True)
        assert str(trail.verify()) == "0 entries, all as they were written"
    assert not path.parent.exists()


def test_a_trail_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "access").write_text("a file where the folder should be")
    with AuditTrail(tmp_path / "access" / "audit.sqlite") as trail:
        with pytest.raises(StoreError, match=r"audit trail .* cannot be written") as refused:
            trail.ready()
        assert "ANGIOATLAS_STATE_DIR" in refused.value.hint


def test_a_fork_opens_the_file_for_itself(trail):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left threads
        child = os.fork()
    if child == 0:
        trail.append(WHO, Action.READ, {}, at=AT)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    trail.append(WHO, Action.READ, {}, at=AT)
    assert trail.verify().entries == ENTRIES + 2


@pytest.mark.parametrize(
    "text", ["", "3", "3:", f"-1:{'0' * 64}", f"1:{'G' * 64}", "1:" + "0" * 63]
)
def test_a_head_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="no head of a trail"):
        Head.parse(text)


def test_a_head_is_read_as_it_is_shown(trail):
    assert Head.parse(str(trail.head())) == trail.head()


def test_what_an_action_needs():
    assert {action: action.scope for action in Action} == {
        Action.SEARCH: Scope.SEARCH,
        Action.SIMILAR: Scope.SEARCH,
        Action.SIMILAR_TO_UPLOAD: Scope.SEARCH,
        Action.READ: Scope.READ,
        Action.ANALYSE: Scope.READ,
        Action.EXPORT: Scope.READ,
        Action.COHORT: Scope.READ,
        Action.WRITE: Scope.WRITE,
        Action.ADMIN: Scope.ADMIN,
    }
