"""Filters with their counts, chips, the histogram; order, groups and options."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.browser.acts import (
    BROWSED,
    body_of,
    look_for,
    names,
    query,
    shown,
    stands_at,
    status,
    visit,
)
from tests.web.browser.library import DATED, GARDEN, ODD_FOLDER, PEOPLE, TRAVEL, UNDATED

PENTAX = f"{DATED} pictures, newest first"


def menu(page: Page) -> Locator:
    """The opened menu of filters, with its counts."""
    if not page.locator("#filter-menu").is_visible():
        page.locator("#add-filter").click()
    expect(page.locator("#filter-menu .choice").first).to_be_visible()
    return page.locator("#filter-menu")


def choice(page: Page, label: str) -> Locator:
    return menu(page).locator(".choice").filter(has=page.get_by_text(label, exact=True))


def counts(page: Page, title: str) -> dict[str, str]:
    """What a section of the menu offers: label -> count."""
    section = menu(page).locator("section").filter(has=page.get_by_role("heading", name=title))
    return {
        each.locator("span").inner_text(): each.locator("small").inner_text()
        for each in section.locator(".choice").all()
    }


def chips(page: Page, *labels: str) -> None:
    """Wait for these chips."""
    expect(page.locator(".chip span")).to_have_text(list(labels))


def test_the_menu_counts_what_there_is(page: Page) -> None:
    visit(page)
    assert counts(page, "Camera") == {"Pentax K-1": "48", "Nikon D90": "6", "Canon EOS 80D": "4"}
    assert counts(page, "Type") == {"JPEG": "63", "PNG": "10", "WEBP": "2"}
    places = {"48.2° N, 16.4° E": f"{GARDEN + 1}", "39.9° N, 116.4° E": f"{TRAVEL}"}
    assert counts(page, "Place") == places
    folders = counts(page, "Folder")
    assert (folders["drawn"], folders["people"]) == (f"{DATED + UNDATED}", f"{PEOPLE}")


def test_a_camera_narrows_the_other_counts_but_not_its_own(page: Page) -> None:
    visit(page)
    choice(page, "Pentax K-1").click()
    status(page, PENTAX)
    chips(page, "Pentax K-1")
    expect(choice(page, "Pentax K-1")).to_have_attribute("aria-pressed", "true")
    expect(choice(page, "PNG")).to_have_count(0)
    assert counts(page, "Type") == {"JPEG": f"{DATED}"}
    assert counts(page, "Camera")["Nikon D90"] == "6"
    choice(page, "Nikon D90").click()
    status(page, "6 pictures, newest first")
    chips(page, "Nikon D90")


def test_a_chip_takes_its_filter_away(page: Page) -> None:
    visit(page, "/?camera=Pentax+K-1&orientation=portrait")
    status(page, "16 pictures, newest first")
    chips(page, "Pentax K-1", "Portrait")
    page.get_by_role("button", name="Remove the filter Portrait").click()
    status(page, PENTAX)
    expect(page.locator("#add-filter")).to_be_focused()
    page.get_by_role("button", name="Remove the filter Pentax K-1").click()
    status(page, BROWSED)
    assert query(page) == ""


@pytest.mark.parametrize(
    ("labels", "chip", "found"),
    [
        (["PNG", "WEBP"], "PNG or WEBP", "12 pictures"),
        (["Portrait"], "Portrait", "20 pictures"),
        (["With"], "With captions", "1 picture"),
        (["48.2° N, 16.4° E"], "20 km around 48.2° N, 16.4° E", "6 pictures"),
        (["travel"], "In travel", "4 pictures"),
        ([ODD_FOLDER], f"In {ODD_FOLDER}", "2 pictures"),
    ],
)
def test_each_kind_of_filter(page: Page, labels: list[str], chip: str, found: str) -> None:
    visit(page)
    for label in labels:
        with page.expect_response("**/api/search"):
            choice(page, label).click()
        expect(choice(page, label)).to_have_attribute("aria-pressed", "true")
    status(page, f"{found}, newest first")
    chips(page, chip)
    page.reload()
    status(page, f"{found}, newest first")
    chips(page, chip)


def test_a_width_is_a_filter(page: Page) -> None:
    visit(page)
    menu(page).locator(".choice", has_text="1,000").click()
    status(page, "1 picture, newest first")
    chips(page, "1,000 pixels wide or more")


def test_filters_hold_for_a_search_too(page: Page) -> None:
    visit(page, "/?camera=Canon+EOS+80D")
    look_for(page, "a flower")
    assert {name.split("-")[0] for name in names(page)} == {"temple"}
    chips(page, "Canon EOS 80D")


def bars(page: Page) -> list[str]:
    menu(page)
    return [bar.get_attribute("aria-label") or "" for bar in page.locator(".histogram .bar").all()]


def test_the_histogram_has_years_and_then_the_months_of_one(page: Page) -> None:
    visit(page)
    assert bars(page)[0] == "2019, 4 pictures"
    assert bars(page)[3:] == ["2022, 24 pictures", "2023, 24 pictures", "2024, 6 pictures"]
    page.locator(".bar").nth(3).click()
    status(page, "24 pictures, newest first")
    chips(page, "2022")
    expect(page.locator(".bar")).to_have_count(12)
    assert bars(page)[0] == "January 2022, 2 pictures"
    page.get_by_role("button", name="All years").click()
    status(page, BROWSED)


def test_dragging_over_bars_chooses_all_of_them(page: Page) -> None:
    visit(page, "/?after=2022&before=2023")
    bars(page)
    first, last = (page.locator(".bar").nth(at).bounding_box() for at in (1, 3))
    assert first
    assert last
    page.mouse.move(first["x"] + 3, first["y"] + 9)
    page.mouse.down()
    page.mouse.move(last["x"] + 3, last["y"] + 9, steps=5)
    expect(page.locator(".says")).to_have_text("February 2022 to April 2022: 6 pictures")
    page.mouse.up()
    status(page, "6 pictures, newest first")
    chips(page, "February to April 2022")
    stands_at(page, "?after=2022-02&before=2022-05")


def test_the_histogram_works_with_keys(page: Page) -> None:
    visit(page)
    bars(page)
    page.locator(".bar").first.focus()
    for key in ("End", "ArrowLeft", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator(".says")).to_have_text("2022 to 2023: 48 pictures")
    page.keyboard.press("Enter")
    status(page, "48 pictures, newest first")
    chips(page, "2022 to 2023")


def test_newest_first_shows_only_what_is_relevant(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    with page.expect_response("**/api/search"):
        page.locator("#sort").select_option("date")
    shown(page)
    found = names(page)
    assert found[0] == "flower-4.jpg"
    assert all(name.startswith("flower") for name in found)


def test_groups_have_headings(page: Page) -> None:
    visit(page)
    with page.expect_response("**/api/search"):
        page.locator("#group").select_option("day")
    headings = page.locator("#grid h2")
    expect(headings.first).to_have_text("Tuesday, July 2, 2024")
    with page.expect_response("**/api/search"):
        page.locator("#group").select_option("folder")
    expect(headings).to_have_text([ODD_FOLDER, "drawn"])
    assert (headings.last.get_attribute("title") or "").endswith("/photos/drawn")


def test_weak_matches_can_be_left_out(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    expect(page.locator('.band[data-band="weak"]')).to_have_count(1)
    page.locator("#options-button").click()
    page.locator("#min-relevance").select_option("likely")
    expect(page.locator('.band[data-band="weak"]')).to_have_count(0)
    status(page, "5 pictures")
    assert "set" in (page.locator("#options-button").get_attribute("class") or "")
    page.keyboard.press("Escape")
    look_for(page, "a zebra in the snow")
    expect(page.locator("#empty")).to_contain_text("No likely match")
    page.get_by_role("button", name="Show the nearest pictures").click()
    expect(page.locator('.band[data-band="weak"]')).to_have_count(1)


def test_each_copy_can_stand_by_itself(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    copies = {"flower-0.jpg", "flower copy.jpg"}
    assert len(copies.intersection(names(page)[:6])) == 1
    page.locator("#options-button").click()
    with page.expect_response("**/api/search"):
        page.get_by_label("Every copy of a picture by itself").check()
    shown(page)
    assert copies <= set(names(page)[:6])


@pytest.mark.parametrize(
    ("label", "key", "written"),
    [("Different", "diverse", "diverse=yes"), ("Only what", "semantic_only", "words=no")],
)
def test_options_reach_the_server_and_the_address(
    page: Page, label: str, key: str, written: str
) -> None:
    visit(page, "/?q=a+flower")
    page.locator("#options-button").click()
    with page.expect_response("**/api/search") as answered:
        page.get_by_label(label).check()
    assert body_of(answered.value.request)[key] is True
    assert query(page) == f"?q=a+flower&{written}"
