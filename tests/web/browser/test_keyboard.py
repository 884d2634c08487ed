"""The whole page without a mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.acts import BROWSED, CELLS, look_for, names, query, shown, status, visit


def active(page: Page) -> str:
    """The id, or else the index among the hits, of what has the focus."""
    return page.evaluate(
        "document.activeElement.id || document.activeElement.dataset.index || "
        "document.activeElement.tagName"
    )


def test_from_a_search_to_an_opened_picture_and_back_by_keys_alone(page: Page) -> None:
    visit(page)
    page.keyboard.press("/")
    expect(page.locator("#box")).to_be_focused()
    page.keyboard.type("a temple")
    with page.expect_response("**/api/search"):
        page.keyboard.press("Enter")
    shown(page)
    for _ in range(20):
        page.keyboard.press("Tab")
        if active(page) == "0":
            break
    expect(page.locator(CELLS).first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer-name")).to_have_text(names(page)[1])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(page.locator(CELLS).nth(2)).to_be_focused()
    page.keyboard.press(" ")
    expect(page.locator("#viewer")).to_be_visible()


def test_the_first_stop_leads_past_the_controls(page: Page) -> None:
    visit(page)
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    expect(page.locator("#skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator(CELLS).first).to_be_focused()


def test_the_grid_is_one_stop_and_arrows_move_in_it(page: Page) -> None:
    visit(page, "/?index=many")
    page.locator("#options-button").focus()
    page.keyboard.press("Tab")
    assert active(page) == "0"
    row = len(page.locator("#grid .grid-row").first.locator(".cell").all())
    for key, index in [("ArrowRight", 1), ("ArrowDown", row + 1), ("ArrowUp", 1), ("Home", 0)]:
        page.keyboard.press(key)
        assert active(page) == str(index), key
    page.keyboard.press("End")
    assert active(page) == str(row - 1)
    page.keyboard.press("PageDown")
    assert int(active(page)) > row
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#options-button")).to_be_focused()


def test_the_focus_outlives_scrolling_far_away(page: Page) -> None:
    visit(page, "/?index=many")
    page.locator(CELLS).nth(2).focus()
    for _ in range(4):
        page.mouse.wheel(0, 4000)
        page.evaluate("() => new Promise((then) => requestAnimationFrame(() => setTimeout(then)))")
    page.wait_for_function("() => scrollY > 2000")
    assert active(page) == "2"
    page.keyboard.press("ArrowRight")
    assert active(page) == "3"
    expect(page.locator(f"{CELLS}[data-index='3']")).to_be_in_viewport()


def test_the_help_lists_the_keys_and_closes(page: Page) -> None:
    visit(page)
    page.keyboard.press("?")
    help_ = page.locator("#help")
    expect(help_).to_be_visible()
    keys = set(help_.locator("kbd").all_text_contents())
    assert {"/", "?", "Esc", "Enter", "m", "l", "c", "i", "+"} <= keys
    page.keyboard.press("/")  # nothing behind it hears keys
    expect(page.locator("#box")).not_to_be_focused()
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()
    page.locator("#help-button").click()
    expect(help_).to_be_visible()


@pytest.mark.parametrize("place", ["#box", "#more-words"])
def test_no_key_takes_letters_from_who_is_writing(page: Page, place: str) -> None:
    visit(page)
    if place == "#more-words":
        page.locator("#add-words").click()
    page.locator(place).focus()
    page.keyboard.type("m l c i / ? +")
    expect(page.locator(place)).to_have_value("m l c i / ? +")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("Control+z")
    status(page, BROWSED)
    assert query(page) == ""


def test_escape_leaves_the_box_and_keeps_its_words(page: Page) -> None:
    visit(page)
    page.locator("#box").fill("half a sent")
    page.keyboard.press("Escape")
    expect(page.locator("#box")).not_to_be_focused()
    expect(page.locator("#box")).to_have_value("half a sent")


def test_escape_closes_a_menu_and_gives_the_focus_back(page: Page) -> None:
    visit(page)
    for button, menu in [("#add-filter", "#filter-menu"), ("#options-button", "#options")]:
        page.locator(button).focus()
        page.keyboard.press("Enter")
        expect(page.locator(menu)).to_be_visible()
        expect(page.locator(button)).to_have_attribute("aria-expanded", "true")
        page.keyboard.press("Escape")
        expect(page.locator(menu)).to_be_hidden()
        expect(page.locator(button)).to_be_focused()


def test_a_filter_is_set_by_keys(page: Page) -> None:
    visit(page)
    page.locator("#add-filter").focus()
    page.keyboard.press("Enter")
    camera = page.locator(".choice", has_text="Canon")
    expect(camera).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        if "Canon" in page.evaluate("document.activeElement.textContent"):
            break
    expect(camera).to_be_focused()
    page.keyboard.press("Enter")
    status(page, "4 pictures, newest first")
    expect(camera).to_be_focused()  # the menu was drawn anew


def test_marking_from_the_grid_keeps_the_focus_in_it(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    page.locator(CELLS).nth(1).focus()
    with page.expect_response("**/api/search"):
        page.keyboard.press("m")
    shown(page)
    expect(page.locator(".part.more")).to_have_count(1)
    expect(page.locator(CELLS).first).to_be_focused()
