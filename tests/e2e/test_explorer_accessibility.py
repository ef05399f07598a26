"""Everybody can read the pages of the explorer, in light and in dark."""

from __future__ import annotations

import pytest

from tests.support.accessibility import violations
from tests.support.browser import settled, window

STATES = (
    "?q=left+main+stenosis,+EF+%3C+60",
    "case?study={study}",
    "map",
    "map?area=-9_-9_0_9",
    "cohort",
    "survival",
    "lvef",
    "progression",
    "operations",
    "operations?part=Indexes",
    "cohort?part=Compare",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_violation(browser, address, explored, scheme):
    study = explored.atlas().studies()["study_uid"][0]
    found = {}
    with window(browser, scheme=scheme) as page:
        for state in STATES:
            page.goto(f"{address}/{state.format(study=study)}")
            settled(page)
            found[state] = violations(page)
    assert {state: each for state, each in found.items() if each} == {}


def test_what_cannot_be_read_is_found(browser):
    with window(browser) as page:
        page.set_content(
            "<html lang=en><title>t</title><main><h1>t</h1>"
            "<p style='color: #bbb'>pale</p><ul data-testid='stSidebarNavItems'><p>own</p></ul>"
            "<ul><p>ours</p></ul></main>"
        )
        assert [each.partition(":")[0] for each in violations(page)] == ["color-contrast", "list"]
