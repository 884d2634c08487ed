"""Searching by words and by pictures."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.browser.acts import (
    BROWSED,
    body_of,
    cell,
    content,
    drop,
    look_for,
    names,
    query,
    shown,
    status,
    transfer_of,
    visit,
)
from tests.web.browser.conftest import Faults
from tests.web.browser.library import photograph

SOME = re.compile(r"^\d+ pictures, best match first$")


def test_without_words_the_library_is_shown_newest_first(page: Page) -> None:
    visit(page)
    status(page, BROWSED)
    assert names(page)[:3] == ["flower-4.jpg", "flower-3.jpg", "flower-2.jpg"]


def test_words_bring_the_pictures_that_show_it_first_in_bands(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    assert all(name.startswith("flower") for name in names(page)[:5])
    bands = page.locator(".band")
    expect(bands.last).to_have_attribute("data-band", "weak")
    assert page.title().startswith("a flower")
    look_for(page, "a temple")
    assert all(name.startswith("temple") for name in names(page)[:4])


def test_the_button_searches_too(page: Page) -> None:
    visit(page)
    page.locator("#box").fill("a temple")
    page.locator("#search-button").click()
    expect(page.locator(".cell-name").first).to_have_text(re.compile("temple"))


def test_typing_alone_searches_nothing(page: Page) -> None:
    visit(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#box").press_sequentially("a flower")
    assert not [url for url in asked if "search" in url]
    status(page, BROWSED)


def test_no_good_match_is_said_plainly(page: Page) -> None:
    visit(page)
    look_for(page, "a zebra in the snow")
    status(page, "No good match for “a zebra in the snow”. The nearest pictures are below.")
    assert page.locator(".band").all_text_contents() == [
        "Weak: the nearest, probably not what you asked for"
    ]


def test_a_word_after_a_minus_is_avoided(page: Page) -> None:
    visit(page)
    look_for(page, "a flower or a temple")
    assert any(name.startswith("flower") for name in names(page)[:6])
    look_for(page, "a flower or a temple -flower")
    first = names(page)[:4]
    assert all(name.startswith("temple") for name in first), first


def test_what_is_quoted_must_be_in_a_name_or_a_caption(page: Page) -> None:
    visit(page)
    look_for(page, '"temple-2"')
    status(page, "1 picture, best match first")
    assert names(page) == ["temple-2.jpg"]
    look_for(page, '"quite empty"')
    assert names(page) == ["0000.jpg"]


def test_a_dropped_picture_finds_its_like(page: Page) -> None:
    visit(page)
    with page.expect_response("**/api/search"):
        drop(page, ("mine.png", "image/png", content(photograph("temple", 3))))
    shown(page)
    assert all(name.startswith("temple") for name in names(page)[:4])
    expect(page.locator(".part img")).to_have_count(1)
    assert page.locator(".part img").evaluate("(img) => img.decode().then(() => img.naturalWidth)")


def test_a_picture_of_the_page_itself_can_be_dropped(page: Page) -> None:
    visit(page)
    look_for(page, "a temple")
    href = cell(page, "temple-1.jpg").locator("a").evaluate("(link) => link.href")
    with page.expect_response("**/api/search") as answered:
        drop(page, uri=href)
    assert body_of(answered.value.request)["plus"][0]["id"]
    shown(page)
    assert names(page)[:3] == ["temple-0.jpg", "temple-2.jpg", "temple-3.jpg"]


def test_a_pasted_picture_finds_its_like(page: Page) -> None:
    visit(page)
    file = ("image.png", "image/png", content(photograph("flower", 2)))
    transfer = transfer_of(page, file)
    with page.expect_response("**/api/search"):
        page.evaluate(
            """(clipboardData) => document.body.dispatchEvent(
              new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))""",
            transfer,
        )
    shown(page)
    assert all(name.startswith("flower") for name in names(page)[:5])


def test_text_is_pasted_into_the_box_as_anywhere(page: Page) -> None:
    visit(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('a flower')")
    page.locator("#box").focus()
    page.keyboard.press("Control+v")
    expect(page.locator("#box")).to_have_value("a flower")
    expect(page.locator(".part")).to_have_count(0)


def test_a_chosen_picture_counts_with_the_words(page: Page, tmp_path: Path) -> None:
    visit(page)
    photograph("admiral", 2).save(tmp_path / "someone.jpg")
    page.locator("#box").fill("a woman in uniform")
    with page.expect_file_chooser() as chooser:
        page.locator("#choose-picture").click()
    with page.expect_response("**/api/search") as answered:
        chooser.value.set_files(tmp_path / "someone.jpg")
    body = body_of(answered.value.request)
    assert body["text"] == "a woman in uniform"
    assert list(body["plus"][0]) == ["upload", "weight"]
    shown(page)
    assert all(name.startswith("admiral") for name in names(page)[:2])
    assert query(page).startswith("?q=a+woman+in+uniform&plus=upload:")


def test_what_is_no_picture_is_refused_with_words(page: Page, faults: Faults) -> None:
    faults.allow("415")
    visit(page)
    drop(page, ("notes.txt", "text/plain", b"hello"))
    expect(page.locator("#message")).to_contain_text("notes.txt is no picture.")
    drop(page, ("broken.jpg", "image/jpeg", b"hello"))
    expect(page.locator("#message")).not_to_contain_text("notes.txt")
    expect(page.locator("#message")).to_have_text(re.compile("picture|image"))
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#message")).to_be_empty()
    status(page, BROWSED)


def test_an_answer_that_comes_late_changes_nothing(page: Page) -> None:
    visit(page)
    held = []

    def hold(route):  # the first search is answered only after the second one
        if body_of(route.request)["text"] == "a flower":
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/search", hold)
    page.locator("#box").fill("a flower")
    page.locator("#box").press("Enter")
    expect(page.locator("body")).to_have_class("waiting")
    look_for(page, "a temple")
    assert len(held) == 1
    held[0].fulfill(response=held[0].fetch())
    page.evaluate("() => fetch('/api/health')")  # what was answered before has come by then
    shown(page)
    assert all(name.startswith("temple") for name in names(page)[:4])


def test_a_busy_server_is_asked_once_more(page: Page, faults: Faults) -> None:
    faults.allow("503")
    visit(page)
    refused = []

    def refuse_once(route):
        if refused:
            route.continue_()
        else:
            refused.append(route)
            route.fulfill(status=503, headers={"Retry-After": "0"}, json={"detail": "busy"})

    page.route("**/api/search", refuse_once)
    page.locator("#box").fill("a flower")
    page.locator("#box").press("Enter")
    status(page, SOME)
    assert names(page)[0].startswith("flower")
    assert len(refused) == 1


def test_a_server_that_is_away_is_told_and_can_be_tried_again(page: Page, faults: Faults) -> None:
    faults.allow("ERR_CONNECTION_REFUSED")
    visit(page)
    page.route("**/api/search", lambda route: route.abort("connectionrefused"))
    page.locator("#box").fill("a flower")
    page.locator("#box").press("Enter")
    expect(page.locator("#message")).to_contain_text("The server does not answer.")
    expect(page.locator("#grid .cell")).to_have_count(0)
    page.unroute("**/api/search")
    page.get_by_role("button", name="Try again").click()
    status(page, SOME)
    assert names(page)[0].startswith("flower")
    expect(page.locator("#message")).to_be_empty()


def test_what_the_server_refuses_is_shown_in_its_words(page: Page, faults: Faults) -> None:
    faults.allow("400|422")
    page.goto("/?q=a+flower&after=yesterday")
    expect(page.locator("#message")).to_contain_text("yesterday")
    expect(page.locator("#grid .cell")).to_have_count(0)
