"""Logging in to the explorer with an identity provider, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from angioatlas.access.access import audit_trail
from core.settings import Settings
from tests.support.browser import settled, window
from tests.support.explorer import explorer, free_port
from tests.support.identity_provider import AUDIENCE, provided
from tests.support.store_cases import commit, new_store

EVERYTHING = "angioatlas:search angioatlas:read"
LOGIN = """[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "{audience}"
client_secret = "of the test"
server_metadata_url = "{issuer}/.well-known/openid-configuration"
expose_tokens = ["id"]
"""


@pytest.fixture(scope="module")
def provider():
    with provided() as found:
        found.add_key("first")
        yield found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("login")


@pytest.fixture(scope="module")
def address(browser, provider, home):
    store = new_store(home / "store")
    commit(store, {"P1.a": ["1"], "P2.a": ["2"]})
    port = free_port()
    login = home / "login.toml"
    login.write_text(LOGIN.format(port=port, audience=AUDIENCE, issuer=provider.issuer))
    settings = {
        "ANGIOATLAS_SERVE__OIDC_ISSUER": provider.issuer,
        "ANGIOATLAS_SERVE__OIDC_AUDIENCE": AUDIENCE,
    }
    with explorer(home, store.path, "--login", login, port=port, **settings):
        yield f"http://localhost:{port}"


@pytest.fixture
def page(browser, address):
    with window(browser) as found:
        found.goto(f"{address}/operations")
        yield found


def log_in(page, provider, **claims):
    provider.person = claims
    page.get_by_role("button", name="Log in").click()


def test_who_is_not_logged_in_sees_nothing(page):
    settled(page)
    assert page.get_by_role("heading", level=1).inner_text() == "AngioAtlas"
    page.get_by_text("Research use only").wait_for()
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(0)
    expect(page.get_by_test_id("stMetric")).to_have_count(0)


def test_who_logs_in_may_do_what_the_token_grants_under_their_name(page, provider, home):
    log_in(page, provider, sub="Reader One", scope=EVERYTHING)
    page.get_by_text("Logged in as Reader One").wait_for()
    page.goto(page.url.partition("?")[0].rstrip("/") + "/case?study=P1.a")
    page.get_by_text("Similar cases").wait_for()
    settled(page)
    expect(page.get_by_role("link", name="Open case")).to_have_count(1)
    # Thumbs are for who may write.
    expect(page.get_by_test_id("stFeedback")).to_have_count(0)
    state = home / ".local/state/angioatlas"
    entries = audit_trail(Settings(state_dir=state)).entries(limit=1000)
    assert {(each.principal, each.via) for each in entries} == {("Reader One", "oidc")}
    assert "similar" in {each.object["use_case"] for each in entries}
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    settled(page)
    expect(page.get_by_text("Similar cases")).to_have_count(0)


def test_who_may_write_may_judge(page, provider):
    log_in(page, provider, sub="Judge", scope=f"{EVERYTHING} angioatlas:write")
    page.get_by_text("Logged in as Judge").wait_for()
    page.goto(page.url.partition("?")[0].rstrip("/") + "/case?study=P1.a")
    page.get_by_test_id("stFeedback").wait_for()


def test_who_is_granted_nothing_is_told_and_can_leave(page, provider):
    log_in(page, provider, sub="Nobody", scope="openid")
    page.get_by_text("This needs the scope 'read'; 'Nobody' has: none").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()


def test_a_token_that_only_the_login_accepts_asks_to_log_in_again(page, provider):
    log_in(page, provider, sub="mirrored\u202eemaN", scope=EVERYTHING)
    page.get_by_text("The key or token is not accepted").wait_for()
    page.get_by_role("button", name="Log in").wait_for()
    settled(page)
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(0)
