"""`searchengine index --ray` and `--parquet`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from searchengine.index import Index
from tests.cli.conftest import ENGINE, Run, json_lines
from tests.ingest.collection import write_as_cluster
from tests.pictures import fill, jpeg
from tests.scale.cluster.clusters import at_most, fill_slowly
from tests.scale.cluster.test_sources import write_shard
from tests.scale.parts import require

ADDRESS = "memory://bucket/photos"  # which this process alone could read
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


@pytest.fixture
def mixed(run: Run, tmp_path: Path) -> Path:
    """An index of two pictures of a folder, and of one behind an address."""
    fill(tmp_path / "photos", 2)
    run("index", tmp_path / "photos", "--index", tmp_path / "index", "--quiet")
    with Index.open(tmp_path / "index") as index:
        write_as_cluster(index, ADDRESS, "1.jpg", jpeg(9))
    return tmp_path / "index"


def test_without_a_cluster_only_local_folders_are_brought_up_to_date(
    run: Run, tmp_path: Path, mixed: Path
) -> None:
    fill(tmp_path / "photos", 1, first=5)
    result = run("index", "--index", mixed, "--json", "--quiet")
    (counts,) = json_lines(result)
    assert (counts["added"], counts["unchanged"], counts["removed"]) == (1, 2, 0)
    assert result.stderr == f"{ADDRESS}: only `searchengine index --ray` reads what is there\n"
    (info,) = json_lines(run("info", "--index", mixed, "--json"))
    assert info["images"] == 4
    assert run("check", "--index", mixed).exit_code == 0
    (found,) = json_lines(run("search", "a boat", "--index", mixed, "--json", "-k", "9"))
    assert f"{ADDRESS}/1.jpg" in {hit["path"] for hit in found["hits"]}


def test_where_all_folders_are_behind_addresses_there_is_nothing_to_do(
    run: Run, tmp_path: Path, mixed: Path
) -> None:
    run("roots", "remove", tmp_path / "photos", "--index", mixed)
    for command in ("index", "watch"):
        result = run(command, "--index", mixed)
        assert result.exit_code == 1
        assert f"Error: {ADDRESS}: only `searchengine index --ray` reads" in result.stderr


def test_a_root_behind_an_address_is_elsewhere(run: Run, mixed: Path) -> None:
    listed = run("roots", "list", "--index", mixed)
    assert listed.stdout.splitlines()[1] == f"       1 images  {ADDRESS}  (elsewhere)"
    there = [each["there"] for each in json_lines(run("roots", "list", "--index", mixed, "--json"))]
    assert there == [True, None]


def test_a_picture_behind_an_address_is_found_by_its_folder_and_linked(
    run: Run, tmp_path: Path, mixed: Path
) -> None:
    with Index.open(mixed) as index:
        write_as_cluster(index, ADDRESS, "deep/2.jpg", jpeg(0))  # as photos/0000.jpg
    for folder, names in ((ADDRESS, ["1.jpg", "2.jpg"]), (f"{ADDRESS}/deep", ["2.jpg"])):
        found = run("search", "a boat", "--folder", folder, "--paths", "--index", mixed)
        assert sorted(path.rpartition("/")[2] for path in found.stdout.splitlines()) == names
    store = require("fsspec", "ray").filesystem("memory")
    store.pipe({"/bucket/photos/1.jpg": jpeg(9), "/bucket/photos/deep/2.jpg": jpeg(0)})
    page = ("--html", tmp_path / "page.html", "--index", mixed)
    shown = {("search", "a boat", "--no-collapse"): 4, ("search", "a boat"): 3, ("duplicates",): 2}
    for command, count in shown.items():
        assert run(*command, *page).exit_code == 0
        written = (tmp_path / "page.html").read_text()
        assert f'href="{ADDRESS}/deep/2.jpg"' in written
        assert written.count("data:image/jpeg") == count
        (tmp_path / "page.html").unlink()
    opened = run("search", "a boat", "--folder", ADDRESS, "--open", "--index", mixed)
    assert opened.exit_code == 1
    assert opened.stderr.endswith("is no file of its own on this machine; see it with --html\n")


def test_a_root_behind_an_address_moves(run: Run, mixed: Path) -> None:
    moved = run("roots", "move", ADDRESS, "s3://other", "--index", mixed)
    assert moved.stdout == f"1 image of {ADDRESS} now below s3://other\n"


def test_no_picture_behind_an_address_is_dropped_by_another_model(
    run: Run, mixed: Path, other_model: Path
) -> None:
    result = run("index", "--re-embed", "--model", other_model, "--index", mixed)
    assert result.exit_code == 1
    assert f"1 of the pictures of {ADDRESS} are behind an address" in result.stderr
    assert "add --ray" in result.stderr
    (info,) = json_lines(run("info", "--index", mixed, "--json"))
    assert (info["model"], info["images"]) == ("builtin", 3)


@pytest.mark.slow
def test_a_cluster_embeds_for_another_model(run: Run, tmp_path: Path, other_model: Path) -> None:
    require("ray.data", "ray")
    write_shard(tmp_path / "photos" / "000.tar", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    fill(tmp_path / "photos", 2, first=7)
    arguments = ("index", "--index", "index", "--quiet", "--json", "--ray")
    change = ("--re-embed", "--model", str(other_model))
    for more in (["local", "photos"], ["local", *change]):
        with at_most(150):
            done = subprocess.run(
                [*ENGINE, *arguments, *more],
                check=False,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                env=QUIET,
            )
        assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["unchanged"] == 4
    (info,) = json_lines(run("info", "--index", tmp_path / "index", "--json"))
    assert (info["model"], info["images"]) == (str(other_model), 4)
    assert run("check", "--index", tmp_path / "index").exit_code == 0


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
