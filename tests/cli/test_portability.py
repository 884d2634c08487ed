"""`roots`, `merge`, `export` and `import`, as a user types them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run, json_lines
from tests.pictures import fill


@pytest.fixture
def home(indexed: Path, tmp_path: Path, run: Run) -> Path:
    """Twelve indexed pictures that a test may move; their index is `index`."""
    shutil.copytree(indexed / "photos", tmp_path / "photos")
    shutil.copytree(indexed / "index", tmp_path / "index")
    run("roots", "move", indexed / "photos", tmp_path / "photos", "--index", tmp_path / "index")
    return tmp_path


def test_a_folder_that_moved_is_followed_without_encoding_anything(home: Path, run: Run) -> None:
    index = home / "index"
    (home / "photos").rename(home / "pictures")
    (root,) = json_lines(run("roots", "list", "--index", index, "--json"))
    assert root == {
        "folder": str(home / "photos"),
        "images": 12,
        "there": False,
        "exclude": [],
        "include_hidden": False,
    }
    done = run("roots", "move", home / "photos", home / "pictures", "--index", index)
    assert done.stdout == f"12 images of {home / 'photos'} now below {home / 'pictures'}\n"
    (counts,) = json_lines(run("index", "--index", index, "--json", "--quiet"))
    assert (counts["unchanged"], counts["failed"]) == (12, 1)
    assert counts["added"] == counts["moved"] == counts["removed"] == 0
    assert run("check", "--index", index).exit_code == 0


def test_the_list_says_what_is_left_out_of_a_folder(home: Path, run: Run) -> None:
    index = home / "index"
    options = ("--exclude", "raw/", "--exclude", "*.tmp", "--include-hidden", "--quiet")
    run("index", home / "photos", "--index", index, *options)
    (home / "photos").rename(home / "pictures")
    run("roots", "move", home / "photos", home / "pictures", "--index", index)
    (root,) = json_lines(run("roots", "list", "--index", index, "--json"))
    assert (root["exclude"], root["include_hidden"]) == (["raw/", "*.tmp"], True)
    (home / "pictures").rename(home / "gone")
    assert run("roots", "list", "--index", index).stdout == (
        f"      12 images  {home / 'pictures'}"
        "  (not there; without raw/, *.tmp; with hidden files)\n"
    )


def test_a_folder_can_be_taken_out(home: Path, run: Run) -> None:
    index = home / "index"
    (done,) = json_lines(run("roots", "remove", home / "photos", "--index", index, "--json"))
    assert done == {"folder": str(home / "photos"), "removed": 12}
    assert run("roots", "list", "--index", index).stdout == ""
    assert len(list((home / "photos").iterdir())) == 13
    again = run("roots", "remove", home / "photos", "--index", index)
    assert again.exit_code == 1
    assert again.stderr.startswith("Error: ")


def test_merge_adds_what_the_other_has(home: Path, run: Run) -> None:
    fill(home / "more", 3, first=50)
    run("index", home / "more", "--index", home / "other", "--quiet")
    command = ("merge", home / "other", "--index", home / "index")
    assert run(*command).stdout.startswith("3 added, 0 in both, ")
    (again,) = json_lines(run(*command, "--json"))
    assert (again["added"], again["same"], again["images"]) == (0, 3, 15)
    assert run("check", "--index", home / "index").exit_code == 0
    refused = run("merge", home / "nothing", "--index", home / "index")
    assert refused.exit_code == 1


@pytest.mark.parametrize("format_", ["parquet", "npy"])
def test_an_export_can_be_imported_elsewhere(home: Path, run: Run, format_: str) -> None:
    out = home / "out"
    command = ("export", out, "--format", format_, "--index", home / "index", "--json")
    (exported,) = json_lines(run(*command))
    assert exported["images"] == 12
    taken = run(*command)
    assert taken.exit_code == 1
    assert "is not empty" in taken.stderr
    (home / "photos").rename(home / "pictures")
    target = ("--images", home / "pictures", "--index", home / "new")
    imported = run("import", out, *target, "--json", "--quiet")
    (counts,) = json_lines(imported)
    assert (counts["added"], counts["missing"], counts["refused_files"]) == (12, 0, 0)
    assert counts["cosine"] > 0.98
    (report,) = json_lines(run("index", "--index", home / "new", "--json", "--quiet"))
    assert (report["unchanged"], report["added"]) == (12, 0)


def test_an_import_of_another_model_makes_no_index(home: Path, run: Run, other_model: Path) -> None:
    run("export", home / "out", "--format", "npy", "--index", home / "index")
    command = ("import", home / "out", "--images", home / "photos", "--index", home / "new")
    refused = run(*command, "--model", other_model)
    assert refused.exit_code == 1
    assert "was exported from an index of builtin" in refused.stderr
    (home / "out" / "model.json").unlink()
    assert "name it with --model" in run(*command).stderr
    assert not (home / "new").exists()
    assert run(*command, "--model", "builtin").stdout.startswith("12 images added")
