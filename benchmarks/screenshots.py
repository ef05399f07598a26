"""Pictures of the cohort explorer on the demo, every page in light and in dark, for the documents.

python -m benchmarks.screenshots --demo angioatlas-demo --out docs/pictures

The demo is made where it is missing.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page

from angioatlas.atlas import Atlas
from angioatlas.demo import demo
from angioatlas.demo_settings import SIMILAR_TO, DemoPlaces
from angioatlas.demo_studies import MAP
from core.settings import load_settings
from tests.support.browser import WIDTH, chromium, settled, window
from tests.support.explorer import explorer

PAGES: Final = {
    "search": "?q={text}",
    "case": "case?study={study}",
    "map": "map?area={island}",
    "cohort": "cohort",
    "survival": "survival?part=Model&kind=components",
    "lvef": "lvef",
    "progression": "progression?study={again}",
    "operations": "operations",
}
"""By the name of the picture, the address of what is seen on it."""
_BEGUN_BY: Final = {"survival": "Fit and judge", "lvef": "Fit and judge"}
"""The button that is pressed first, of pages that show nothing long before they are asked."""
TALLEST: Final = 2200
"""Pixels; what is below is left out."""
LARGEST: Final = 400_000
"""Bytes of a picture."""
_HEIGHT: Final = "document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"
_STILL: Final = """async () => {
    // In the middle of a run the arteries are full of contrast medium.
    for (const video of document.querySelectorAll('video')) {
        video.pause();
        video.controls = false;
        video.currentTime = video.duration / 2;
    }
    await document.fonts.ready;
}"""


def take(page: Page, address: str, button: str | None) -> bytes:
    """Return a PNG of a page from top to bottom, when nothing on it moves any more."""
    page.set_viewport_size({"width": WIDTH, "height": 1000})
    page.goto(address)
    settled(page, seconds=120)
    if button is not None:
        page.get_by_role("button", name=button).click()
        page.get_by_role("button", name="Report (HTML)").wait_for(timeout=300_000)
        settled(page, seconds=120)
    page.wait_for_function(
        "[...document.querySelectorAll('video')].every(video => video.readyState >= 2)"
    )
    height = min(page.evaluate(_HEIGHT), TALLEST)
    page.set_viewport_size({"width": WIDTH, "height": max(height, 600)})
    page.evaluate(_STILL)
    page.wait_for_timeout(1500)
    return page.screenshot()


def small(png: bytes) -> bytes:
    """Return a PNG with as many colours as it may have at `LARGEST` bytes."""
    for colours in (256, 128, 64):
        out = io.BytesIO()
        palette = (
            Image.open(io.BytesIO(png)).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        )
        palette.save(out, "PNG", optimize=True)
        if out.tell() <= LARGEST:
            return out.getvalue()
    raise ValueError(f"{out.tell()} bytes with {colours} colours")


def addresses(atlas: Atlas) -> dict[str, str]:
    """Return by page what is looked at: a best hit, an island of weak hearts, who changed most."""
    shown = atlas.map(MAP)
    weak = shown.islands[shown.islands["finding"].str.startswith("LVEF")]
    number = weak.sort_values("share")["cluster"].iloc[-1] if len(weak) else 0
    island = shown.dots.loc[shown.dots["cluster"] == number, ["x", "y"]]
    seen = {
        "text": SIMILAR_TO.replace(" ", "+"),
        "study": atlas.search(SIMILAR_TO, k=1).hits["study_uid"][0],
        "island": "_".join(f"{at:.3f}" for at in [*island.min(), *island.max()]),
        "again": atlas.came_again()["study_uid"][0],
    }
    return {name: of.format(**seen) for name, of in PAGES.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("angioatlas-demo"))
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--only", nargs="*", default=[*PAGES], help="names of pictures")
    given = parser.parse_args()
    store = DemoPlaces(given.demo).store
    if not store.is_dir():
        demo(given.demo, settings=load_settings(), over_http=False, on_progress=lambda *at: None)
    given.out.mkdir(parents=True, exist_ok=True)
    home = Path("build/screenshots").resolve()
    home.mkdir(parents=True, exist_ok=True)
    looked_at = addresses(Atlas.open(store))
    with explorer(home, store) as address, chromium() as browser:
        for scheme in ("light", "dark"):
            with window(browser, scheme=scheme) as page:
                for name in given.only:
                    file = given.out / f"explorer-{name}-{scheme}.png"
                    file.write_bytes(
                        small(take(page, f"{address}/{looked_at[name]}", _BEGUN_BY.get(name)))
                    )
                    print(file, file.stat().st_size)
