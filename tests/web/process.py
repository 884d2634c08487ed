"""A server in a process of its own, and ways to ask it what no browser would."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.conftest import ENVIRONMENT

START = "from searchengine.cli import main; main()"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server; `errors` is the file that its stderr goes to."""

    process: subprocess.Popen[str]
    port: int
    errors: Path
    headers: dict[str, str] = field(default_factory=dict)
    """Of each request, unless it brings others."""

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20,
    ) -> Answer:
        """One request on a connection of its own; a body that is a dict is sent as JSON."""
        given = {**self.headers, **(headers or {})}
        if isinstance(body, dict):
            body = json.dumps(body)
            given = {"Content-Type": "application/json"} | given
        call = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            # It may be refused before all of it was sent.
            with suppress(BrokenPipeError, ConnectionResetError):
                call.request(method, path, body, given)
            answer = call.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            call.close()

    def send(self, request: str | bytes, timeout: float = 20) -> bytes:
        """Send what need not be HTTP, with `HOST` for the server's own; all that comes back."""
        content = request.encode("latin-1") if isinstance(request, str) else request
        with self.connect(timeout) as call:
            call.sendall(content.replace(b"HOST", f"127.0.0.1:{self.port}".encode()))
            return received(call)

    def connect(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def log(self) -> str:
        return self.errors.read_text("utf-8", "replace")

    def peak_kib(self) -> int:
        """The most memory that it had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Its exit code, and the seconds that it took to end."""
        started = time.monotonic()
        self.process.send_signal(how)
        return self.process.wait(15), time.monotonic() - started


@contextmanager
def serving(
    index: Path, errors: Path, *arguments: str, before: str = "", **headers: str
) -> Iterator[Server]:
    """Serve an index on some port; `before` is code that is run first, to make bounds small."""
    options = ["serve", "--port", "0", "--index", os.fspath(index), "--device", "cpu", *arguments]
    command = [sys.executable, "-c", f"{before}\n{START}", *options]
    with errors.open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=ENVIRONMENT, text=True
        )
    assert process.stdout
    with process.stdout:
        try:
            line = process.stdout.readline()
            assert line.startswith("the page is at http://"), errors.read_text()
            yield Server(
                process, int(line.split()[4].rstrip("/").rpartition(":")[2]), errors, headers
            )
        finally:
            process.kill()
            process.wait()


def received(call: socket.socket) -> bytes:
    """All that comes until the other side closes the connection, or is silent for too long."""
    content = bytearray()
    try:
        while chunk := call.recv(65536):
            content += chunk
    except (ConnectionResetError, TimeoutError):
        pass
    return bytes(content)


def until(holds: Any, seconds: float = 20.0) -> Any:
    """Wait for something that holds, and give it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found
