"""`serve`: what it refuses, and as a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from searchengine.errors import SearchEngineError
from searchengine.web import server
from searchengine.web.settings import Settings
from tests.cli.conftest import ENGINE, ENVIRONMENT, Run


class Page(NamedTuple):
    process: subprocess.Popen[str]
    address: str

    def get(self, path: str, **headers: str) -> Any:
        request = urllib.request.Request(self.address.rstrip("/") + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def end(self, how: signal.Signals) -> tuple[int, float, str]:
        """Exit code, the seconds it took, and what was on stderr."""
        started = time.monotonic()
        self.process.send_signal(how)
        code = self.process.wait(10)
        seconds = time.monotonic() - started
        assert self.process.stderr
        return code, seconds, self.process.stderr.read()


@contextmanager
def serving(*arguments: object) -> Iterator[Page]:
    command = [*ENGINE, "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    )
    assert process.stdout
    assert process.stderr
    with process.stdout, process.stderr:
        try:
            line = process.stdout.readline()
            assert line.startswith("the page is at http://"), process.stderr.read()
            yield Page(process, line.split()[4])
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "expected"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_starts_answers_and_ends_within_two_seconds(
    indexed: Path, how: signal.Signals, expected: int
) -> None:
    with serving("--index", indexed / "index") as page:
        assert page.get("/api/search?q=a+red+boat")["total"] == 12
        code, seconds, errors = page.end(how)
    assert (code, seconds < 2) == (expected, True)
    assert errors in ("", "interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_may_be_ended_while_it_loads_its_models(indexed: Path, how: signal.Signals) -> None:
    with serving("--index", indexed / "index") as page:
        code, seconds, _ = page.end(how)
    assert (code in (0, 130), seconds < 2) == (True, True)


@pytest.mark.slow
def test_a_request_that_hangs_does_not_keep_it_alive(indexed: Path) -> None:
    with serving("--index", indexed / "index") as page:
        host, port = page.address.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port))) as slow:
            head = f"POST /api/search HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9\r\n"
            slow.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
            time.sleep(0.3)
            code, seconds, errors = page.end(signal.SIGTERM)
    assert (code, seconds < 2.2) == (0, True)
    assert "Traceback" not in errors


@pytest.mark.slow
def test_two_indexes_and_a_token(indexed: Path, tmp_path: Path) -> None:
    (tmp_path / "index").symlink_to(indexed / "index")
    both = ("--index", indexed / "index", "--index", tmp_path / "index")
    with serving(*both, "--host", "0.0.0.0", "--token", "open sesame") as page:
        assert page.address.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError) as caught:
            page.get("/api/indexes")
        caught.value.close()
        assert caught.value.code == 401
        listed = page.get("/api/indexes", Authorization="Bearer open sesame")["indexes"]
        assert [each["name"] for each in listed] == ["index", "index-2"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "photos.example"])
def test_it_is_not_opened_to_other_machines_without_a_token(
    run: Run, indexed: Path, host: str
) -> None:
    result = run("serve", "--index", indexed / "index", "--host", host)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {host} can be reached from other machines")
    assert result.stderr.count("\n") == 1
    assert "--token" in result.stderr


def test_a_port_that_is_taken_is_one_line(run: Run, indexed: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--index", indexed / "index", "--port", port)
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert (result.stderr.count("\n"), "--port" in result.stderr) == (1, True)


def test_an_address_that_is_not_of_this_machine_is_one_line(run: Run, indexed: Path) -> None:
    result = run(
        *("serve", "--index", indexed / "index", "--host", "192.0.2.1", "--port", "0"),
        *("--token", "secret"),
    )
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "cannot listen on 192.0.2.1" in result.stderr


def test_what_is_no_index_is_said_before_anything_starts(run: Run, tmp_path: Path) -> None:
    result = run("serve", "--index", tmp_path)
    assert result.exit_code == 1
    assert "is not an index; make it one with" in result.stderr
    assert run("serve", "--index", tmp_path, "--token", " ").exit_code == 2


def test_without_the_extra_it_says_how_to_install_it(
    run: Run, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("serve", "--index", indexed / "index")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: the page needs fastapi; install it with: pip install 'searchengine[web]'\n"
    )


def test_help_imports_nothing_of_the_web() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from searchengine.cli import main; "
        "assert CliRunner().invoke(main, ['serve', '--help']).exit_code == 0; "
        "sys.exit(str(sorted({'fastapi', 'uvicorn', 'starlette', 'pydantic', 'numpy'} "
        "& sys.modules.keys())))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("host", "loopback", "address"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:8765/"),
        ("127.1.2.3", True, "http://127.1.2.3:8765/"),
        ("::1", True, "http://[::1]:8765/"),
        ("localhost", True, "http://localhost:8765/"),
        ("0.0.0.0", False, "http://127.0.0.1:8765/"),
        ("::", False, "http://[::1]:8765/"),
        ("192.168.1.2", False, "http://192.168.1.2:8765/"),
        ("localhost.example", False, "http://localhost.example:8765/"),
        ("", False, "http://:8765/"),
    ],
)
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool, address: str) -> None:
    assert server.is_loopback(host) == loopback
    assert server.address(Settings(host=host)) == address


def test_nothing_listens_on_what_is_no_address() -> None:
    for host in ("no such host.invalid", "a" * 300, "\udc80"):
        with pytest.raises(SearchEngineError, match="cannot listen on"):
            server._listen(Settings(host=host))
