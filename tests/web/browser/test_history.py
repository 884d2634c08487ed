"""The address holds everything; back, forward and reload bring it again."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.web.browser.acts import (
    BROWSED,
    CELLS,
    TIMES,
    look_for,
    names,
    query,
    stands_at,
    status,
    visit,
)
from tests.web.browser.conftest import NewPage


def test_back_and_forward_go_through_searches(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    flowers = names(page)[:5]
    look_for(page, "a temple")
    page.go_back()
    expect(page.locator("#box")).to_have_value("a flower")
    expect(page.locator(".cell-name").first).to_have_text(flowers[0])
    assert names(page)[:5] == flowers
    page.go_back()
    status(page, BROWSED)
    expect(page.locator("#box")).to_have_value("")
    page.go_forward()
    page.go_forward()
    expect(page.locator("#box")).to_have_value("a temple")
    expect(page.locator(".cell-name").first).to_have_text(re.compile("temple"))


def test_an_address_brings_the_whole_state_to_somebody_else(page: Page, new_page: NewPage) -> None:
    visit(
        page,
        "/?q=a+flower&plus=0.25:text:gr%C3%BCn:+a%26b&minus=0.1:text:snow&after=2022&before=2025"
        "&camera=Nikon+D90&type=JPEG&orientation=landscape&words=no&diverse=yes&copies=all",
    )
    expect(page.locator(CELLS).first).to_be_visible()
    found, said = names(page), page.locator("#status").inner_text()
    assert found
    assert all(name.startswith("flower") for name in found)
    expect(page.locator(".part .words")).to_have_text(["grün: a&b", "snow"])
    expect(page.locator(".part output")).to_have_text([f"{TIMES} 0.25", f"{TIMES} 0.1"])
    expect(page.locator(".chip")).to_have_count(4)
    expect(page.locator("#diverse")).to_be_checked()
    expect(page.locator("#separate-copies")).to_be_checked()
    other = new_page()
    other.goto(page.url)
    status(other, said)
    assert names(other) == found


def test_a_reload_keeps_the_opened_picture(page: Page) -> None:
    visit(page, "/?q=a+temple")
    page.locator(CELLS).nth(1).click()
    name = page.locator("#viewer-name")
    expect(name).to_have_text(names(page)[1])
    held: list[Any] = []
    page.route("**/api/search", lambda route: held.append(route))  # noqa: PLW0108
    page.reload()
    expect(page.locator("#viewer dl")).to_be_visible()
    expect(page.locator("#viewer-name")).to_have_text("temple-1.jpg")
    held[0].continue_()  # the hits may come after the picture
    expect(page.locator(".viewer-position")).to_have_text(re.compile("^2 of"))
    page.keyboard.press("Escape")
    stands_at(page, "?q=a+temple")
    expect(page.locator("#grid")).to_be_visible()


def test_back_closes_the_opened_picture_however_many_were_seen(page: Page) -> None:
    visit(page, "/?q=a+temple")
    page.locator(CELLS).first.click()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-name")).to_have_text("temple-3.jpg")
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
    assert query(page) == "?q=a+temple"
    page.go_forward()
    expect(page.locator("#viewer-name")).to_have_text("temple-3.jpg")


DOWN = """async () => {
  while (scrollY < 6000) {
    scrollBy({ top: 700, behavior: 'instant' });
    await new Promise((then) => requestAnimationFrame(() => setTimeout(then)));
  }
}"""
TOP = """() => [...document.querySelectorAll('#grid .cell')]
  .find((cell) => cell.getBoundingClientRect().bottom > 300)?.dataset.id"""


def scrolled(page: Page) -> str:
    """Scroll through some pages of pictures; gives the id of one that is seen then."""
    visit(page, "/?index=many")
    page.evaluate(DOWN)
    return str(page.evaluate(TOP))


def test_going_back_leads_to_where_the_page_stood(page: Page) -> None:
    before = scrolled(page)
    look_for(page, "a flower")
    assert page.evaluate("scrollY") == 0
    page.go_back()
    page.wait_for_function(f"(id) => ({TOP})() === id", arg=before)


def test_a_reload_leads_to_where_the_page_stood(page: Page) -> None:
    before = scrolled(page)
    page.reload()
    page.wait_for_function(f"(id) => ({TOP})() === id", arg=before)


def test_another_site_and_back(page: Page) -> None:
    before = scrolled(page)
    page.goto("about:blank")
    page.go_back()
    page.wait_for_function(f"(id) => ({TOP})() === id", arg=before)


def test_the_name_leads_to_the_whole_library(page: Page) -> None:
    visit(page, "/?q=a+flower&camera=Nikon+D90")
    page.locator("#home").click()
    status(page, BROWSED)
    assert query(page) == ""
    page.go_back()
    expect(page.locator("#box")).to_have_value("a flower")


def test_what_makes_no_sense_in_an_address_is_left_out(page: Page) -> None:
    visit(page, "/?sort=upwards&group=mood&near=1,2&view=-3&plus=nonsense&more=x&min_width=big")
    status(page, BROWSED)
    expect(page.locator(".chip, .part")).to_have_count(0)


def test_texts_with_markup_are_only_text(page: Page) -> None:
    evil = '<img src=x onerror="alert(1)">&amp;"'
    visit(page, f"/?q={quote(evil)}&camera={quote(evil)}&plus=text:{quote(evil)}")
    expect(page.locator(".chip span")).to_have_text(evil)
    expect(page.locator(".part .words")).to_have_text(evil)
    assert page.locator("img[src=x]").count() == 0


def test_every_state_comes_back_from_its_address(page: Page) -> None:
    visit(page)
    lost = page.evaluate(
        r"""async () => {
          const { NOTHING, fromAddress, toAddress } = await import('/static/state.js');
          let seed = 11;
          const random = (below) => (seed = (seed * 16807) % 2147483647) % below;
          const signs = ['a', 'ü', '漢', '😀', ' ', '+', '&', '=', ':', ',', '#', '%', '"', '?',
            '/', '\\', '\u0301', '-', '2.5:', 'id:', 'text:'];
          const text = () => Array.from({ length: 1 + random(8) },
            () => signs[random(signs.length)]).join('').trim() || 'x';
          const weight = () => [1, 0.25, 4, 1.19, 1e-7, 3e21][random(6)];
          const part = () => [{ text: text() }, { id: 1 + random(1e9) },
            { upload: 'ab12'.repeat(8) }][random(3)];
          const parts = () => Array.from({ length: random(3) },
            () => ({ ...part(), weight: weight() }));
          const maybe = (value) => (random(2) ? value() : undefined);
          const given = (all) => Object.fromEntries(
            Object.entries(all).filter(([, value]) => value !== undefined));
          const plain = (value) => JSON.stringify(value, (key, one) =>
            (one && typeof one === 'object' && !Array.isArray(one)
              ? Object.fromEntries(Object.entries(one).sort()) : one));
          for (let round = 0; round < 2000; round += 1) {
            const state = { ...NOTHING, index: maybe(text) ?? null, text: maybe(text) ?? '',
              plus: parts(), minus: parts(), more: maybe(() => [5, 7]) ?? [],
              less: maybe(() => [9]) ?? [], sort: maybe(() => 'date') ?? 'relevance',
              group: maybe(() => 'folder') ?? null, minRelevance: maybe(() => 'likely') ?? null,
              semanticOnly: random(2) > 0, collapse: random(2) > 0, diverse: random(2) > 0,
              view: maybe(() => 12) ?? null,
              filters: given({ after: maybe(() => '2024-07'), camera: maybe(text),
                folder: maybe(() => `/${text()}`), types: maybe(() => ['JPEG', 'PNG']),
                near: maybe(() => ({ latitude: -48.2, longitude: 1e-7, km: 20 })),
                min_width: maybe(() => 4000), captioned: maybe(() => random(2) > 0),
                orientation: maybe(() => 'portrait') }) };
            const address = new URL(toAddress(state), 'http://host/').search;
            if (plain(fromAddress(address)) !== plain(state)) {
              return [address, plain(state), plain(fromAddress(address))];
            }
          }
          return null;
        }"""
    )
    assert lost is None
