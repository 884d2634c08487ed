"""One picture at a time: where it is, what is known of it, and where to go from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.browser.acts import (
    CELLS,
    TIMES,
    body_of,
    cell,
    names,
    query,
    shown,
    stands_at,
    status,
    visit,
)
from tests.web.browser.conftest import PHONE, Faults, NewPage
from tests.web.browser.library import ALL


def viewer(page: Page) -> Locator:
    return page.locator("#viewer")


def opened(page: Page, name: str, where: str = "/?q=a+temple") -> Locator:
    """A picture, opened by a click."""
    visit(page, where)
    cell(page, name).click()
    expect(page.locator("#viewer-name")).to_have_text(name)
    expect(viewer(page).locator("dl")).to_be_visible()
    return viewer(page)


def test_a_click_opens_a_picture_and_escape_leads_back_to_it(page: Page) -> None:
    visit(page)
    second = page.locator(CELLS).nth(1)
    mark = second.get_attribute("data-id")
    second.click()
    expect(viewer(page)).to_be_visible()
    expect(page.locator(".viewer-position")).to_have_text(f"2 of {ALL}")
    stands_at(page, f"?view={mark}")
    page.keyboard.press("Escape")
    expect(viewer(page)).to_be_hidden()
    expect(second).to_be_focused()
    stands_at(page, "")


def test_the_arrows_go_through_the_hits_and_stop_at_the_first(page: Page) -> None:
    visit(page)
    found = names(page)
    page.locator(CELLS).first.click()
    name = page.locator("#viewer-name")
    previous = page.get_by_role("button", name="Previous picture")
    expect(previous).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("ArrowLeft")
    expect(name).to_have_text(found[0])
    page.keyboard.press("ArrowRight")
    expect(name).to_have_text(found[1])
    page.get_by_role("button", name="Next picture").click()
    expect(name).to_have_text(found[2])
    page.keyboard.press("ArrowLeft")
    expect(name).to_have_text(found[1])
    page.keyboard.press("Escape")
    expect(page.locator(CELLS).nth(1)).to_be_focused()


def test_what_is_known_is_told(page: Page) -> None:
    panel = opened(page, "temple-1.jpg").locator(".viewer-panel")
    for fact in ("Canon EOS 80D", "JPEG", "39.90000, 116.40000", "/photos/travel/temple-1.jpg"):
        expect(panel).to_contain_text(fact)
    expect(panel).to_contain_text(re.compile("Saturday, May 11, 2019 at 8:00"))
    expect(panel).to_contain_text(re.compile(rf"576 {TIMES} 38\d"))
    page.keyboard.press("i")
    expect(panel).to_be_hidden()
    page.keyboard.press("i")
    expect(panel).to_be_visible()


def test_captions_are_shown(page: Page) -> None:
    panel = opened(page, "0000.jpg", "/?captioned=yes").locator(".viewer-panel")
    expect(panel.locator(".viewer-caption")).to_have_text(["a harbour, quite empty", "evening"])


def test_the_original_takes_the_place_of_the_thumbnail(page: Page) -> None:
    picture = opened(page, "temple-1.jpg").locator("img.viewer-picture")
    expect(picture).to_have_attribute("src", re.compile("/original$"))
    assert picture.get_attribute("alt")


@pytest.mark.parametrize(("what", "copied"), [("path", "temple-1.jpg"), ("place", "39.90000, 116")])
def test_path_and_place_are_copied(page: Page, what: str, copied: str) -> None:
    panel = opened(page, "temple-1.jpg")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = panel.get_by_role("button", name=f"Copy {what}")
    button.click()
    expect(button).to_have_text("Copied")
    assert copied in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize(
    ("button", "chip", "pictures"),
    [
        ("Same day", "2024-07-01", {"flower-0.jpg", "flower-1.jpg", "flower-2.jpg"}),
        ("Same camera", "Nikon D90", 5),
        ("Same folder", "In garden", 5),
        ("Same place", "20 km around 48.2° N, 16.4° E", 5),
    ],
)
def test_what_belongs_together_is_a_click_away(
    page: Page, button: str, chip: str, pictures: set[str] | int
) -> None:
    opened(page, "flower-1.jpg", "/").get_by_role("button", name=button).click()
    expect(viewer(page)).to_be_hidden()
    expect(page.locator(".chip span")).to_have_text(chip)
    status(page, re.compile(r"^\d pictures, newest first"))
    found = {name for name in names(page) if name != "flower copy.jpg"}
    assert found == pictures if isinstance(pictures, set) else len(found) == pictures
    page.go_back()
    expect(page.locator(".chip")).to_have_count(0)


def by_button(page: Page) -> None:
    viewer(page).get_by_role("button", name="More like this").click()


def by_key(page: Page) -> None:
    page.keyboard.press("m")


@pytest.mark.parametrize("do", [by_button, by_key])
def test_more_like_the_opened_picture_and_undo(page: Page, do: Callable[[Page], None]) -> None:
    opened(page, "temple-1.jpg")
    mark = re.search(r"view=(\d+)", query(page))
    assert mark
    with page.expect_response("**/api/search"):
        do(page)
    expect(viewer(page)).to_be_hidden()
    stands_at(page, f"?q=a+temple&more={mark[1]}")
    expect(page.locator(".part.more")).to_have_count(1)
    page.locator("#undo").click()
    stands_at(page, "?q=a+temple")
    expect(page.locator("#undo")).to_be_hidden()


def test_less_like_a_picture_is_asked_and_control_z_undoes_it(page: Page) -> None:
    visit(page, "/?q=a+flower")
    before = names(page)[:5]
    second = page.locator(CELLS).nth(1)
    second.focus()
    with page.expect_response("**/api/search") as answered:
        page.keyboard.press("l")
    mark = int(second.get_attribute("data-id") or 0)
    assert body_of(answered.value.request)["less"] == [mark]
    expect(page.locator(".part.less")).to_have_count(1)
    shown(page)
    expect(page.locator(CELLS).first).to_be_focused()  # the keys go on
    page.keyboard.press("Control+z")
    expect(page.locator("#tray")).to_be_hidden()
    stands_at(page, "?q=a+flower")
    assert names(page)[:5] == before


ZOOMED = "() => document.querySelector('.viewer-picture').getBoundingClientRect().width"


def test_a_picture_is_zoomed_by_keys_and_wheel(page: Page) -> None:
    opened(page, "temple-1.jpg")
    stage = page.locator(".viewer-stage")
    expect(page.locator("img.viewer-picture")).to_have_attribute("src", re.compile("original"))
    fitted = page.evaluate(ZOOMED)
    page.keyboard.press("+")
    page.wait_for_function(f"(fitted) => ({ZOOMED})() > 1.3 * fitted", arg=fitted)
    page.keyboard.press("0")
    page.wait_for_function(f"(fitted) => Math.abs(({ZOOMED})() - fitted) < 2", arg=fitted)
    stage.hover()
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"(fitted) => ({ZOOMED})() > 1.1 * fitted", arg=fitted)
    page.keyboard.press("ArrowRight")  # the next one is whole again
    expect(page.locator("#viewer-name")).not_to_have_text("temple-1.jpg")


def test_the_original_opens_in_a_tab(page: Page) -> None:
    panel = opened(page, "temple-1.jpg")
    with page.context.expect_page() as tab:
        panel.get_by_role("link", name="Open original").click()
    assert tab.value.evaluate("document.contentType") == "image/jpeg"


def test_a_picture_that_is_gone_is_said_plainly(page: Page, faults: Faults) -> None:
    faults.allow("404")
    held: list[Any] = []
    page.route("**/987654/thumbnail?*", lambda route: held.append(route))  # noqa: PLW0108
    page.goto("/?view=987654")
    expect(viewer(page)).to_contain_text("This picture is no longer in the index.")
    held[0].continue_()
    expect(page.locator(".viewer-picture.broken")).to_have_count(1)
    page.evaluate("() => fetch('/api/health')")
    expect(viewer(page)).to_contain_text("This picture is no longer in the index.")
    page.keyboard.press("Escape")
    expect(viewer(page)).to_be_hidden()
    expect(page.locator(CELLS).first).to_be_visible()
    assert query(page) == ""


def test_the_focus_stays_in_the_opened_picture(page: Page) -> None:
    opened(page, "temple-1.jpg")
    inside = "document.activeElement === document.body || document.activeElement.closest('#viewer')"
    for _ in range(20):
        page.keyboard.press("Tab")
        assert page.evaluate(f"Boolean({inside})")


def swipe(page: Any, step: int) -> None:
    """One finger over the picture, to the left for a negative step."""
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *points: dict[str, float]) -> None:
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    start = 180 - step
    touch("touchStart", {"x": start, "y": 250})
    for part in range(1, 6):
        touch("touchMove", {"x": start + 2 * step * part / 5, "y": 250})
    touch("touchEnd")


def test_a_finger_turns_to_the_next_picture_on_a_phone(new_page: NewPage) -> None:
    page = new_page(viewport=PHONE, has_touch=True, is_mobile=True)
    visit(page)
    first, second = names(page)[:2]
    page.locator(CELLS).first.tap()
    name = page.locator("#viewer-name")
    expect(name).to_have_text(first)
    expect(page.locator("img.viewer-picture")).to_have_attribute("src", re.compile("original"))
    swipe(page, -110)
    expect(name).to_have_text(second)
    swipe(page, 110)
    expect(name).to_have_text(first)
