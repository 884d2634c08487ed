"""The page of thumbnails, read as a browser would."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from searchengine.cli.contact_sheet import write_contact_sheet
from searchengine.errors import SearchEngineError
from searchengine.query.arranging import arrange
from searchengine.types import Hit
from tests.cli.hits import hit
from tests.pictures import fill, jpeg


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.images: list[dict[str, str | None]] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(values)
        self.references += [str(values[key]) for key in ("src", "href") if key in values]

    @property
    def order(self) -> list[str]:
        """Ranks, headings and dividers as they follow each other."""
        found = re.findall(r"<b>(\d+)\. |<h2>(.*?)</h2></li>|(Weak matches)", self.text)
        return ["".join(each) for each in found]


def _write(tmp_path: Path, hits: list[Hit], query: str = "a dog", **options: object) -> _Page:
    path = tmp_path / "out.html"
    shown = {key: options.pop(key) for key in ("order", "by") if key in options}
    write_contact_sheet(path, query, arrange(hits, **shown), **options)  # type: ignore[arg-type]
    return _Page(path.read_text(encoding="utf-8"))


def test_it_carries_all_it_shows(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    evil = tmp_path / "<script>\"&'.jpg"
    evil.write_bytes(jpeg(9))
    hits = [hit(n, path=str(tmp_path / f"000{n}.jpg")) for n in (0, 1, 2)]
    hits.append(hit(3, path=str(evil), copies=2))
    page = _write(tmp_path, hits, "a <b>{x}")
    assert page.tags.count("script") == 1
    assert "a &lt;b&gt;{x}" in page.text
    assert "no such file" in page.text
    assert len(page.images) == 3
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in page.images)
    assert [image["alt"] for image in page.images] == ["0000.jpg", "0001.jpg", evil.name]
    assert all(ref.startswith(("data:", "file:///")) for ref in page.references)
    assert sum(ref.startswith("file:///photos/010") for ref in page.references) == 2
    assert "+2 copies" in page.text
    assert "http" not in page.text.replace("http-equiv", "")


def test_only_its_own_script_may_run(tmp_path: Path) -> None:
    text = _write(tmp_path, [hit(1)]).text
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_a_divider_stands_before_the_weak_ones(tmp_path: Path) -> None:
    bands = ("strong", "weak", "likely", "weak", "weak")
    hits = [hit(n, band) for n, band in enumerate(bands)]
    assert _write(tmp_path, hits).order == ["1", "2", "3", "Weak matches", "4", "5"]


@pytest.mark.parametrize("band", ["strong", None])
def test_no_divider_without_weak_ones(tmp_path: Path, band: str | None) -> None:
    assert _write(tmp_path, [hit(1, band)]).order == ["1"]  # type: ignore[arg-type]


def test_all_weak_is_said_once_at_the_top(tmp_path: Path) -> None:
    page = _write(tmp_path, [hit(1, "weak")], no_good_match=True)
    assert page.order == ["1"]
    assert "No good match" in page.text


def test_by_date_and_in_groups_the_weak_are_not_apart(tmp_path: Path) -> None:
    hits = [
        hit(1, "strong", taken_at="2020-01-01T10:00:00"),
        hit(2, "likely", taken_at="2021-01-01T10:00:00"),
        hit(3, "weak", taken_at="2020-01-01T11:00:00"),
    ]
    assert _write(tmp_path, hits, order="date").order == ["2", "3", "1"]
    assert _write(tmp_path, hits, by="day").order == ["2020-01-01", "1", "3", "2021-01-01", "2"]


def test_every_thumbnail_is_reported(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    _write(tmp_path, [hit(1), hit(2)], progress=lambda *state: seen.append(state))
    assert seen == [(1, 2), (2, 2)]


def test_names_that_are_no_text_and_no_hits(tmp_path: Path) -> None:
    assert "caf%E9.jpg" in _write(tmp_path, [hit(1, path="/caf\udce9.jpg")]).text
    assert "0 pictures" in _write(tmp_path, []).text


def test_a_page_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SearchEngineError, match=r"no/such\.html"):
        write_contact_sheet(tmp_path / "no" / "such.html", "x", [])
