"""Pictures of the page for the documentation, in a real browser.

    python scripts/screenshots.py [PHOTOS] [--out docs/images]

Without PHOTOS it takes the demo's photographs (scikit-image and scikit-learn: public domain and
CC-BY). Needs playwright and chromium.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo import engine, fetch_photographs
from PIL import Image

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 800}
MOST_BYTES = 300_000

# Paths begin as a person's would, not in the folder that is made for this.
NEUTRAL = """(home) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    texts.currentNode.data = texts.currentNode.data.replace(home, '/home/you');
  }
}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?", help="default: the demo's photographs")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    photos = args.photos or fetch_photographs()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        index = f"{home}/index"
        shutil.copytree(photos, f"{home}/Pictures")
        if code := engine("index", f"{home}/Pictures", "--index", index, "--quiet"):
            return code
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with serving(index) as address:
            for name, take in VIEWS.items():
                settings = {"viewport": PHONE if name == "phone" else WIDE}
                settings["color_scheme"] = "dark" if name == "dark" else "light"
                page = browser.new_page(base_url=address, **settings)
                take(page)
                page.evaluate(NEUTRAL, home)
                save(page, args.out / f"page-{name}.webp")
                page.close()
        browser.close()
    return 0


@contextmanager
def serving(index: str) -> Iterator[str]:
    """The page over an index; gives its address."""
    command = [sys.executable, "-m", "searchengine", "serve", "--index", index, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        said = re.search(r"http://\S+", server.stdout.readline()) if server.stdout else None
        if not said:
            sys.exit("the server told no address")
        yield said[0]
        server.terminate()


def save(page: Any, file: Path) -> None:
    """What the page shows once every picture in sight is there, in few bytes."""
    page.wait_for_load_state("networkidle")
    page.evaluate("() => Promise.all(document.getAnimations().map(({ finished }) => finished))")
    Image.open(io.BytesIO(page.screenshot())).save(file, "WEBP", quality=82, method=6)
    size = file.stat().st_size
    print(f"{file} {size // 1000} KB", flush=True)
    if size > MOST_BYTES:
        sys.exit(f"{file} is too large")


def shows(page: Any, query: str) -> None:
    page.goto(f"/{query}")
    page.locator("#grid .cell").first.wait_for()


def searched(page: Any, text: str = "a motorcycle") -> None:
    shows(page, f"?q={text.replace(' ', '+')}")


def filters(page: Any) -> None:
    shows(page, "?type=JPEG&type=PNG&orientation=landscape")
    page.locator("#add-filter").click()
    page.locator("#filter-menu .choice").first.wait_for()


def viewer(page: Any) -> None:
    searched(page, "a rocket")
    page.locator("#grid .cell").first.click()
    page.locator("#viewer dl").wait_for()


def tray(page: Any) -> None:
    searched(page, "a cup of coffee")
    first = page.locator("#grid .cell").first.get_attribute("data-id")
    shows(page, f"?q=a+flower&plus=0.5:id:{first}&minus=text:a+person")
    page.locator("#grid .cell").nth(1).focus()
    page.keyboard.press("m")
    page.locator(".part.more").wait_for()


def no_match(page: Any) -> None:
    shows(page, "?q=a+giraffe+on+a+bicycle")


VIEWS: dict[str, Callable[[Any], None]] = {
    "results": searched,
    "dark": lambda page: shows(page, ""),
    "filters": filters,
    "viewer": viewer,
    "tray": tray,
    "phone": lambda page: searched(page, "a temple in China"),
    "no-match": no_match,
}

if __name__ == "__main__":
    sys.exit(main())
