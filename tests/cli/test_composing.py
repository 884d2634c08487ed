"""The parts of a query as they are typed."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from searchengine.cli.composing import in_words, read_example, read_part
from searchengine.errors import QueryError
from searchengine.query import Part


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("boat.JPG", "0.5:odd.jpg", "dog", "notes.txt"):
        Path(name).write_bytes(b"x")
    Path("beach").mkdir()


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("sunset", Part("sunset")),
        ("1.5:sunset", Part("sunset", 1.5)),
        (".5:sunset", Part("sunset", 0.5)),
        ("2:id:7", Part(7, 2.0)),
        ("id:7", Part(7)),
        ("boat.JPG", Part(Path("boat.JPG"))),
        ("0.5:boat.JPG", Part(Path("boat.JPG"), 0.5)),
        ("0.5:odd.jpg", Part(Path("0.5:odd.jpg"))),
        ("dog", Part("dog")),  # a word, though a file has its name
        ("./dog", Part(Path("dog"))),
        ("beach", Part("beach")),
        ("notes.txt", Part("notes.txt")),
        ("black/white cat", Part("black/white cat")),
        ("note: sunset", Part("note: sunset")),
        ("-1:sunset", Part("-1:sunset")),
        ("1e5:sunset", Part("1e5:sunset")),
    ],
)
def test_a_thing_is_an_id_or_a_picture_or_else_a_text(typed: str, part: Part) -> None:
    assert read_part(typed) == part


@pytest.mark.parametrize("typed", ["", " ", "0.5:", "id:", "id:x", "id:-1", "id:²", "gone.jpg"])
def test_what_names_nothing_is_a_usage_error(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        read_part(typed)


@pytest.mark.parametrize("weight", ["0", "0.0", "9" * 400])
def test_a_weight_that_is_none_is_an_error(weight: str) -> None:
    with pytest.raises(QueryError, match="weight"):
        read_part(f"{weight}:sunset")


def test_an_example_is_an_id_or_a_path() -> None:
    assert read_example("id:12") == 12
    assert read_example("0.5:x") == Path("0.5:x")
    assert read_example("~/x.jpg") == Path.home() / "x.jpg"
    with pytest.raises(click.BadParameter, match="id:N"):
        read_example("id:" + "9" * 30)


def test_a_query_in_words() -> None:
    plus, minus = [Part(Path("boat.jpg"), 0.5)], [Part("people"), Part(7)]
    assert in_words("a beach", plus, minus) == "a beach + 0.5:boat.jpg - people - id:7"
    assert in_words(None, plus, ()) == "0.5:boat.jpg"
    assert in_words(None, (), minus) == "- people - id:7"
    assert in_words("+ 3", (), ()) == "+ 3"
