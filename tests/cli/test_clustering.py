"""`searchengine index --ray` and `--parquet`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ENGINE, Run, json_lines
from tests.pictures import fill
from tests.scale.cluster.clusters import at_most, fill_slowly
from tests.scale.parts import require

QUIET = {**os.environ, "RAY_AUTH_MODE": "disabled"}


def test_an_address_without_a_cluster_names_the_option(run: Run, tmp_path: Path) -> None:
    result = run("index", "s3://bucket/photos", "--index", tmp_path / "index")
    assert result.exit_code == 1
    assert "--ray" in result.stderr
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("photos", "photos is no address of a cluster"),
        ("127.0.0.1:9", "nothing answers at 127.0.0.1:9"),
        ("ray://127.0.0.1:9", "nothing answers at ray://127.0.0.1:9"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line_and_makes_no_index(
    run: Run, tmp_path: Path, address: str, message: str
) -> None:
    require("ray", "ray")
    fill(tmp_path / "photos", 1)
    result = run("index", tmp_path / "photos", "--ray", address, "--index", tmp_path / "index")
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "index").exists()


def test_without_ray_the_extra_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    fill(tmp_path / "photos", 1)
    result = run("index", tmp_path / "photos", "--index", tmp_path / "index", "--ray")
    assert result.exit_code == 1
    assert "pip install 'searchengine[ray]'" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parquet", "out"], "--parquet goes with --ray"),
        (["--parquet", "out", "--ray=auto", "--allow-empty"], "--allow-empty is for an index"),
        (["--parquet", "out", "--ray=auto", "--index", "x"], "--index is for an index"),
        (["--ray=auto", "--re-embed"], "leave out --ray"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, tmp_path: Path, options: list[str], message: str
) -> None:
    fill(tmp_path / "photos", 1)
    result = run("index", tmp_path / "photos", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_parquet_needs_folders_and_a_new_place(run: Run, tmp_path: Path) -> None:
    require("ray", "ray")
    assert "name them" in run("index", "--ray", "--parquet", "out").stderr
    fill(tmp_path / "photos", 1)
    result = run("index", tmp_path / "photos", "--ray", "--parquet", tmp_path / "photos")
    assert result.exit_code == 1
    assert "exists already and is not empty" in result.stderr


@pytest.mark.slow
def test_this_machine_alone_says_only_what_is_asked(tmp_path: Path) -> None:
    require("ray.data", "ray")
    fill(tmp_path / "photos", 5)
    (tmp_path / "photos" / "broken.jpg").write_text("not a picture")
    command = [*ENGINE, "index", "photos", "--index", "index", "--json", "--quiet", "--ray"]
    with at_most(150):
        done = subprocess.run(
            command, check=False, cwd=tmp_path, capture_output=True, text=True, env=QUIET
        )
    assert done.stderr == ""
    assert done.returncode == 0
    counts = json.loads(done.stdout)
    assert (counts["added"], counts["failed"]) == (5, 1)


@pytest.mark.slow
def test_an_interrupted_run_ends_by_itself_and_the_next_goes_on(run: Run, tmp_path: Path) -> None:
    require("ray.data", "ray")
    fill_slowly(tmp_path / "photos", 80)
    command = [*ENGINE, "index", "photos", "--index", "index", "--ray"]
    with at_most(170):
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=QUIET,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr is not None
        assert "/80 images" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: Ray's processes get it too
        started = time.monotonic()
        assert "interrupted; what is done is kept" in process.communicate()[1]
        assert process.returncode == 130
        assert time.monotonic() - started < 40
    (info,) = json_lines(run("info", "--index", tmp_path / "index", "--json"))
    assert 0 < info["images"] < 80
    again = run("index", tmp_path / "photos", "--index", tmp_path / "index", "--json", "--quiet")
    (counts,) = json_lines(again)
    assert (counts["unchanged"], counts["added"]) == (info["images"], 80 - info["images"])
