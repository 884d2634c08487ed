"""`searchengine index`, also as a real process that is interrupted, killed, or not alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from searchengine.index import Index
from tests.cli.conftest import ENGINE, ENVIRONMENT, Run, json_lines
from tests.pictures import fill

KILLS = int(os.environ.get("SEARCHENGINE_KILLS", "4"))


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ENGINE, *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_images(index: Path, count: int) -> None:
    """Wait until another process has committed so many images."""
    for _ in range(600):
        if Index.exists(index):
            with Index.open(index) as opened:
                if opened.count >= count:
                    return
        time.sleep(0.05)
    raise AssertionError(f"{index} did not reach {count} images")


def test_json_is_one_line_with_the_fixed_keys(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "photos", 3)
    result = run("index", tmp_path / "photos", "--index", tmp_path / "index", "--json")
    (line,) = json_lines(result)
    counts = {
        key: line[key] for key in ("added", "changed", "moved", "removed", "unchanged", "failed")
    }
    assert counts == {
        "added": 3,
        "changed": 0,
        "moved": 0,
        "removed": 0,
        "unchanged": 0,
        "failed": 0,
    }
    assert line["seconds"] > 0
    assert line["images_per_second"] > 0


def test_quiet_says_nothing_on_stderr(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "photos", 3)
    result = run("index", tmp_path / "photos", "--index", tmp_path / "index", "--quiet")
    assert result.stderr == ""
    assert "3 added" in result.stdout


def test_a_log_gets_plain_lines(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "photos", 3)
    result = run("index", tmp_path / "photos", "--index", tmp_path / "index")
    assert result.stderr.startswith("3/3 images, ")
    assert "\r" not in result.stderr


def test_without_folders_every_known_folder_is_refreshed(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "a", 2)
    fill(tmp_path / "b", 2, first=10)
    run("index", tmp_path / "a", tmp_path / "b", "--index", tmp_path / "index", "--quiet")
    fill(tmp_path / "b", 1, first=20)
    (line,) = json_lines(run("index", "--index", tmp_path / "index", "--json"))
    assert (line["added"], line["unchanged"]) == (1, 4)


def test_without_folders_and_without_index_is_an_error(run: Run, tmp_path: Path) -> None:
    result = run("index", "--index", tmp_path / "index")
    assert result.exit_code == 1
    assert "searchengine index FOLDER" in result.stderr
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("folder", ["missing", "file.jpg"])
def test_folder_that_is_none_is_one_line(run: Run, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file.jpg").write_text("a file")
    result = run("index", tmp_path / folder, "--index", tmp_path / "index")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert folder in result.stderr
    assert not (tmp_path / "index").exists()


def test_unknown_model_leaves_no_index(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "photos", 1)
    result = run("index", tmp_path / "photos", "--index", tmp_path / "index", "--model", "No/such")
    assert result.exit_code == 1
    assert "searchengine models pull No/such" in result.stderr
    assert not (tmp_path / "index").exists()


def test_another_model_is_refused_with_the_command_that_re_embeds(
    run: Run, indexed: Path, other_model: Path
) -> None:
    result = run("index", indexed / "photos", "--index", indexed / "index", "--model", other_model)
    assert result.exit_code == 1
    assert (
        f"searchengine index --re-embed --index {indexed / 'index'} --model {other_model}"
        in result.stderr
    )


def test_environment_model_counts_at_creation_only(
    run: Run, indexed: Path, other_model: Path
) -> None:
    environment = {"SEARCHENGINE_MODEL": str(other_model)}
    result = run("index", indexed / "photos", "--index", indexed / "index", env=environment)
    assert result.exit_code == 0


def test_re_embed_changes_the_model(run: Run, tmp_path: Path, other_model: Path) -> None:
    fill(tmp_path / "photos", 3)
    index = tmp_path / "index"
    run("index", tmp_path / "photos", "--index", index, "--quiet")
    assert run("index", "--re-embed", "--model", other_model, "--index", index).exit_code == 0
    (facts,) = json_lines(run("info", "--index", index, "--json"))
    assert (facts["model"], facts["images"]) == (str(other_model), 3)
    assert run("search", "anything", "--index", index).exit_code == 0
    assert run("check", "--index", index).exit_code == 0


def test_what_is_excluded_stays_out_until_told_otherwise(run: Run, tmp_path: Path) -> None:
    photos, index = tmp_path / "photos", ("--index", tmp_path / "index")
    fill(photos, 1)
    fill(photos / "raw", 1, first=10)
    fill(photos / ".cache", 1, first=20)

    def counts(*arguments: object) -> tuple[int, int, int, str]:
        result = run("index", *arguments, *index, "--json")
        (line,) = json_lines(result)
        said = [text for text in result.stderr.splitlines() if "images" not in text]
        return line["added"], line["removed"], line["unchanged"], "\n".join(said)

    as_before = "leaving out raw/ as before; --no-exclude takes everything"
    assert counts(photos, "--exclude", "raw/") == (1, 0, 0, "")
    assert counts(photos) == (0, 0, 1, as_before)
    assert counts() == (0, 0, 1, as_before)
    assert counts("--quiet") == (0, 0, 1, "")
    assert counts(photos / "raw") == (0, 0, 0, as_before)
    assert counts(photos, "--include-hidden") == (1, 0, 1, as_before)
    assert counts("--no-exclude") == (1, 0, 2, "")
    assert counts(photos) == (0, 0, 3, "")
    assert counts(photos, "--no-include-hidden", "--exclude", "/raw") == (0, 2, 1, "")
    both = run("index", photos, "--exclude", "x", "--no-exclude", *index)
    assert both.exit_code == 2


def test_only_what_is_left_out_of_the_folders_at_hand_is_named(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "a", 1)
    fill(tmp_path / "b" / "c", 1, first=10)
    index = ("--index", tmp_path / "index")
    run("index", tmp_path / "a", *index, *(f"--exclude=x{n}" for n in range(9)))
    run("index", tmp_path / "b", *index, "--exclude", "a\nb", "--exclude", "x0")
    told = {name: run("index", tmp_path / name, *index).stderr for name in ("a", "b/c", ".")}
    assert told["a"] == (
        "leaving out x0, x1, x2, x3, x4, ... as before; --no-exclude takes everything\n"
    )
    assert told["b/c"] == "leaving out a\\nb, x0 as before; --no-exclude takes everything\n"
    assert told["."].startswith("leaving out x0, x1, ")


@pytest.mark.slow
def test_interrupt_keeps_what_is_done(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 800)
    arguments = ("index", tmp_path / "photos", "--index", tmp_path / "index")
    process = start(*arguments)
    wait_for_images(tmp_path / "index", 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    with Index.open(tmp_path / "index") as index:
        done = index.count
        assert 0 < done < 800
        assert index.check() == []
    second = start(*arguments, "--json")
    output, _ = second.communicate(timeout=120)
    assert f'"added": {800 - done},' in output
    assert f'"unchanged": {done},' in output


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 400)
    arguments = ("index", tmp_path / "photos", "--index", tmp_path / "index", "--quiet")
    rng = random.Random(0)
    kept = 0
    for _ in range(KILLS):
        process = start(*arguments)
        time.sleep(rng.uniform(0.3, 2.0))
        process.kill()
        process.communicate()
        if Index.exists(tmp_path / "index"):
            with Index.open(tmp_path / "index") as index:
                assert index.check() == []
                assert index.count >= kept
                kept = index.count
    last = start(*arguments)
    last.communicate(timeout=120)
    assert last.returncode == 0
    with Index.open(tmp_path / "index") as index:
        assert index.check() == []
        assert index.files(str(tmp_path / "photos")).keys() == {f"{n:04}.jpg" for n in range(400)}


@pytest.mark.slow
def test_two_writers_and_a_reader(tmp_path: Path, run: Run) -> None:
    index = tmp_path / "index"
    fill(tmp_path / "a", 400)
    fill(tmp_path / "b", 400, first=1000)
    fill(tmp_path / "c", 1, first=5000)
    run("index", tmp_path / "c", "--index", index, "--quiet")
    writers = [start("index", tmp_path / name, "--index", index, "--quiet") for name in "ab"]
    while any(writer.poll() is None for writer in writers):
        (answer,) = json_lines(run("search", "colours", "--index", index, "--json"))
        assert answer["hits"]
    results = [(writer.returncode, writer.communicate()[1]) for writer in writers]
    assert sorted(code for code, _ in results) in ([0, 1], [0, 0])  # [0, 0]: one after the other
    for code, errors in results:
        if code:
            assert errors.startswith("Error: another process wrote to")
            assert len(errors.splitlines()) == 1
    assert run("check", "--index", index).exit_code == 0
    for name in "ab":
        assert run("index", tmp_path / name, "--index", index, "--quiet").exit_code == 0
    (facts,) = json_lines(run("info", "--index", index, "--json"))
    assert facts["images"] == 801
