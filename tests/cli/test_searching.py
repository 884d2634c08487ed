"""`searchengine search` and `searchengine similar`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cli.conftest import ENGINE, ENVIRONMENT, Run, json_lines
from tests.pictures import fill, jpeg


def test_json_hits(run: Run, indexed: Path) -> None:
    result = run("search", "blue sky", "-k", 4, "--index", indexed / "index", "--json")
    (answer,) = json_lines(result)
    assert answer["query"] == "blue sky"
    hits = answer["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    for hit in hits:
        assert Path(hit["path"]).is_file()
        assert -1 <= hit["score"] <= 1
        assert (hit["width"], hit["height"]) == (96, 64)


def test_table_shows_rank_score_and_path(run: Run, indexed: Path) -> None:
    lines = run("search", "blue sky", "-k", 2, "--index", indexed / "index").stdout.splitlines()
    assert len(lines) == 2
    rank, score, path = lines[0].split(maxsplit=2)
    assert rank == "1"
    assert float(score) <= 1
    assert Path(path).is_file()


def test_k_larger_than_the_index_gives_all(run: Run, indexed: Path) -> None:
    (answer,) = json_lines(run("search", "x", "-k", 5000, "--index", indexed / "index", "--json"))
    assert len({hit["id"] for hit in answer["hits"]}) == 12


def test_empty_index_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    run("index", tmp_path / "photos", "--index", tmp_path / "index")
    result = run("search", "x", "--index", tmp_path / "index")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "searchengine index FOLDER" in result.stderr
    (answer,) = json_lines(run("search", "x", "--index", tmp_path / "index", "--json"))
    assert answer == {"query": "x", "hits": []}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["search", ""], 1, "query is empty"),
        (["search", " \t"], 1, "query is empty"),
        (["search", "x", "-k", "0"], 2, "-k"),
        (["search"], 2, "TEXT or --from-file"),
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


def test_missing_index_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("search", "x", "--index", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_from_file_answers_every_line_in_order(run: Run, indexed: Path, tmp_path: Path) -> None:
    queries = [f"picture number {n}" for n in range(300)]
    queries[7] = ""
    (tmp_path / "queries.txt").write_text("\n".join(queries) + "\n")
    result = run(
        "search", "--from-file", tmp_path / "queries.txt", "-k", 1, "--index", indexed / "index"
    )
    answers = json_lines(result)
    assert [answer["query"] for answer in answers] == queries
    assert answers[7]["hits"] == []
    assert "error" in answers[7]
    alone = json_lines(run("search", queries[42], "-k", 1, "--index", indexed / "index", "--json"))[
        0
    ]
    assert answers[42]["hits"][0]["id"] == alone["hits"][0]["id"]


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


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        self.references += [str(values[key]) for key in ("src", "href") if key in values]


def test_contact_sheet_is_self_contained(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "photos", 3)
    evil = tmp_path / "photos" / '<script>"&.jpg'
    evil.write_bytes(jpeg(50))
    run("index", tmp_path / "photos", "--index", tmp_path / "index", "--quiet")
    (tmp_path / "photos" / "0001.jpg").unlink()
    page = tmp_path / "out.html"
    result = run("search", "a <b>", "-k", 9, "--html", page, "--index", tmp_path / "index")
    assert result.exit_code == 0, result.stderr
    text = page.read_text()
    assert "<script>" not in text
    assert "a &lt;b&gt;" in text
    assert "no such file" in text
    parsed = _Page()
    parsed.feed(text)
    assert len(parsed.images) == 3
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in parsed.images)
    assert all(image["alt"] for image in parsed.images)
    assert all(ref.startswith(("data:", "file://")) for ref in parsed.references)


def test_page_that_cannot_be_written_is_one_line(run: Run, indexed: Path) -> None:
    page = indexed / "no" / "such" / "folder.html"
    result = run("search", "x", "--html", page, "--index", indexed / "index")
    assert result.exit_code == 1
    assert str(page) in result.stderr


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
