"""A served index of pictures in a folder, for tests of the routes that give pictures."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from searchengine.index import Index
from searchengine.ingest import ingest
from searchengine.web.app import create_app
from searchengine.web.settings import Settings
from tests.fakes import FakeEncoder


def index_folder(folder: Path, index: Path) -> None:
    """Index a folder with a fake encoder; again, if it was indexed before."""
    encoder = FakeEncoder()
    opened = Index.open(index) if Index.exists(index) else Index.create(index, encoder.spec)
    with opened:
        ingest(opened, lambda: encoder, [folder])


def serve(home: Path, **settings: object) -> TestClient:
    """The application over `home/index`, with its cache in `home/cache` unless told otherwise."""
    given = Settings(**{"cache": home / "cache", **settings})
    app = create_app({"photos": home / "index"}, given)
    app.state.library.warm = lambda: None  # a thread that would outlive the test
    return TestClient(app, "http://127.0.0.1:8765")


def ids(client: TestClient) -> dict[str, int]:
    """Path below the root -> id, of every image."""
    catalog = client.app.state.library.engine(None).catalog
    return {
        path: state[0] for root in catalog.roots() for path, state in catalog.files(root).items()
    }


@contextlib.contextmanager
def listening(app: FastAPI) -> Iterator[int]:
    """The application behind a real socket, in a thread; gives the port, which it allows."""
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none", http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


def until(holds: object, seconds: float = 10.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def ask_for(port: int, path: str, *headers: str) -> socket.socket:
    """A connection on which a GET has been sent."""
    call = socket.create_connection(("127.0.0.1", port))
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1:8765", *headers, "", ""]
    call.sendall("\r\n".join(lines).encode())
    return call
