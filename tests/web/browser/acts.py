"""What a visitor of the page does and sees."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.web.browser.library import ALL

BROWSED = f"{ALL} pictures, newest first"
CELLS = "#grid .cell"
TIMES = "\N{MULTIPLICATION SIGN}"


def visit(page: Page, where: str = "/") -> None:
    """Open the page and wait for its pictures, or for word that there are none."""
    page.goto(where)
    expect(page.locator("#status:not(:empty), #empty:not([hidden])").first).to_be_visible()
    shown(page)


def look_for(page: Page, text: str) -> None:
    """Type a text and press Enter, and wait for the answer."""
    page.locator("#box").fill(text)
    with page.expect_response("**/api/search"):
        page.locator("#box").press("Enter")
    shown(page)


def shown(page: Page) -> None:
    """Wait until what the page was asked for is what it shows."""
    expect(page.locator("#grid")).to_have_attribute("aria-busy", "false")


def names(page: Page) -> list[str]:
    """The names below the pictures in the document, in their order."""
    return page.locator(f"{CELLS} .cell-name").all_text_contents()


def cell(page: Page, name: str) -> Locator:
    """A picture of the grid by its file's name."""
    return page.locator(CELLS).filter(has=page.get_by_text(name, exact=True))


def ids(page: Page) -> list[int]:
    return [int(each.get_attribute("data-id") or 0) for each in page.locator(CELLS).all()]


def status(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait for what the line above the pictures says."""
    expect(page.locator("#status")).to_have_text(text)


def query(page: Page) -> str:
    """The address after its `?`."""
    return page.evaluate("location.search")


def stands_at(page: Page, query: str) -> None:
    """Wait until the address has this query."""
    page.wait_for_function("(query) => location.search === query", arg=query)


def content(image: Image.Image) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def drop(page: Page, *files: tuple[str, str, bytes], uri: str = "") -> None:
    """Drag files (name, type, content), or an address, over the page and let go."""
    transfer = transfer_of(page, *files, uri=uri)
    for kind in ("dragenter", "dragover"):
        page.dispatch_event("#grid", kind, {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("#grid", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_hidden()


def transfer_of(page: Page, *files: tuple[str, str, bytes], uri: str = "") -> Any:
    """A DataTransfer in the page."""
    given = [[name, kind, base64.b64encode(bytes_).decode()] for name, kind, bytes_ in files]
    return page.evaluate_handle(
        """([files, uri]) => {
          const transfer = new DataTransfer();
          for (const [name, type, content] of files) {
            const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type }));
          }
          if (uri) transfer.setData('text/uri-list', uri);
          return transfer;
        }""",
        [given, uri],
    )


def body_of(request: Any) -> dict[str, Any]:
    """The JSON of a request."""
    body: dict[str, Any] = json.loads(request.post_data)
    return body
