"""Hits as lines, JSON, CSV and paths."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import click
import pytest

from searchengine.cli import output
from searchengine.query.arranging import arrange
from searchengine.types import Hit
from tests.cli.hits import hit


def _table(hits: list[Hit], **arranged: str) -> list[str]:
    lines = []
    for heading, rows in output.table(arrange(hits, **arranged)):  # type: ignore[arg-type]
        lines += [*heading.splitlines(), *(line for _, line in rows)]
    return [click.unstyle(line) for line in lines]


def test_a_line_says_rank_score_relevance_date_path_and_what_else_is_known() -> None:
    known = hit(
        1,
        "likely",
        taken_at="2024-07-01T18:30:00",
        matched=("picture", "file name", "caption"),
        copies=2,
    )
    assert _table([known, hit(2)]) == [
        "   1   0.490  likely  2024-07-01  /photos/0001.jpg  (+2 copies; file name, caption)",
        "   2   0.480  strong              /photos/0002.jpg",
    ]


def test_columns_that_no_hit_has_are_left_out() -> None:
    assert _table([hit(1, None)]) == ["   1   0.490  /photos/0001.jpg"]


def test_groups_have_headings() -> None:
    lines = _table([hit(1, taken_at="2024-07-01T18:30:00"), hit(2)], by="day")
    assert [lines[0], *lines[2:4]] == ["2024-07-01", "", "no date"]
    assert len(lines) == 5


def test_json_of_a_hit() -> None:
    answer = output.hits_as_json("a dog", arrange([hit(1, "weak", copies=1)]), no_good_match=True)
    assert answer == {
        "query": "a dog",
        "hits": [
            {
                "rank": 1,
                "id": 1,
                "path": "/photos/0001.jpg",
                "score": 0.49,
                "width": 96,
                "height": 64,
                "taken_at": None,
                "relevance": "weak",
                "matched": ["picture"],
                "copies": [{"id": 100, "path": "/photos/0100.jpg"}],
            }
        ],
        "no_good_match": True,
    }
    grouped = output.hits_as_json("a dog", arrange([hit(1)], by="folder"))
    assert grouped["hits"][0]["group"] == "/photos"
    json.dumps(grouped)


def test_csv_gives_names_with_commas_quotes_and_newlines_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = '/photos/a,"b"\nc.jpg'
    hits = [hit(1, path=odd, matched=("picture", "caption"), copies=3), hit(2, None)]
    output.echo_csv(arrange(hits))
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert first["path"] == odd
    assert (first["matched"], first["copies"]) == ("picture; caption", "3")
    assert (second["rank"], second["relevance"], second["taken_at"]) == ("2", "", "")
    assert "group" not in second
    output.echo_csv(arrange(hits, by="folder"))
    assert [row["group"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == [
        "/photos",
        "/photos",
    ]


@pytest.mark.parametrize("end", ["\n", "\0"])
def test_paths_are_raw_and_each_is_ended(capsys: pytest.CaptureFixture[str], end: str) -> None:
    output.echo_paths([hit(1), hit(2, path="/a\tb.jpg")], end)
    assert capsys.readouterr().out == f"/photos/0001.jpg{end}/a\tb.jpg{end}"


def test_paths_on_a_terminal_are_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.echo_paths([hit(1, path="/a\x1b]0;title\a.jpg")], "\n")
    assert "/a\\x1b]0;title\\x07.jpg" in capsys.readouterr().out


def test_a_path_is_relative_below_the_current_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert output.shown_path(f"{tmp_path}/here/a/b.jpg") == "a/b.jpg"
    assert output.shown_path(f"{tmp_path}/hereafter/b.jpg") == f"{tmp_path}/hereafter/b.jpg"
    monkeypatch.chdir("/")
    assert output.shown_path("/a/b.jpg") == "/a/b.jpg"
    monkeypatch.setattr(os, "getcwd", lambda: (_ for _ in ()).throw(FileNotFoundError()))
    assert output.shown_path("/a\n.jpg") == "/a\\n.jpg"


def test_colours_are_for_terminals_whose_users_want_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.echo_table(arrange([hit(1)]))
    assert "\x1b[32mstrong" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    output.echo_table(arrange([hit(1)]))
    assert "\x1b" not in capsys.readouterr().out
