"""Parts of a query beyond the box: their signs, their weights, and what was marked."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.web.browser.acts import (
    TIMES,
    body_of,
    content,
    drop,
    look_for,
    names,
    query,
    shown,
    stands_at,
    visit,
)
from tests.web.browser.library import photograph


def add(page: Page, words: str, button: str) -> None:
    page.locator("#add-words").click()
    expect(page.locator("#more-words")).to_be_focused()
    page.locator("#more-words").fill(words)
    with page.expect_response("**/api/search"):
        page.get_by_role("button", name=button).click()
    shown(page)


def id_of(page: Page, text: str) -> int:
    """The id of the picture that a text finds first."""
    look_for(page, text)
    return int(page.locator("#grid .cell").first.get_attribute("data-id") or 0)


def test_words_are_added_with_a_sign_and_can_be_turned_round(page: Page) -> None:
    visit(page)
    add(page, "a temple: red, & old", "Look for")
    expect(page.locator(".part.plus .words")).to_have_text("a temple: red, & old")
    assert names(page)[0].startswith("temple")
    with page.expect_response("**/api/search") as answered:
        page.locator(".part .sign").click()
    body = body_of(answered.value.request)
    assert (body["plus"], [part["text"] for part in body["minus"]]) == (
        [],
        ["a temple: red, & old"],
    )
    expect(page.locator(".part.minus")).to_have_count(1)
    shown(page)
    assert not names(page)[0].startswith("temple")


def test_avoided_words_count_against_pictures(page: Page) -> None:
    visit(page, "/?q=a+photograph+of+plants+or+houses")
    add(page, "a flower", "Avoid")
    assert "minus=text:a+flower" in query(page)
    assert not any(name.startswith("flower") for name in names(page)[:4])


def test_a_weight_changes_what_is_found(page: Page) -> None:
    visit(page)
    flower, temple = (id_of(page, f"a {name}") for name in ("flower", "temple"))
    visit(page, f"/?plus=id:{flower}&plus=0.25:id:{temple}")
    assert names(page)[0].startswith("flower")
    slider = page.get_by_label(f"Weight of picture {temple}")
    slider.focus()
    with page.expect_response("**/api/search") as answered:
        page.keyboard.press("End")
    assert body_of(answered.value.request)["plus"][1] == {"id": temple, "weight": 4}
    expect(page.locator(".part output").last).to_have_text(f"{TIMES} 4")
    expect(slider).to_have_attribute("aria-valuetext", f"{TIMES} 4")
    shown(page)
    assert names(page)[0].startswith("temple")
    expect(slider).to_be_focused()


def test_a_whole_movement_of_a_slider_is_one_step_back(page: Page) -> None:
    visit(page, "/?q=a+flower&plus=text:a+temple")
    page.get_by_label("Weight of a temple").focus()
    with page.expect_response("**/api/search"):
        for _ in range(4):
            page.keyboard.press("ArrowRight")
    stands_at(page, "?q=a+flower&plus=2:text:a+temple")
    page.go_back()
    stands_at(page, "?q=a+flower&plus=text:a+temple")
    expect(page.locator(".part output")).to_have_text(f"{TIMES} 1")


def test_a_part_that_is_removed_leaves_the_focus_in_the_tray(page: Page) -> None:
    visit(page, "/?plus=text:a+flower&plus=text:a+temple&minus=text:snow")
    expect(page.locator(".part")).to_have_count(3)
    with page.expect_response("**/api/search"):
        page.get_by_role("button", name="Remove a flower").click()
    expect(page.get_by_role("button", name="Remove a temple")).to_be_focused()
    shown(page)
    assert names(page)[0].startswith("temple")
    page.get_by_role("button", name="Remove a temple").click()
    page.get_by_role("button", name="Remove snow").click()
    expect(page.locator("#tray")).to_be_hidden()
    expect(page.locator("#box")).to_be_focused()


def test_a_picture_and_words_are_mixed(page: Page) -> None:
    visit(page)
    look_for(page, "a temple")
    with page.expect_response("**/api/search") as answered:
        drop(page, ("flower.png", "image/png", content(photograph("flower", 1))))
    body = body_of(answered.value.request)
    assert (body["text"], len(body["plus"])) == ("a temple", 1)
    shown(page)
    assert {name.split("-")[0].split()[0] for name in names(page)[:8]} == {"flower", "temple"}


def test_the_same_picture_is_taken_once(page: Page) -> None:
    visit(page)
    file = ("flower.png", "image/png", content(photograph("flower", 1)))
    with page.expect_response("**/api/search"):
        drop(page, file)
    expect(page.locator(".part")).to_have_count(1)
    with page.expect_response("**/api/uploads"):
        drop(page, file)
    expect(page.locator("#choose-picture[aria-busy]")).to_have_count(0)
    expect(page.locator(".part")).to_have_count(1)


def test_an_uploaded_picture_outlives_a_reload(page: Page) -> None:
    visit(page)
    with page.expect_response("**/api/search"):
        drop(page, ("flower.png", "image/png", content(photograph("flower", 1))))
    page.reload()
    expect(page.locator(".part img")).to_be_visible()
    shown(page)
    expect(page.locator("#grid .cell").first).to_be_visible()
    assert names(page)[0].startswith("flower")


def test_a_mark_can_be_taken_back(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    first = page.locator("#grid .cell").first
    mark = first.get_attribute("data-id")
    first.focus()
    with page.expect_response("**/api/search"):
        page.keyboard.press("l")
    expect(page.locator(".part.less")).to_have_count(1)
    assert query(page) == f"?q=a+flower&less={mark}"
    with page.expect_response("**/api/search"):
        page.get_by_role("button", name="Take back: less like this").click()
    assert query(page) == "?q=a+flower"
    expect(page.locator("#tray")).to_be_hidden()
