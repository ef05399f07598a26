"""A browser without a screen, and what a page of the explorer looks like to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

WIDTH: Final = 1440
_EXECUTABLES: Final = ("chromium", "chromium-browser", "google-chrome")
_SETTLED: Final = """() => {
    const app = document.querySelector('[data-testid="stApp"]');
    return app?.dataset.testScriptState === 'notRunning'
        && document.querySelector('h1')
        && !document.querySelector('[data-testid="stSpinner"], [data-testid="stSkeleton"]');
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser until the block ends; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, _EXECUTABLES)), None)
    if found is None:
        pytest.skip("no chromium: apt-get install chromium")
    # Its sandbox refuses to work for root, as whom containers run.
    words = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=words)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def window(
    browser: Browser, *, scheme: Literal["light", "dark"] = "light", height: int = 1000, **more: Any
) -> Iterator[Page]:
    """Open a window with an empty memory until the block ends."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": height}, color_scheme=scheme, **more
    )
    try:
        yield context.new_page()
    finally:
        context.close()


def settled(page: Page, *, seconds: float = 30) -> None:
    """Wait until a page of the explorer has its heading and nothing runs any more.

    Right after a click nothing runs yet: wait for what the click brings first.
    """
    page.wait_for_function(_SETTLED, timeout=seconds * 1000)
