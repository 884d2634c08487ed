"""`searchengine info`, `check` and `models`."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cli.conftest import Run, json_lines


def test_info_lists_failures_with_their_reason(run: Run, indexed: Path) -> None:
    (facts,) = json_lines(run("info", "--index", indexed / "index", "--json"))
    assert (facts["images"], facts["failed"], facts["model"], facts["dim"]) == (
        12,
        1,
        "builtin",
        384,
    )
    (failure,) = facts["failures"]
    assert failure["path"] == str(indexed / "photos" / "broken.jpg")
    assert "not a picture" in failure["reason"]
    text = run("info", "--index", indexed / "index").stdout
    assert "12 images" in text
    assert "broken.jpg: not a picture" in text


def test_check_finds_and_mends_a_damaged_snapshot(run: Run, indexed: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(indexed / "index", index)
    assert run("check", "--index", index).exit_code == 0
    (snapshot,) = index.glob("*.faiss")
    content = bytearray(snapshot.read_bytes())
    content[len(content) // 2] ^= 0xFF
    snapshot.write_bytes(content)
    damaged = run("check", "--index", index, "--json")
    assert damaged.exit_code == 1
    (facts,) = json_lines(damaged)
    assert not facts["sound"]
    assert facts["problems"]
    assert run("check", "--repair", "--index", index).exit_code == 0
    assert run("check", "--index", index).exit_code == 0


def test_models_list_and_show(run: Run) -> None:
    assert "builtin" in run("models", "list").stdout
    (facts,) = json_lines(run("models", "show", "builtin", "--json"))
    assert facts["name"] == "builtin"
    assert facts["megabytes"] <= 64
    assert "Flickr8k" in facts["licence"]


def test_models_show_of_an_unknown_model_is_one_line(run: Run) -> None:
    result = run("models", "show", "ViT-B-32/nobody")
    assert result.exit_code == 1
    assert "models pull ViT-B-32/nobody" in result.stderr
    assert len(result.stderr.splitlines()) == 1
