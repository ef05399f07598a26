"""What `angioatlas dashboard` refuses before it serves anything."""

from __future__ import annotations

import pytest

from tests.support.cli import angioatlas
from tests.support.store_cases import commit, new_store

GOOD = {
    "redirect_uri": '"https://atlas.example.org/oauth2callback"',
    "cookie_secret": f'"{"s" * 32}"',
    "client_id": '"angioatlas"',
    "client_secret": '"of the test"',
    "server_metadata_url": '"https://login.example.org/.well-known/openid-configuration"',
    "expose_tokens": '["id"]',
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = new_store(tmp_path_factory.mktemp("explorer") / "store")
    commit(made, {"P1.a": ["1"]})
    return made.path


@pytest.fixture
def provider(tmp_path):
    """Configure the home of the command line for a provider."""
    file = tmp_path / ".config/angioatlas/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        '[serve]\noidc_issuer = "https://login.example.org"\noidc_audience = "angioatlas"\n'
    )


def login(folder, **changed):
    """Write a login, but for what is changed; None leaves it out."""
    told = {name: value for name, value in (GOOD | changed).items() if value is not None}
    file = folder / "login.toml"
    file.write_text("[auth]\n" + "".join(f"{name} = {value}\n" for name, value in told.items()))
    return file


def refused(home, store, *words):
    done = angioatlas(home, "dashboard", "--store", store, *words)
    assert done.returncode == 2, done.stdout
    return done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "atlas.example.org"])
def test_without_a_login_nobody_else_may_look(store, tmp_path, host):
    said = refused(tmp_path, store, "--host", host)
    assert f"and {host} may be reached from elsewhere" in " ".join(said.split())
    assert "give --login" in said


def test_half_a_certificate_is_refused(store, tmp_path):
    (tmp_path / "cert.pem").write_text("")
    said = refused(tmp_path, store, "--tls-cert", tmp_path / "cert.pem")
    assert "--tls-cert and --tls-key go together" in said


def test_a_login_needs_a_provider_that_the_atlas_accepts(store, tmp_path):
    said = refused(tmp_path, store, "--login", login(tmp_path))
    assert "no identity provider is set whose tokens are accepted" in " ".join(said.split())
    assert "serve.oidc_issuer" in said


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"client_id": None}, "lacks client_id"),
        ({"redirect_uri": None, "cookie_secret": '""'}, "lacks redirect_uri, cookie_secret"),
        ({"server_metadata_url": "7"}, "lacks server_metadata_url"),
        ({"expose_tokens": None}, "does not hand on the token"),
        ({"expose_tokens": '["access"]'}, "does not hand on the token"),
        ({"cookie_secret": '"short"'}, "has 5 characters; expected 32 or more"),
        ({"redirect_uri": '"nowhere"'}, "is no address"),
    ],
)
def test_a_login_that_could_not_work_is_refused(store, tmp_path, changed, expected):
    said = refused(tmp_path, store, "--login", login(tmp_path, **changed))
    assert expected in " ".join(said.split())


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("[other]\n", "has no section [auth]"), ("auth = 3\n", "has no section"), ("{", "as TOML")],
)
def test_what_is_no_login_is_refused(store, tmp_path, text, expected):
    (tmp_path / "login.toml").write_text(text)
    said = refused(tmp_path, store, "--login", tmp_path / "login.toml")
    assert expected in " ".join(said.split())


def test_a_store_that_is_not_there_is_told_at_once(tmp_path):
    done = angioatlas(tmp_path, "dashboard", "--store", tmp_path / "none")
    assert done.returncode == 1
    assert "none" in done.stderr
