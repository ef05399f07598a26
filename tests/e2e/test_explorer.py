"""The cohort explorer in a real browser: what a person does, click by click, and what is true.

The numbers on its pages are those that the command line tells of the same store.
"""

from __future__ import annotations

import statistics
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.browser import settled, window
from tests.support.cli import as_json

ASKED = "proximal LAD occlusion"
ROOM = 3
"""How many times as long as promised a busy machine may take."""
WITHIN_SECONDS = {"first hit": 1.0, "page switch": 2.0}
TEXTS = ("calcified LAD", "mid RCA stenosis", "left main stenosis", "LCX occlusion", ASKED)


@pytest.fixture
def page(browser):
    with window(browser) as found:
        yield found


@pytest.fixture
def at(page, address):
    """Open a page of the explorer by what follows its address, and wait until it is there."""

    def opened(rest=""):
        page.goto(f"{address}/{rest}")
        settled(page)
        return page

    return opened


def hit(page, rank):
    return page.locator(f".st-key-hit-{rank}")


def ask(page, text):
    """Type a text and wait until a hit of it is seen."""
    box = page.get_by_role("searchbox", name="Finding in words")
    box.fill("")
    box.press("Enter")
    page.get_by_text("or try one of these").wait_for()
    box.fill(text)
    began = time.perf_counter()
    box.press("Enter")
    hit(page, 1).locator("img, video").first.wait_for()
    return time.perf_counter() - began


def study_of(link):
    return parse_qs(urlsplit(link.get_attribute("href")).query)["study"][0]


def playing(page, video):
    """Wait until a cine has pixels and moves on."""
    video.scroll_into_view_if_needed()
    page.wait_for_function("video => video.videoWidth > 0", arg=video.element_handle())
    before = video.evaluate("video => video.currentTime")
    page.wait_for_function(
        "([video, before]) => video.currentTime !== before", arg=[video.element_handle(), before]
    )


def test_a_search_shows_ranked_cases_that_play_and_says_what_the_command_line_says(at, explored):
    page = at()
    assert page.get_by_text("Research use only").first.is_visible()
    assert page.get_by_text("Encoder phantom-mini-").first.is_visible()
    ask(page, ASKED)
    settled(page)
    told = as_json(explored.home, "search", ASKED, "-k", 8, "--store", explored.store)
    assert len(told["hits"]) == 8
    for row in told["hits"]:
        card = hit(page, row["rank"])
        assert f"{row['score']:.3f}" in card.inner_text().split()
        assert study_of(card.get_by_role("link", name="Open case")) == row["study_uid"]
    assert page.locator("video").count() == 8
    playing(page, hit(page, 1).locator("video"))
    playing(page, hit(page, 8).locator("video"))
    (read,) = told["parse"]["parts"]
    assert page.get_by_text(f"{read['words']} → {read['read']}").is_visible()


def test_a_link_opens_the_same_search(at, page):
    first = at("?q=calcified+LAD&level=video&k=12&one=true")
    settled(first)
    scores = first.locator("[class*='st-key-hit-']").all_inner_texts()
    assert len(scores) == 12
    again = at(urlsplit(page.url).path.lstrip("/") + "?" + urlsplit(page.url).query)
    assert again.locator("[class*='st-key-hit-']").all_inner_texts() == scores


def test_nothing_leaves_the_machine(at, page, address):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    at(f"?q={ASKED.replace(' ', '+')}")
    for name in views(page):
        switch(page, name)
    own = urlsplit(address).netloc
    assert len(asked) > 20
    # What is drawn from the page itself has no address.
    assert {urlsplit(url).netloc for url in asked} - {""} == {own}


def views(page):
    """Return the names of all pages, as the person reads them."""
    names = page.get_by_test_id("stSidebarNavLink").all_inner_texts()
    return [name.split("\n")[-1].strip() for name in names]


def switch(page, name):
    """Click on another page, and return how long it took until it is there."""
    link = page.get_by_test_id("stSidebarNavLink").get_by_text(name, exact=True)
    began = time.perf_counter()
    link.click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    settled(page)
    return time.perf_counter() - began


def times(page, texts, rounds):
    """Return how long first hits and page switches took, the first look at each left out."""
    for text in texts:
        ask(page, text)
    for name in views(page):
        switch(page, name)
    found: dict[str, list[float]] = {"first hit": [], "page switch": []}
    for _ in range(rounds):
        found["page switch"] += [switch(page, name) for name in views(page)]
        switch(page, "Search")
        found["first hit"] += [ask(page, text) for text in texts]
    return {what: statistics.median(each) for what, each in found.items()}


def test_the_first_hit_and_another_page_come_at_once(at):
    for what, seconds in times(at(), TEXTS[:3], 1).items():
        assert seconds <= ROOM * WITHIN_SECONDS[what], what


@pytest.mark.slow
def test_the_first_hit_and_another_page_come_within_what_is_promised(at):
    medians = times(at(), TEXTS, 5)
    print({what: round(seconds, 2) for what, seconds in medians.items()})  # noqa: T201
    for what, seconds in medians.items():
        assert seconds <= WITHIN_SECONDS[what], what
