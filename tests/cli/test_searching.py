"""`searchengine search` and `searchengine similar`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from searchengine.cli import opening
from searchengine.engine import SearchEngine
from searchengine.errors import QueryError
from searchengine.query import Part, SearchOptions
from searchengine.types import Hit
from tests.cli.conftest import ENGINE, ENVIRONMENT, Run, json_lines
from tests.cli.hits import hit
from tests.pictures import jpeg


class _Engine:
    """Answers every query with the same hits, and keeps what it was asked."""

    def __init__(self) -> None:
        self.hits: list[Hit] = [hit(1), hit(2, "weak")]
        self.catalog = SimpleNamespace(count=12)
        self.asked: list[tuple[Any, int, dict[str, Any]]] = []

    def __enter__(self) -> _Engine:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def search(self, text: Any, k: int, **how: Any) -> list[Hit]:
        self.asked.append((text, k, how))
        return self.hits

    similar = search

    def search_many(self, texts: Sequence[str], k: int, **how: Any) -> list[list[Hit]]:
        if "bad" in texts:
            raise QueryError("bad is no query")
        self.asked.append((texts, k, how))
        return [self.hits for _ in texts]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> _Engine:
    engine = _Engine()
    monkeypatch.setattr(SearchEngine, "open", lambda *_, **__: engine)
    return engine


def test_every_option_reaches_the_engine(run: Run, engine: _Engine, tmp_path: Path) -> None:
    photo = tmp_path / "boat.jpg"
    photo.write_bytes(jpeg(1))
    words = (
        f"search beach --plus 0.5:{photo} --plus id:7 --minus 2:rain -x people -k 5 --offset 3 "
        "--raw --semantic-only --min-relevance likely --no-collapse --diverse --after 2024"
    )
    assert run(*words.split()).exit_code == 0
    ((text, k, how),) = engine.asked
    assert (text, k) == ("beach", 5)
    assert how["plus"] == (Part(photo, 0.5), Part(7))
    assert how["minus"] == (Part("rain", 2.0), Part("people"))
    assert how["filters"].after == "2024-01-01T00:00:00"
    assert how["options"] == SearchOptions(True, True, "likely", False, True, 3)


def test_a_query_needs_no_text(run: Run, engine: _Engine) -> None:
    for part in (["--plus", "id:1"], ["--minus", "rain"], ["-x", "rain"]):
        assert run("search", *part).exit_code == 0
    assert [text for text, _, _ in engine.asked] == [None] * 3
    assert not engine.asked[0][2]["filters"]
    assert engine.asked[0][2]["options"] == SearchOptions()


def test_similar_takes_several_examples_and_what_to_avoid(run: Run, engine: _Engine) -> None:
    words = "similar a.jpg id:7 --minus rain --diverse --camera nikon -k 3 --json"
    result = run(*words.split())
    ((examples, k, how),) = engine.asked
    assert (list(examples), k) == ([Path("a.jpg"), 7], 3)
    assert how["minus"] == (Part("rain"),)
    assert how["filters"].camera == "nikon"
    assert how["options"].diverse
    assert json_lines(result)[0]["query"] == "a.jpg + id:7 - rain"


def test_the_order_and_the_groups_asked_for(run: Run, engine: _Engine) -> None:
    engine.hits = [hit(1, taken_at="2020-01-01T10:00:00"), hit(2, taken_at="2024-01-01T10:00:00")]
    (answer,) = json_lines(run("search", "x", "--sort", "date", "--group", "day", "--json"))
    assert [(h["rank"], h["group"]) for h in answer["hits"]] == [
        (2, "2024-01-01"),
        (1, "2020-01-01"),
    ]
    lines = run("search", "x", "--group", "day").stdout.splitlines()
    assert [lines[0], *lines[2:4]] == ["2020-01-01", "", "2024-01-01"]


def test_ranks_go_on_from_the_offset(run: Run, engine: _Engine) -> None:
    (answer,) = json_lines(run("search", "x", "--offset", 20, "--json"))
    assert [each["rank"] for each in answer["hits"]] == [21, 22]


def test_every_form_of_output(run: Run, engine: _Engine) -> None:
    def out(*options: str) -> str:
        result = run("search", "x", *options)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    assert out("--paths") == "/photos/0001.jpg\n/photos/0002.jpg\n"
    assert out("-0") == "/photos/0001.jpg\0/photos/0002.jpg\0"
    assert out("--csv").splitlines()[1].startswith("1,1,/photos/0001.jpg,0.49,strong,96,64")
    assert [line.split()[:3] for line in out().splitlines()] == [
        ["1", "0.490", "strong"],
        ["2", "0.480", "weak"],
    ]


@pytest.mark.parametrize(
    ("bands", "says"),
    [
        (["weak", "weak"], "no good match for 'a dog'; the nearest are:\n"),
        (["weak", "likely"], ""),
        (["weak", None], ""),
        ([None], ""),
    ],
)
def test_all_weak_is_no_good_match(run: Run, engine: _Engine, bands: list[Any], says: str) -> None:
    engine.hits = [hit(number, band) for number, band in enumerate(bands)]
    result = run("search", "a dog")
    assert result.stderr == says
    assert len(result.stdout.splitlines()) == len(bands)
    result = run("search", "a dog", "--json")
    assert json_lines(result)[0]["no_good_match"] is bool(says)
    assert result.stderr == ""
    assert run("search", "a dog", "--offset", 2).stderr == ""  # better ones came before


@pytest.mark.parametrize(
    ("options", "count", "says"),
    [
        ([], 0, "the index is empty; add pictures with: searchengine index FOLDER"),
        (["--min-relevance", "likely"], 0, "searchengine index FOLDER"),
        (["--min-relevance", "likely"], 9, "no good match for 'x'\n"),
        (["--offset", "20"], 9, "no more than 20 hits for 'x'\n"),
        (["--after", "2024"], 9, "nothing found for 'x' with these filters\n"),
        ([], 9, "nothing found for 'x'\n"),
    ],
)
def test_no_hits_are_explained(
    run: Run, engine: _Engine, options: list[str], count: int, says: str
) -> None:
    engine.hits, engine.catalog.count = [], count
    result = run("search", "x", *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert says in result.stderr
    (answer,) = json_lines(run("search", "x", *options, "--json"))
    cut = says.startswith("no good match")
    assert answer == {"query": "x", "hits": [], "no_good_match": cut}


def test_a_query_in_a_message_is_short_and_on_one_line(run: Run, engine: _Engine) -> None:
    engine.hits = []
    (line,) = run("search", "\x1b\n" + "long " * 100).stderr.splitlines()
    assert len(line) < 120
    assert "\\x1b\\n" in line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["x", "--json", "--csv"], "--json and --csv exclude each other"),
        (["x", "-0", "--paths", "--preview"], "--paths and -0 and --preview exclude"),
        (["x", "--html", "photo.jpg"], "must end in .html"),
        (["x", "-k", "0"], "-k"),
        (["x", "--offset", "-1"], "--offset"),
        (["x", "--min-relevance", "weak"], "--min-relevance"),
        (["x", "--plus", "id:x"], "id:N"),
        (["x", "--minus", "gone.jpg"], "no file gone.jpg"),
        ([], "TEXT or --from-file"),
        (["x", "--from-file", "-"], "TEXT or --from-file"),
        (["--from-file", "-", "--plus", "y"], "--plus is for one query"),
        (["--from-file", "-", "-x", "y"], "-x is for one query"),
        (["--from-file", "-", "--html", "a.html"], "--html is for one query"),
        (["--from-file", "-", "--open"], "--open is for one query"),
        (["--from-file", "-", "--csv"], "--csv is for one query"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    run: Run, engine: _Engine, options: list[str], says: str
) -> None:
    result = run("search", *options, input="")
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert not engine.asked


def test_a_page_is_written_beside_what_is_printed(
    run: Run, engine: _Engine, tmp_path: Path
) -> None:
    page = tmp_path / "out.html"
    result = run("search", "a dog", "--html", page)
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == f"wrote {page}\n"
    assert "<h1>a dog</h1>" in page.read_text()
    assert run("search", "a dog", "--html", page, "--json").stderr == ""
    failed = run("search", "a dog", "--html", tmp_path / "no" / "such.html")
    assert failed.exit_code == 1
    assert len(failed.stderr.splitlines()) == 1


def test_the_best_hit_or_the_page_is_opened(
    run: Run, engine: _Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(opening, "open_file", opened.append)
    engine.hits = [hit(1), hit(2, taken_at="2024-01-01T10:00:00")]
    run("search", "x", "--open", "--sort", "date")
    run("search", "x", "--open", "--html", tmp_path / "a.html")
    engine.hits = []
    run("search", "x", "--open")
    assert opened == ["/photos/0001.jpg", str(tmp_path / "a.html")]


def test_preview_without_a_terminal_says_so_and_prints_the_table(run: Run, engine: _Engine) -> None:
    result = run("search", "x", "--preview")
    assert len(result.stderr.splitlines()) == 1
    assert "shows no pictures" in result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_preview_shows_each_picture_above_its_line(
    run: Run, engine: _Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    engine.hits = [hit(1, path=str(tmp_path / "1.jpg")), hit(2)]
    monkeypatch.setattr(
        "searchengine.cli.terminal_pictures.find_protocol", lambda environment: "kitty"
    )
    result = run("search", "x", "--preview", color=True)
    picture, first, second = result.stdout.splitlines()
    assert picture.startswith("\x1b_G")
    assert "1.jpg" in first
    assert "0002.jpg" in second
    assert result.stderr == "/photos/0002.jpg: no such file or directory\n"


def test_a_line_without_an_answer_spoils_no_other(
    run: Run, engine: _Engine, tmp_path: Path
) -> None:
    (tmp_path / "q.txt").write_text("one\n\nbad\n")
    answers = json_lines(run("search", "--from-file", tmp_path / "q.txt", "--offset", 5))
    assert [answer["query"] for answer in answers] == ["one", "", "bad"]
    assert [answer.get("error") for answer in answers] == [
        None,
        "the query is empty",
        "bad is no query",
    ]
    assert answers[0]["hits"][0]["rank"] == 6
    ((_, k, how),) = engine.asked
    assert (k, how["options"].offset) == (10, 5)


def test_a_file_is_asked_in_batches(run: Run, engine: _Engine, tmp_path: Path) -> None:
    queries = [f"picture number {n}" for n in range(300)]
    (tmp_path / "q.txt").write_text("\n".join(queries))
    assert [
        each["query"] for each in json_lines(run("search", "--from-file", tmp_path / "q.txt"))
    ] == queries
    assert [len(texts) for texts, _, _ in engine.asked] == [256, 44]


def test_json_hits(run: Run, indexed: Path) -> None:
    result = run("search", "blue sky", "-k", 4, "--index", indexed / "index", "--json")
    (answer,) = json_lines(result)
    assert answer["query"] == "blue sky"
    hits = answer["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
    for each in hits:
        assert Path(each["path"]).is_file()
        assert -1 <= each["score"] <= 1
        assert (each["width"], each["height"]) == (96, 64)


def test_composed_query_on_a_real_index(run: Run, indexed: Path, tmp_path: Path) -> None:
    example = tmp_path / "example.jpg"
    example.write_bytes(jpeg(3))
    result = run(
        "search", "--plus", example, "-x", "a dog", "--paths", "--index", indexed / "index"
    )
    assert result.stdout.splitlines()[0].endswith("0003.jpg")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["search", ""], 1, "query is empty"),
        (["search", " \t"], 1, "query is empty"),
        (["search", "x", "--plus", "0:y"], 1, "weight"),
        (["similar", "missing.jpg"], 1, "missing.jpg"),
        (["similar", "/"], 1, "a folder, not a file"),
        (["similar", "id:999"], 1, "no image 999"),
        (["similar", "id:x"], 2, "id:N"),
    ],
)
def test_what_has_no_answer_is_one_error(
    run: Run, indexed: Path, arguments: list[str], code: int, says: str
) -> None:
    result = run(*arguments, "--index", indexed / "index")
    assert result.exit_code == code
    assert says in result.stderr
    if code == 1:
        assert len(result.stderr.splitlines()) == 1


def test_a_reader_that_leaves_early_gets_no_traceback(indexed: Path) -> None:
    command = [*ENGINE, "search", "x", "--csv", "--index", str(indexed / "index")]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False
        )
    finally:
        os.close(writing)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_k_larger_than_the_index_gives_all(run: Run, indexed: Path) -> None:
    (answer,) = json_lines(run("search", "x", "-k", 5000, "--index", indexed / "index", "--json"))
    assert len({hit["id"] for hit in answer["hits"]}) == 12


def test_missing_index_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("search", "x", "--index", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_from_file_answers_every_line_in_order(run: Run, indexed: Path, tmp_path: Path) -> None:
    queries = [f"picture number {n}" for n in range(30)]
    queries[7] = ""
    (tmp_path / "queries.txt").write_text("\n".join(queries) + "\n")
    result = run(
        "search", "--from-file", tmp_path / "queries.txt", "-k", 1, "--index", indexed / "index"
    )
    answers = json_lines(result)
    assert [answer["query"] for answer in answers] == queries
    assert answers[7]["hits"] == []
    assert "error" in answers[7]
    alone = json_lines(run("search", queries[22], "-k", 1, "--index", indexed / "index", "--json"))[
        0
    ]
    assert answers[22]["hits"][0]["id"] == alone["hits"][0]["id"]


def test_from_stdin_answers_before_the_next_query(indexed: Path) -> None:
    command = [*ENGINE, "search", "--from-file", "-", "-k", "1", "--index", str(indexed / "index")]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for query in ("one", "two"):
            process.stdin.write(f"{query}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["query"] == query
        process.stdin.close()
    assert process.returncode == 0


def test_similar_finds_the_example_itself(run: Run, indexed: Path, tmp_path: Path) -> None:
    example = tmp_path / "example.jpg"
    example.write_bytes(jpeg(3))
    (answer,) = json_lines(run("similar", example, "--index", indexed / "index", "--json"))
    assert answer["hits"][0]["path"].endswith("0003.jpg")
    assert answer["hits"][0]["score"] > 0.999


def test_similar_by_id_leaves_the_image_itself_out(run: Run, indexed: Path) -> None:
    (answer,) = json_lines(run("similar", "id:3", "-k", 50, "--index", indexed / "index", "--json"))
    ids = [hit["id"] for hit in answer["hits"]]
    assert len(ids) == 11
    assert 3 not in ids


def test_names_with_newlines_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    odd = [photos / "new\nline.jpg", photos / os.fsdecode(b"caf\xe9.jpg")]
    for number, path in enumerate(odd):
        path.write_bytes(jpeg(number))

    def engine(*arguments: object) -> bytes:
        command = [*ENGINE, *map(str, arguments), "--index", str(tmp_path / "index")]
        return subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT).stdout

    engine("index", photos, "--quiet")
    answer = json.loads(engine("search", "x", "--json"))
    assert {hit["path"] for hit in answer["hits"]} == {str(path) for path in odd}
    table = engine("search", "x")
    assert len(table.splitlines()) == 2
    assert b"new\\nline.jpg" in table
    assert b"caf\xe9.jpg" in table


def test_query_with_undecodable_bytes_and_very_long_query(indexed: Path) -> None:
    for query in (b"caf\xe9", b"word " * 10_000, "\u202eright to left".encode(), b"a\x07b"):
        command = [*ENGINE, "search", query, "-k", "1", "--index", str(indexed / "index"), "--json"]
        done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False)
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["hits"]) == 1


def test_search_of_a_text_imports_neither_torch_nor_openvino(indexed: Path) -> None:
    code = (
        "import sys; from searchengine.cli import main\n"
        f"main(['search', 'a dog', '--index', {str(indexed / 'index')!r}], standalone_mode=False)\n"
        "print([m for m in ('torch', 'open_clip', 'openvino', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([ENGINE[0], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from searchengine.cli import main\n"
        "main(['index', '--help'], standalone_mode=False)\n"
        "print([m for m in ('numpy', 'PIL', 'sqlalchemy', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([ENGINE[0], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_read_only_index_still_answers(run: Run, indexed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "index"
    shutil.copytree(indexed / "index", copy)
    for path in copy.iterdir():
        path.chmod(0o444)
    copy.chmod(0o555)
    try:
        assert run("search", "x", "--index", copy).exit_code == 0
    finally:
        copy.chmod(0o755)
