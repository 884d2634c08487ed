"""A browser, and real server processes for it to look at.

Where playwright or chromium is missing, these tests are skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import library

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 720}

Serve = Callable[..., str]
NewPage = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders and indexes of `library.make`; tests leave them as they are."""
    home = tmp_path_factory.mktemp("browser")
    library.make(home)
    return home


@contextmanager
def serving(folders: list[Path], cache: Path, *options: str) -> Iterator[str]:
    """`searchengine serve` in a process of its own; gives the address that it prints."""
    indexes = [word for folder in folders for word in ("--index", str(folder))]
    command = [sys.executable, "-m", "searchengine", "serve", *indexes, "--port", "0"]
    process = subprocess.Popen(
        [*command, "--device", "cpu", *options],
        stdout=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"},
        text=True,
    )
    with process:
        try:
            assert process.stdout
            said = re.search(r"http://\S+", process.stdout.readline())
            assert said, "the server told no address"
            yield said[0].rstrip("/")
        finally:
            process.terminate()


@pytest.fixture(scope="package")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts a server over index folders; it ends with the last of these tests."""
    with ExitStack() as stack:

        def start(*folders: Path, options: tuple[str, ...] = ()) -> str:
            cache = tmp_path_factory.mktemp("cache")
            return stack.enter_context(serving(list(folders), cache, *options))

        yield start


@pytest.fixture(scope="package")
def address(home: Path, serve: Serve) -> str:
    """A server of the indexes photos, others, empty and many; the first is the default."""
    return serve(*(home / "indexes" / name for name in ("photos", "others", "empty", "many")))


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    # Not of the whole session: while playwright runs, this thread has an event loop, in which
    # tests elsewhere could not start theirs.
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=10_000)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Faults:
    """What pages have complained of."""

    seen: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """Expect complaints that match a pattern."""
        self.allowed.append(pattern)

    def watch(self, page: Any) -> None:
        page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        page.on("console", self._said)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "")
            self.seen.append(f"{message.type}: {message.text} {where}")

    @property
    def left(self) -> list[str]:
        return [one for one in self.seen if not any(re.search(p, one) for p in self.allowed)]


@pytest.fixture
def faults() -> Iterator[Faults]:
    """A test fails where its pages wrote to the console or broke the content security policy."""
    faults = Faults()
    yield faults
    assert faults.left == []


@pytest.fixture
def new_page(browser: Any, address: str, faults: Faults) -> Iterator[NewPage]:
    """Opens pages, each in a context of its own, with the settings of a person's browser."""
    with ExitStack() as stack:

        def new(base_url: str = address, **settings: Any) -> Any:
            given = {"viewport": WIDE, "color_scheme": "light", "base_url": base_url} | settings
            context = browser.new_context(**given)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(10_000)
            faults.watch(page)
            return page

        yield new


@pytest.fixture
def page(new_page: NewPage) -> Any:
    """A wide, light window, not at the page yet."""
    return new_page()
