"""Tokens of an identity provider, against a real one on loopback."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from angioatlas.access import jwks
from angioatlas.access.access import Access
from angioatlas.access.principal import Principal, Scope
from core.errors import IssuerError, UnauthenticatedError, UsageError
from core.settings import ServeSettings, Settings
from tests.support.identity_provider import AUDIENCE, provided

REFUSAL = "^the key or token is not accepted$"


@pytest.fixture(scope="module")
def provider():
    with provided() as provider:
        provider.add_key("first")
        provider.add_key("curve", "EC")
        yield provider


def access_of(provider, folder, **changed):
    serve = ServeSettings(oidc_issuer=provider.issuer, oidc_audience=AUDIENCE, **changed)
    return Access(Settings(state_dir=folder, serve=serve))


@pytest.fixture
def access(provider, tmp_path):
    return access_of(provider, tmp_path)


def now(seconds=0):
    return int(time.time()) + seconds


@pytest.mark.parametrize("key", ["first", "curve"])
def test_a_good_token_says_who_it_is_and_what_they_may_do(provider, access, key):
    who = access.authenticate(provider.token(key))
    assert who == Principal("viewer", frozenset({Scope.SEARCH}), "oidc")
    assert who.id == "oidc:viewer"


def test_claims_and_scopes_have_the_names_of_the_provider(provider, tmp_path):
    access = access_of(
        provider,
        tmp_path,
        oidc_name_claim="https://h.example/name",
        oidc_scope_claim="realm_access.roles",
        oidc_scopes={"cathlab": "read"},
    )
    token = provider.token(
        **{"https://h.example/name": "Zoë"}, realm_access={"roles": ["cathlab", "admin", 7]}
    )
    assert access.authenticate(token) == Principal("Zoë", frozenset({Scope.READ}), "oidc")


def test_who_has_no_scope_of_ours_may_do_nothing(provider, access):
    for given in (None, "", "admin search read", ["admin"], 3, {"admin": True}):
        assert access.authenticate(provider.token(scope=given)).scopes == frozenset()


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": now(-60)},
        {"exp": None},
        {"iat": None},
        {"iat": now(86_400)},
        {"nbf": now(86_400)},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 81},
        {"exp": "soon"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_signed_token_that_is_not_good_is_refused(provider, access, changed):
    access.authenticate(provider.token())
    with pytest.raises(UnauthenticatedError, match=REFUSAL):
        access.authenticate(provider.token(**changed))


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(provider):
    public = (
        provider.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    head, body, signature = provider.token().split(".")
    claims = part(provider.claims(scope="angioatlas:admin"))
    secret = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    hs_head = part({"alg": "HS256", "kid": "first", "typ": "JWT"})
    hs_signature = secret.sign(f"{hs_head}.{claims}".encode(), public)
    return {
        "none": f"{part({'alg': 'none', 'kid': 'first'})}.{claims}.",
        "no algorithm": f"{part({'kid': 'first'})}.{claims}.{signature}",
        "HS256 with the public key": f"{hs_head}.{claims}."
        + base64.urlsafe_b64encode(hs_signature).decode().rstrip("="),
        "other claims": f"{head}.{claims}.{signature}",
        "no signature": f"{head}.{body}.",
        "another algorithm": f"{part({'alg': 'ES256', 'kid': 'first'})}.{body}.{signature}",
        "another's key": jwt.encode(
            provider.claims(), provider.keys["curve"], "ES256", {"kid": "first"}
        ),
        "no kid": jwt.encode(provider.claims(), provider.keys["first"], "RS256"),
        "kid of a file": jwt.encode(
            provider.claims(), provider.keys["first"], "RS256", {"kid": "../../etc/passwd"}
        ),
        "kid that is none": f"{part({'alg': 'RS256', 'kid': ['first']})}.{body}.{signature}",
        "its own key set": jwt.encode(
            provider.claims(), provider.keys["first"], "RS256",
            {"kid": "x", "jku": "https://evil.example/keys"},
        ),
        "extension": jwt.encode(
            provider.claims(), provider.keys["first"], "RS256",
            {"kid": "first", "crit": ["b64"], "b64": True},
        ),
        "huge": jwt.encode(
            provider.claims(x="x" * 9000), provider.keys["first"], "RS256", {"kid": "first"}
        ),
        "deep": f"{base64.urlsafe_b64encode(b'[' * 5000).decode().rstrip('=')}.{body}.{signature}",
        "dots": "..",
        "no base64": "é.é.é",
    }  # fmt: skip


def test_forged_tokens_are_refused_and_ask_the_provider_nothing(provider, access):
    access.authenticate(provider.token())
    before = provider.fetches
    for token in forged(provider).values():
        with pytest.raises(UnauthenticatedError, match=REFUSAL):
            access.authenticate(token)
    assert provider.fetches == before


def test_a_rotated_key_is_fetched_and_a_withdrawn_one_refused(provider, access, monkeypatch):
    access.authenticate(provider.token())
    provider.add_key("second", "EC")
    token = provider.token("second")
    with pytest.raises(UnauthenticatedError):
        access.authenticate(token)  # so soon, it might be anybody's invention
    monkeypatch.setattr(jwks, "PAUSE_S", 0.0)
    assert access.authenticate(token).name == "viewer"
    del provider.keys["second"]
    monkeypatch.setattr(jwks, "FRESH_S", 0.0)
    with pytest.raises(UnauthenticatedError):
        access.authenticate(token)


def test_a_provider_that_is_away(provider, access, tmp_path, monkeypatch):
    token = provider.token()
    monkeypatch.setattr(provider, "down", True)
    with pytest.raises(IssuerError, match="cannot be fetched"):
        access.authenticate(token)
    with pytest.raises(UnauthenticatedError, match=REFUSAL):
        access.authenticate("a.b.c")
    monkeypatch.setattr(jwks, "PAUSE_S", 0.0)
    monkeypatch.setattr(provider, "down", False)
    access.authenticate(token)
    monkeypatch.setattr(provider, "down", True)
    monkeypatch.setattr(jwks, "FRESH_S", 0.0)
    assert access.authenticate(token).name == "viewer"  # its keys are good for a while
    monkeypatch.setattr(jwks, "GOOD_S", 0.0)
    with pytest.raises(IssuerError):
        access.authenticate(token)


def test_keys_from_a_file(provider, tmp_path):
    file = tmp_path / "keys.json"
    known = provider.document("/keys")["keys"]
    file.write_text(json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "s"}, *known]}))
    before = provider.fetches
    access = access_of(provider, tmp_path, oidc_jwks=str(file))
    assert access.authenticate(provider.token()).name == "viewer"
    assert provider.fetches == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"oidc_audience": None}, "go together"),
        ({"oidc_issuer": "http://id.example"}, "is no address"),
        ({"oidc_issuer": "file:///etc"}, "is no address"),
        ({"oidc_jwks": "http://id.example/keys"}, "is no address"),
        ({"oidc_jwks": "http://127.0.0.1.id.example/keys"}, "is no address"),
    ],
)
def test_providers_that_are_not_safe_to_ask(tmp_path, changed, said):
    given = {"oidc_issuer": "https://id.example", "oidc_audience": AUDIENCE} | changed
    with pytest.raises(UsageError, match=said):
        Access(Settings(state_dir=tmp_path, serve=ServeSettings(**given)))


def test_without_a_provider_its_tokens_are_refused(provider, tmp_path):
    with pytest.raises(UnauthenticatedError, match=REFUSAL):
        Access(Settings(state_dir=tmp_path)).authenticate(provider.token())
