"""The grid: rows, bands, copies; few nodes however many pictures; its layout by itself."""

from __future__ import annotations

from itertools import pairwise

from playwright.sync_api import Page, expect

from tests.web.browser.acts import CELLS, cell, look_for, names, shown, status, visit
from tests.web.browser.conftest import Faults
from tests.web.browser.library import MANY

BOXES = """() => [...document.querySelectorAll('#grid .grid-row')].map((row) =>
  [...row.children].map((cell) => {
    const { left, right, top, bottom } = cell.getBoundingClientRect();
    return [left, right, top, bottom];
  }))"""
TO_THE_END = """async () => {
  const frame = () => new Promise((then) => requestAnimationFrame(then));
  let most = 0;
  const shown = document.getElementById('shown');
  while (shown.textContent) {
    scrollTo({ top: document.body.scrollHeight, behavior: 'instant' });
    await frame();
    most = Math.max(most, document.querySelectorAll('#grid *').length);
  }
  scrollTo({ top: document.body.scrollHeight, behavior: 'instant' });
  await frame();
  await frame();
  return most;
}"""


def test_rows_are_as_wide_as_the_page_and_pictures_do_not_overlap(page: Page) -> None:
    visit(page)
    grid = page.locator("#grid").bounding_box()
    assert grid
    for row in page.evaluate(BOXES)[:-1]:
        assert abs(row[0][0] - grid["x"]) < 1
        assert abs(row[-1][1] - grid["x"] - grid["width"]) < 2
        for one, other in pairwise(row):
            assert 4 <= other[0] - one[1] <= 8


def test_thousands_of_pictures_are_scrolled_with_few_nodes(page: Page) -> None:
    visit(page, "/?index=many")
    status(page, f"{MANY:,} pictures, newest first")
    expect(page.locator("#shown")).to_have_text(f"60 of {MANY:,}")
    most = page.evaluate(TO_THE_END)
    assert most < 300 * 10  # elements; a picture has nine
    assert page.locator(CELLS).count() < 300
    assert page.locator("#grid").get_attribute("aria-rowcount") != "-1"
    last = page.locator(CELLS).last
    expect(last).to_have_attribute("data-index", str(MANY - 1))
    assert last.locator("img").evaluate("(img) => img.decode().then(() => img.naturalWidth)")


def test_a_search_of_thousands_starts_at_the_top_again(page: Page) -> None:
    visit(page, "/?index=many")
    page.mouse.wheel(0, 9000)
    page.wait_for_function("() => scrollY > 1000")
    look_for(page, "a flower")
    assert page.evaluate("scrollY") == 0
    expect(page.locator(CELLS).first).to_have_attribute("data-index", "0")


def test_a_narrower_window_keeps_the_place(page: Page) -> None:
    visit(page, "/?index=many")
    page.mouse.wheel(0, 3000)
    page.wait_for_function("() => scrollY > 1000")
    top = "() => document.elementFromPoint(60, 400).closest('.cell')?.dataset.index"
    before = int(page.evaluate(top))
    page.set_viewport_size({"width": 700, "height": 800})
    page.wait_for_function("() => document.querySelector('#grid .grid-row').offsetWidth < 700")
    assert abs(int(page.evaluate(top)) - before) < 20


def test_extreme_shapes_are_bounded(page: Page) -> None:
    visit(page, "/?type=PNG")
    for name in ("0048.png", "0049.png"):  # 1500 x 200, 120 x 900
        box = cell(page, name).bounding_box()
        assert box
        assert 0.39 < box["width"] / box["height"] < 4.1


def test_what_a_pointer_is_over_is_named_and_can_be_marked(page: Page) -> None:
    visit(page)
    look_for(page, "a temple")
    second = page.locator(CELLS).nth(1)
    more = second.get_by_role("button", name="More like this")
    second.hover()
    assert second.locator(".cell-caption").evaluate("(e) => getComputedStyle(e).opacity !== '0'")
    with page.expect_response("**/api/search"):
        more.click()
    expect(page.locator(".part.more")).to_have_count(1)
    expect(page.locator("#viewer")).to_be_hidden()


def test_copies_are_one_picture_with_a_number(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    first = page.locator(CELLS).first
    badge = first.get_by_role("button", name="1 copy")
    expect(badge).to_have_text("+1")
    badge.click()
    dialog = page.locator("#copies")
    expect(dialog.locator("code")).to_have_count(2)
    paths = sorted(path.split("/")[-1] for path in dialog.locator("code").all_text_contents())
    expect(dialog.locator("code").last).not_to_be_empty()
    paths = sorted(path.split("/")[-1] for path in dialog.locator("code").all_text_contents())
    assert paths == ["flower copy.jpg", "flower-0.jpg"]
    page.keyboard.press("Escape")
    first.focus()
    page.keyboard.press("c")
    expect(dialog).to_be_visible()


def test_a_picture_that_cannot_be_read_leaves_a_tile_with_its_name(
    page: Page, faults: Faults
) -> None:
    faults.allow("ERR_FAILED")
    page.route("**/thumbnail?*", lambda route: route.abort())
    visit(page, "/?camera=Canon+EOS+80D")
    broken = cell(page, "temple-3.jpg")
    expect(broken).to_contain_text("Cannot be shown")
    assert broken.locator("img").get_attribute("alt") == "temple-3.jpg, May 13, 2019"


def test_a_middle_click_opens_the_original_in_a_tab(page: Page) -> None:
    visit(page)
    look_for(page, "a temple")
    with page.context.expect_page() as opened:
        cell(page, "temple-1.jpg").click(modifiers=["ControlOrMeta"])
    assert opened.value.url.endswith("/original")
    expect(page.locator("#viewer")).to_be_hidden()


def test_assistive_technology_is_told_rows_cells_and_names(page: Page) -> None:
    visit(page)
    look_for(page, "a flower")
    grid = page.get_by_role("grid", name="Pictures")
    expect(grid).to_have_attribute("aria-rowcount", "-1")  # more can be scrolled to
    first = grid.get_by_role("gridcell").nth(1)
    assert "likely match" in (first.get_attribute("aria-label") or "")
    rows = [row.get_attribute("aria-rowindex") for row in grid.get_by_role("row").all()]
    assert rows == [str(number) for number in range(1, len(rows) + 1)]
    assert page.locator("#grid [tabindex='0']").count() == 1


def test_layouts_do_not_depend_on_how_the_hits_came(page: Page) -> None:
    visit(page)
    same = page.evaluate(
        """async () => {
          const { emptyLayout, extend, settingsFor } = await import('/static/layout.js');
          let seed = 7;
          const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
          const bands = ['strong', 'likely', 'weak'];
          for (let round = 0; round < 60; round += 1) {
            const hits = Array.from({ length: 200 }, (_, at) => ({
              width: 100 + Math.floor(2000 * random()), height: 100 + Math.floor(1000 * random()),
              ...(round % 2 ? { relevance: bands[Math.floor(at / 80)] } : {}),
              ...(round % 3 ? {} : { group: `2024-07-${10 + Math.floor(at / 40)}` }),
            }));
            const empty = emptyLayout(settingsFor(300 + 40 * round, round % 2 === 1));
            const whole = extend(empty, hits);
            let parts = empty;
            for (let end = 0; end < hits.length;) {
              end = Math.min(hits.length, end + 1 + Math.floor(70 * random()));
              parts = extend(parts, hits.slice(0, end));
            }
            if (JSON.stringify(parts) !== JSON.stringify(whole)) return `round ${round}`;
            const width = 300 + 40 * round;
            for (const { lefts, widths, kind } of whole.blocks) {
              if (kind === 'row' && lefts.at(-1) + widths.at(-1) > width + 1) return 'too wide';
            }
          }
          return 'the same';
        }"""
    )
    assert same == "the same"


def test_grouped_and_banded_hits_keep_their_order(page: Page) -> None:
    visit(page, "/?group=day")
    shown(page)
    assert names(page)[:2] == ["flower-4.jpg", "flower-3.jpg"]
