"""Who may do what with a store, and what is on record of it: through the Atlas and the commands."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from angioatlas.access.access import Access
from angioatlas.access.audit import Action, AuditTrail
from angioatlas.access.principal import Principal, Scope
from angioatlas.access.recording import LONGEST_TEXT, audited
from angioatlas.atlas import Atlas
from angioatlas.cli.main import app
from core.errors import AtlasError, ForbiddenError, NotFoundError, StoreError
from core.ids import PseudonymisedIdentity, create_key_file, load_key_file
from core.settings import Settings
from store.store import Store
from tests.support.cli import ROOT
from tests.support.retrieval_store import retrieval_store

TRAIL = ".local/state/angioatlas/access/audit.sqlite"
TEXT = "severe stenosis of the proximal LAD"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a pseudonymised store, and its key beside it."""
    folder = tmp_path_factory.mktemp("access")
    create_key_file(folder / "identity.key")
    retrieval_store(folder / "store", 6, key=load_key_file(folder / "identity.key"))
    return folder


@pytest.fixture
def settings(folder, tmp_path):
    return Settings(
        state_dir=tmp_path / "state",
        identity_key=folder / "identity.key",
        encoder="phantom-mini",
    )


@pytest.fixture
def atlas(folder, settings):
    return Atlas.open(folder / "store", settings=settings)


def somebody(*scopes):
    return Principal("somebody", frozenset(scopes), "key")


def record(atlas):
    return [(each.action, each.outcome) for each in atlas.trail.entries()]


def test_a_search_is_on_record_with_what_was_asked(atlas):
    found = atlas.acting_as(somebody(Scope.SEARCH)).search(TEXT, k=3, where="n_videos > 0")
    (entry,) = atlas.trail.entries()
    assert (entry.principal, entry.via, entry.action) == ("somebody", "key", "search")
    assert entry.outcome == "ok"
    assert entry.object == {
        "use_case": "search",
        "store": atlas.store.uuid,
        "store_version": found.store_version,
        "encoder_id": found.encoder_id,
        "text": TEXT,
        "level": "study",
        "k": 3,
        "where": "n_videos > 0",
        "plain": False,
        "reports": False,
        "score": "auto",
        "rows": 3,
    }
    assert atlas.trail.verify(atlas.trail.head()).intact


def test_what_is_on_record_is_the_store_s_own_never_what_was_typed(atlas, folder):
    identity = PseudonymisedIdentity(load_key_file(folder / "identity.key"))
    atlas.similar("1.7.0", k=2)
    atlas.videos("1.7.0")
    atlas.findings(study_uid="1.7.0", encoder="phantom-mini")
    with pytest.raises(NotFoundError):
        atlas.similar("1.2.840.99.1")
    entries = atlas.trail.entries()
    known = [each.object.get("query_uid") or each.object.get("study_uid") for each in entries]
    assert known == [identity.uid("1.7.0")] * 3 + [None]
    assert [each.outcome for each in entries] == ["ok"] * 3 + ["not_found"]
    assert not any(uid in str(each) for each in entries for uid in ("'1.7.0'", "1.2.840.99.1"))


CALLS = {
    "search": (Scope.SEARCH, lambda atlas, out: atlas.search(TEXT)),
    "similar": (Scope.SEARCH, lambda atlas, out: atlas.similar("1.7.0")),
    "similar_to_files": (Scope.SEARCH, lambda atlas, out: atlas.similar_to_files([out])),
    "store_exam": (Scope.WRITE, lambda atlas, out: atlas.store_exam([out])),
    "studies": (Scope.READ, lambda atlas, out: atlas.studies()),
    "info": (Scope.READ, lambda atlas, out: atlas.info()),
    "lvef": (Scope.READ, lambda atlas, out: atlas.lvef()),
    "export": (Scope.READ, lambda atlas, out: atlas.export(out, format="csv")),
    "import_labels": (Scope.WRITE, lambda atlas, out: atlas.import_labels([out])),
    "embed": (Scope.WRITE, lambda atlas, out: atlas.embed([out])),
    "drop_cohort": (Scope.WRITE, lambda atlas, out: atlas.drop_cohort("none")),
    "compact": (Scope.ADMIN, lambda atlas, out: atlas.compact()),
    "purge_patient": (Scope.ADMIN, lambda atlas, out: atlas.purge_patient("P0001")),
}


@pytest.mark.parametrize("name", [*CALLS])
def test_what_a_scope_does_not_allow_is_refused_and_on_record(atlas, tmp_path, name):
    needed, call = CALLS[name]
    before = atlas.store.versions()
    others = somebody(*({*Scope} - {needed, Scope.ADMIN}))
    with pytest.raises(ForbiddenError, match=f"needs the scope '{needed}'"):
        call(atlas.acting_as(others), tmp_path / "out")
    (entry,) = atlas.trail.entries()
    assert (entry.principal, entry.outcome) == ("somebody", "forbidden")
    assert (entry.object["use_case"], entry.object["store"]) == (name, atlas.store.uuid)
    assert not (tmp_path / "out").exists()
    assert atlas.store.versions() == before


def test_every_use_case_asks_for_a_scope(atlas):
    """Nobody without a scope gets anything from any method that there is."""
    nobody = atlas.acting_as(somebody())
    no_use_cases = {
        *("open", "embed_into", "acting_as", "snapshot", "follow", "prepare_pictures", "close"),
    }
    names = {
        name
        for name, method in inspect.getmembers(Atlas, callable)
        if not name.startswith("_") and name not in no_use_cases
    }
    assert names >= {*CALLS}
    for name in sorted(names):
        method = getattr(nobody, name)
        required = [
            parameter
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is parameter.empty and parameter.kind.name.startswith("POSITIONAL")
        ]
        with pytest.raises(ForbiddenError):
            method(*["x"] * len(required))
    entries = atlas.trail.entries(limit=1000)
    assert [each.object["use_case"] for each in entries] == sorted(names)
    assert {each.outcome for each in entries} == {"forbidden"}


def test_a_cohort_is_chosen_by_a_reader_and_saved_by_a_writer(atlas):
    reader = atlas.acting_as(somebody(Scope.READ))
    chosen = reader.choose_cohort(where="n_videos > 0")
    with pytest.raises(ForbiddenError, match="'write'"):
        reader.choose_cohort(name="all")
    assert atlas.cohorts().empty
    first, refused = atlas.trail.entries()
    assert (first.action, first.object["cohort_id"]) == ("cohort", chosen.cohort_id)
    assert (refused.outcome, refused.object["name"]) == ("forbidden", "all")


class Composed(Atlas):
    """An Atlas with a use case that is made of others."""

    @audited(Action.ANALYSE)
    def chosen(self, name=None):
        self.choose_cohort(where="n_videos > 0", name=name)
        return self.labels("events")


def test_a_use_case_in_a_use_case_is_one_entry_and_asks_for_its_scope(folder, settings):
    atlas = Composed(Store.open(folder / "store"), settings)
    reader = atlas.acting_as(somebody(Scope.READ))
    reader.chosen()
    with pytest.raises(ForbiddenError, match="'write'"):
        reader.chosen("all")
    assert record(atlas) == [("analyse", "ok"), ("analyse", "forbidden")]
    entry = atlas.trail.entries()[0]
    assert (entry.object["use_case"], entry.object["rows"]) == ("chosen", 0)
    assert "store_version" in entry.object


def test_what_only_describes_a_store_leaves_no_entry(atlas):
    atlas.info()
    atlas.versions()
    atlas.indexes()
    assert record(atlas) == []


def test_views_share_caches_and_not_principals(atlas):
    view = atlas.acting_as(somebody(Scope.SEARCH))
    view.search(TEXT)
    assert view.encoders is atlas.encoders
    assert view.search(TEXT).hits.equals(atlas.search(TEXT).hits)
    assert [each.principal for each in atlas.trail.entries()] == ["somebody"] * 2 + ["local"]
    assert atlas.principal == Principal.local()


def test_no_search_without_its_entry(folder, settings, tmp_path):
    (tmp_path / "state").write_text("a file, so that no folder can be made")
    atlas = Atlas.open(folder / "store", settings=settings)
    for call in (
        lambda: atlas.search(TEXT),
        atlas.studies,
        lambda: atlas.export(tmp_path / "o.db"),
    ):
        with pytest.raises(StoreError, match=r"audit trail .* cannot be written") as refused:
            call()
        assert "ANGIOATLAS_STATE_DIR" in refused.value.hint
    assert not (tmp_path / "o.db").exists()
    assert atlas.info()["studies"] > 0


def test_long_texts_are_cut(atlas):
    atlas.search("stenosis " * 1000, k=1)
    kept = atlas.trail.entries()[0].object["text"]
    assert LONGEST_TEXT < len(kept) < LONGEST_TEXT + 40
    assert kept.endswith("and 7,000 characters")


def test_an_error_of_any_kind_is_on_record(atlas, monkeypatch):
    monkeypatch.setattr(type(atlas), "snapshot", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        atlas.studies()
    assert record(atlas) == [("read", "failed")]


APPENDS = """
import sys
from pathlib import Path
from angioatlas.access.audit import Action, AuditTrail
from angioatlas.access.principal import Principal
trail = AuditTrail(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for i in range(200):
    trail.append(Principal(sys.argv[2], frozenset(), "key"), Action.SEARCH, {"k": i})
"""


def test_processes_and_threads_append_to_one_chain(tmp_path):
    path = tmp_path / "access" / "audit.sqlite"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDS, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for name in ("one", "other")
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:  # at once, into a file that is not there yet
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    with AuditTrail(path) as trail:

        def append():
            for i in range(100):
                trail.append(Principal.local(), Action.READ, {"k": i})

        threads = [threading.Thread(target=append) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for child in children:
            child.communicate()
            assert child.returncode == 0
        assert trail.verify().entries == 600
        written = [(each.principal, each.object["k"]) for each in trail.entries(limit=1000)]
    for name in ("one", "other"):
        assert [k for who, k in written if who == name] == [*range(200)]
    assert len(written) == 600


def test_keys_are_made_and_ended_on_record(settings):
    access = Access(settings)
    facts, token = access.create_key("dashboard", ["search"], None)
    assert access.authenticate(token).scopes == {Scope.SEARCH}
    access.revoke_key(facts.id)
    with pytest.raises(AtlasError, match="not accepted"):
        access.authenticate(token)
    keyless = Access(settings, somebody(Scope.WRITE))
    with pytest.raises(ForbiddenError, match="'admin'"):
        keyless.create_key("mine", ["admin"], None)
    made, ended, refused = access.trail.entries()
    assert made.object == {
        "use_case": "create_key",
        "key": facts.id,
        "name": "dashboard",
        "scopes": "search",
    }
    assert (ended.object["key"], ended.outcome) == (facts.id, "ok")
    assert (refused.principal, refused.outcome) == ("somebody", "forbidden")
    assert token.rpartition("_")[2] not in str(access.trail.entries())
    assert [each.name for each in access.book.list()] == ["dashboard"]


def command(*words, code=0):
    """Run a command in this process: keys and trail are in the home of the test."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


def answer(*words, code=0):
    return json.loads(command(*words, "--json", code=code).stdout)


def test_keys_and_trail_from_the_command_line(clean_environment):
    made = answer(
        "keys",
        "create",
        "cathlab",
        "--scope",
        "search",
        "--scope",
        "read",
        "--expires",
        "2090-01-31",
    )
    assert (made["scopes"], made["expires_at"]) == (["search", "read"], "2090-02-01 00:00:00+00:00")
    assert made["token"].startswith(f"aa_{made['id']}_")
    assert made["token"] not in command("keys", "list").stdout
    ended = answer("keys", "revoke", made["id"])
    assert ended["state"] == "revoked"
    assert answer("keys", "list") == [ended]
    assert "\r" not in command("keys", "create", "a\r\nb", "--scope", "read", code=2).stderr
    command("keys", "create", "a", "--scope", "read", "--expires", "90", code=2)

    entries = answer("audit", "show", "--last", 2)
    assert [(each["seq"], each["outcome"]) for each in entries] == [(2, "ok"), (3, "usage")]
    told = answer("audit", "verify")
    assert (told["intact"], told["entries"]) == (True, 3)
    known = ["--head", told["head"]]
    assert answer("audit", "verify", *known)["intact"]
    (clean_environment / TRAIL).unlink()
    told = answer("audit", "verify", *known, code=1)
    assert (told["broken_at"], told["intact"]) == (1, False)
    assert "broken: entry 1" in command("audit", "verify", *known, code=1).stdout


def test_what_was_sent_cannot_steer_a_terminal(clean_environment):
    with AuditTrail(clean_environment / TRAIL) as trail:
        trail.append(somebody(), Action.SEARCH, {"text": "\x1b[2J [/bold] \u202e [red]x[/red]"})
    shown = command("audit", "show").stdout
    assert r"\x1b[2J [/bold] \u202e [red]x[/red]" in shown
