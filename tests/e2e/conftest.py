"""What the tests in a browser share: one store, and a browser and an explorer for each file."""

from __future__ import annotations

import os

import pytest

from tests.support.browser import chromium
from tests.support.explored_store import explored_store
from tests.support.explorer import explorer


@pytest.fixture(scope="session")
def explored(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    # With several workers each has a folder of its own in one that all of them know.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return explored_store(shared / "explored", tmp_path_factory.mktemp("explored"))


# Not for the whole session: its driver keeps an event loop of this thread running meanwhile.
@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(browser, explored):
    with explorer(explored.home, explored.store) as found:
        yield found
