"""Axe, zoom, narrow screens, dark and light, reduced motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web.browser.acts import CELLS, shown, visit
from tests.web.browser.conftest import PHONE, NewPage, Serve

TOKEN = "correct horse"


def check(page: Page) -> None:
    """No finding of axe that is serious or worse."""
    page.evaluate("() => Promise.all(document.getAnimations().map(({ finished }) => finished))")
    found = Axe().run(page).response["violations"]
    grave = [
        f"{one['id']}: {one['help']}: " + ", ".join(str(node["target"]) for node in one["nodes"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert grave == []


def start(page: Page) -> None:
    visit(page)


def results(page: Page) -> None:
    visit(page, "/?q=a+flower&plus=text:red&minus=0.5:text:snow&less=3&camera=Nikon+D90")


def no_match(page: Page) -> None:
    visit(page, "/?q=a+zebra+in+the+snow&group=folder")


def nothing_passes(page: Page) -> None:
    visit(page, "/?after=2030")


def filters(page: Page) -> None:
    visit(page, "/?camera=Pentax+K-1")
    page.locator("#add-filter").click()
    expect(page.locator("#filter-menu .choice").first).to_be_visible()


def options(page: Page) -> None:
    visit(page)
    page.locator("#options-button").click()
    expect(page.locator("#options")).to_be_visible()


def viewer(page: Page) -> None:
    visit(page, "/?q=a+temple")
    page.locator(CELLS).first.click()
    if page.viewport_size["width"] < 800:  # there the panel is asked for
        page.get_by_role("button", name="Details").click()
    expect(page.locator("#viewer dl")).to_be_visible()


def help_(page: Page) -> None:
    visit(page)
    page.locator("#help-button").click()
    expect(page.locator("#help")).to_be_visible()


def health(page: Page) -> None:
    visit(page)
    page.locator("#health-button").click()
    expect(page.locator("#failures code").first).to_be_visible()


VIEWS = [start, results, no_match, nothing_passes, filters, options, viewer, help_, health]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__.strip("_"))
def test_axe_finds_nothing_grave_in_light_and_dark(
    new_page: NewPage, view: Callable[[Page], None]
) -> None:
    page = new_page(reduced_motion="reduce")
    view(page)
    check(page)
    page.emulate_media(color_scheme="dark")
    check(page)


@pytest.mark.parametrize("view", [results, filters, viewer], ids=lambda view: view.__name__)
def test_axe_finds_nothing_grave_on_a_phone(
    new_page: NewPage, view: Callable[[Page], None]
) -> None:
    page = new_page(viewport=PHONE, reduced_motion="reduce")
    view(page)
    check(page)


@pytest.fixture(scope="module")
def closed(home: Path, serve: Serve) -> str:
    return serve(home / "indexes" / "others", options=("--token", TOKEN))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave_in_the_login(new_page: NewPage, closed: str, scheme: str) -> None:
    page = new_page(closed, color_scheme=scheme)
    page.goto("/")
    expect(page.locator("#login")).to_be_visible()
    check(page)


WIDER = """() => [...document.querySelectorAll('body *')].filter((one) => {
  const { left, right, width } = one.getBoundingClientRect();
  const seen = width > 1 && one.checkVisibility({ visibilityProperty: true });
  return seen && (left < -1 || right > document.documentElement.clientWidth + 1)
    && !one.closest('.cell, .viewer-stage, .chip span, .part .words, .unseen, .skip');
}).map((one) => one.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__.strip("_"))
@pytest.mark.parametrize(
    "settings",
    [
        {"viewport": PHONE, "is_mobile": True, "has_touch": True},
        {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2},  # 1280 at 200 %
    ],
    ids=["phone", "zoomed"],
)
def test_nothing_is_wider_than_a_narrow_window(
    new_page: NewPage, view: Callable[[Page], None], settings: dict[str, object]
) -> None:
    page = new_page(**settings)
    view(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate(WIDER) == []


def test_menus_reach_their_last_control_when_zoomed(new_page: NewPage) -> None:
    page = new_page(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    filters(page)
    last = page.locator("#filter-menu button").last
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    last.click()
    expect(page.locator(".chip")).to_have_count(2)


def test_buttons_are_large_enough_for_a_finger(new_page: NewPage) -> None:
    page = new_page(viewport=PHONE, is_mobile=True, has_touch=True)
    results(page)
    small = page.evaluate(
        """() => [...document.querySelectorAll('header button, .tools button, #tray button')]
          .map((one) => [one.getBoundingClientRect(), one.ariaLabel || one.textContent])
          .filter(([{ width, height }]) => width && (width < 24 || height < 24))
          .map(([, name]) => name)"""
    )
    assert small == []  # WCAG 2.2, 2.5.8


BACK = "getComputedStyle(document.body).backgroundColor"


def test_dark_and_light_follow_the_system_until_the_button_is_pressed(new_page: NewPage) -> None:
    page = new_page(color_scheme="dark")
    visit(page)
    dark = page.evaluate(BACK)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(BACK)
    assert dark != light
    button = page.get_by_role("button", name="Dark")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(BACK) == dark
    page.reload()
    shown(page)
    assert page.evaluate(BACK) == dark
    button.click()
    assert page.evaluate(BACK) == light


def test_who_wants_no_motion_sees_none(new_page: NewPage) -> None:
    page = new_page(reduced_motion="reduce")
    visit(page)
    moving = page.evaluate(
        """() => [...document.querySelectorAll('*')].filter((one) => {
          const { transitionDuration, animationName } = getComputedStyle(one);
          return animationName !== 'none' || transitionDuration.split(', ').some((s) => s !== '0s');
        }).map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert moving == []


def test_what_is_found_is_read_aloud_once(page: Page) -> None:
    visit(page)
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    assert page.locator("#shown").get_attribute("aria-live") is None
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.get_by_role("search")).to_have_count(1)
    expect(page.get_by_role("main")).to_have_count(1)
