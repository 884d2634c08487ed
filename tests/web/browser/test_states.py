"""Empty, changing and failing indexes; several of them; and a token."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from searchengine import SearchEngine
from tests.pictures import fill, picture
from tests.web.browser.acts import (
    BROWSED,
    CELLS,
    cell,
    content,
    drop,
    look_for,
    names,
    query,
    shown,
    stands_at,
    status,
    visit,
)
from tests.web.browser.conftest import Faults, NewPage, Serve
from tests.web.browser.library import photograph

TOKEN = "correct horse"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`index` over the 6 pictures and the broken file of `photos`; tests add to it."""
    place = tmp_path_factory.mktemp("changing")
    fill(place / "photos", 6)
    (place / "photos" / "broken.jpg").write_text("not a picture")
    with SearchEngine.open(place / "index", device="cpu") as engine:
        engine.index(place / "photos")
    return place


@pytest.fixture(scope="module")
def changing(place: Path, serve: Serve) -> str:
    """A server of that index alone."""
    return serve(place / "index")


@pytest.fixture
def own(new_page: NewPage, changing: str) -> Page:
    """A page of that server."""
    return new_page(changing)


@pytest.fixture(scope="module")
def closed(home: Path, serve: Serve) -> str:
    """A server that wants a token."""
    return serve(home / "indexes" / "photos", options=("--token", TOKEN))


def test_an_empty_index_says_how_to_fill_it(page: Page) -> None:
    visit(page, "/?index=empty")
    expect(page.locator("#empty")).to_contain_text("There are no pictures in this index yet")
    expect(page.locator("#empty code")).to_have_text("searchengine index ~/Pictures")
    look_for(page, "a flower")
    expect(page.locator("#empty")).to_contain_text("There are no pictures in this index yet")
    expect(page.get_by_role("grid")).to_have_count(0)
    page.locator("#add-filter").click()
    expect(page.locator("#filter-menu")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("#health-button").click()
    expect(page.locator("#no-roots")).to_be_visible()


def test_filters_that_nothing_passes_are_taken_away_at_once(page: Page) -> None:
    visit(page, "/?q=a+flower&camera=Nikon+D90&after=2025")
    expect(page.locator("#empty")).to_contain_text("No picture passes these filters")
    page.get_by_role("button", name="Remove the filters").click()
    status(page, re.compile(r"^\d+ pictures, best match first$"))
    stands_at(page, "?q=a+flower")
    expect(page.locator("#empty")).to_be_hidden()


def test_an_index_is_chosen_and_takes_the_words_along(page: Page) -> None:
    visit(page, "/?q=a+flower&camera=Nikon+D90&plus=text:red")
    switcher = page.locator("#index-switcher")
    expect(switcher.locator("option")).to_have_text(["photos", "others", "empty", "many"])
    expect(switcher).to_have_value("photos")
    switcher.select_option("others")
    stands_at(page, "?index=others&q=a+flower&plus=text:red")
    expect(page.locator(CELLS)).to_have_count(3)
    page.go_back()
    expect(switcher).to_have_value("photos")
    expect(page.locator(".chip")).to_have_count(1)


def test_one_index_needs_no_switcher(own: Page) -> None:
    visit(own)
    expect(own.locator("#index-switcher")).to_be_hidden()


def health(page: Page) -> Locator:
    page.locator("#health-button").click()
    expect(page.locator("#facts dd").first).to_be_visible()
    return page.locator("#health")


def fact(page: Page, name: str) -> Locator:
    return page.locator(f"#facts dt:text-is('{name}') + dd")


def test_the_index_is_described(page: Page) -> None:
    visit(page)
    panel = health(page)
    expect(fact(page, "Pictures")).to_have_text("75")
    expect(fact(page, "Coverage")).to_have_text("98.6 % of the picture files found")
    expect(panel.locator("#roots code")).to_have_text(re.compile("/photos$"))
    expect(panel.locator("#failures code")).to_have_text(re.compile("/broken.jpg$"))
    expect(panel.locator("#failures span")).not_to_be_empty()


def test_a_repaired_file_appears_when_it_is_tried_again(own: Page, place: Path) -> None:
    visit(own)
    before = len(names(own))
    panel = health(own)
    expect(own.locator("#failures-count")).to_have_text("1 file could not be read")
    picture(77).save(place / "photos" / "broken.jpg")
    panel.get_by_role("button", name="Try again").click()
    expect(own.locator("#job-outcome")).to_have_text("1 added.", timeout=30_000)
    expect(own.locator("#failures-count")).to_have_text("Every picture file could be read")
    expect(panel.get_by_role("button", name="Try again")).to_be_hidden()
    expect(fact(own, "Coverage")).to_have_text(re.compile("^100 %"))
    own.keyboard.press("Escape")
    expect(own.locator("#changed")).to_be_visible()
    own.get_by_role("button", name="Show the new state").click()
    expect(own.locator(CELLS)).to_have_count(before + 1)
    expect(cell(own, "broken.jpg")).to_be_visible()


def test_a_refresh_shows_how_far_it_is_and_can_be_stopped(own: Page, place: Path) -> None:
    visit(own)
    fill(place / "photos" / "new", 1500, first=1000)
    panel = health(own)
    panel.get_by_role("button", name="Refresh").click()
    expect(own.locator("#job")).to_be_visible()
    expect(panel.get_by_role("button", name="Refresh")).to_be_disabled()
    expect(own.locator("#job-says")).to_have_text(
        re.compile(r"^[1-9][\d,]* of [\d,]+ pictures"), timeout=30_000
    )
    assert own.locator("#job-bar").get_attribute("value")
    panel.get_by_role("button", name="Cancel").click()
    expect(own.locator("#job-outcome")).to_have_text(re.compile("^Stopped; what was read stays"))
    expect(panel.get_by_role("button", name="Refresh")).to_be_enabled()
    expect(own.locator("#job")).to_be_hidden()


def test_a_job_is_seen_by_who_opens_the_page_meanwhile(own: Page, new_page: NewPage) -> None:
    visit(own)
    health(own).get_by_role("button", name="Refresh").click()
    expect(own.locator("#job")).to_be_visible()
    other = new_page(own.url)
    visit(other)
    other.locator("#health-button").click()
    expect(other.locator("#job")).to_be_visible()
    other.get_by_role("button", name="Cancel").click()
    for page in (own, other):
        expect(page.locator("#job-outcome")).to_have_text(re.compile("Stopped"), timeout=30_000)


def test_what_another_process_indexes_is_shown_when_asked_for(own: Page, place: Path) -> None:
    visit(own)
    (place / "more").mkdir()
    photograph("temple").save(place / "more" / "temple.jpg")
    found = names(own)
    with SearchEngine.open(place / "index", device="cpu") as engine:
        engine.index(place / "more")
    expect(own.locator("#changed")).to_be_visible()  # the page looks every five seconds
    assert names(own) == found  # nothing jumped
    own.get_by_role("button", name="Show the new state").click()
    expect(own.locator("#changed")).to_be_hidden()
    look_for(own, "a temple")
    assert names(own)[0] == "temple.jpg"


def test_a_file_that_is_gone_is_said_in_the_viewer(own: Page, place: Path, faults: Faults) -> None:
    faults.allow("404|410")
    gone = place / "photos" / "0003.jpg"
    kept = gone.read_bytes()
    gone.unlink()
    try:
        visit(own)
        look_for(own, '"0003"')
        cell(own, "0003.jpg").click()
        expect(own.locator("#viewer")).to_contain_text("This picture cannot be shown.")
        expect(own.locator("#viewer")).to_contain_text("0003.jpg")
    finally:
        gone.write_bytes(kept)


def test_a_token_is_asked_for_and_kept(new_page: NewPage, closed: str, faults: Faults) -> None:
    faults.allow("401")
    page = new_page(closed)
    page.goto("/?q=a+temple")
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("#page")).to_be_hidden()
    expect(page.locator("#token")).to_be_focused()
    page.locator("#token").fill("a guess")
    page.keyboard.press("Enter")
    expect(page.locator("#login-says")).not_to_be_empty()
    page.locator("#token").fill(TOKEN)
    page.keyboard.press("Enter")
    shown(page)
    expect(page.locator("#login")).to_be_hidden()
    expect(page.locator("#box")).to_have_value("a temple")
    expect(page.locator(".cell-name").first).to_have_text(re.compile("temple"))
    drop(page, ("flower.png", "image/png", content(photograph("flower", 1))))
    expect(page.locator(".part img")).to_be_visible()
    page.reload()
    shown(page)
    expect(page.locator("#login")).to_be_hidden()
    assert page.evaluate("document.cookie") == ""


def test_who_is_logged_out_meanwhile_sees_the_form(
    new_page: NewPage, closed: str, faults: Faults
) -> None:
    faults.allow("401")
    page = new_page(closed)
    page.goto("/")
    page.locator("#token").fill(TOKEN)
    page.keyboard.press("Enter")
    status(page, BROWSED)
    page.context.clear_cookies()
    page.locator("#box").fill("a flower")
    page.locator("#box").press("Enter")
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("#page")).to_be_hidden()
    page.locator("#token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".cell-name").first).to_have_text(re.compile("flower"))
    assert query(page) == "?q=a+flower"
