"""What keeps people from reading a page, by axe-core's rules."""

from __future__ import annotations

from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

IMPACTS: Final = frozenset({"serious", "critical"})
STREAMLITS_OWN: Final = {
    # The pages' links stand under headings, and both in one list.
    "list": '[data-testid="stSidebarNavItems"]',
    "listitem": '[data-testid="stSidebarNavItems"]',
}
"""By rule, inside which elements it is broken by Streamlit and cannot be mended from here."""
_INSIDE: Final = "([target, outside]) => !!document.querySelector(target)?.closest(outside)"


def violations(page: Page) -> list[str]:
    """Return the serious and critical violations of a page: the rule, what is wrong, and where."""
    return [
        f"{rule['id']}: {node['failureSummary']}\n{node['html']}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in IMPACTS
        for node in rule["nodes"]
        if not _is_streamlits_own(page, rule["id"], node["target"][-1])
    ]


def _is_streamlits_own(page: Page, rule: str, target: str) -> bool:
    outside = STREAMLITS_OWN.get(rule)
    return outside is not None and bool(page.evaluate(_INSIDE, [target, outside]))
