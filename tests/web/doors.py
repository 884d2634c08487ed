"""A tiny guarded application, and a way to send it what no well-behaved client would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.types import ASGIApp, Message

from searchengine.web import login, problems
from searchengine.web.guard import Guard
from searchengine.web.settings import Settings

ADDRESS = "http://127.0.0.1:8765"
TOKEN = "correct horse battery staple"


class Words(BaseModel):
    text: str = ""


def settings(**changes: Any) -> Settings:
    return Settings(cache=Path("unused"), **changes)


def guarded(chosen: Settings | None = None) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    app.include_router(login.router)

    @app.get("/")
    @app.get("/static/page.js")
    @app.get("/favicon.ico")
    @app.get("/api/health")
    @app.get("/api/indexes")
    @app.get("/metrics")
    def plain() -> str:
        return "private pictures"

    @app.post("/api/search")
    @app.delete("/api/jobs/1")
    def search(body: Words | None = None) -> int:
        return len(body.text) if body else 0

    @app.post("/api/uploads")
    @app.post("/api/similar")
    async def upload(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Guard, settings=chosen or settings())
    return app


def client(chosen: Settings | None = None, address: str = ADDRESS) -> TestClient:
    return TestClient(guarded(chosen), address, raise_server_exceptions=False)


@dataclass
class Reply:
    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {key.decode(): value.decode() for key, value in self.messages[0]["headers"]}

    @property
    def detail(self) -> str:
        body = b"".join(message.get("body", b"") for message in self.messages[1:])
        return str(json.loads(body)["detail"])


Headers = Sequence[tuple[str, str]]


def ask(
    app: ASGIApp,
    path: str = "/api/indexes",
    headers: Headers = (("host", "127.0.0.1:8765"),),
    method: str = "GET",
    body: Iterable[bytes] = (b"",),
    *,
    pause: float = 0,
    **scope: Any,
) -> Reply:
    """Send one request in parts, with a pause before each; after the last nothing more comes."""
    parts = list(body)
    reply = Reply()

    async def receive() -> Message:
        if not parts:
            await anyio.sleep_forever()
        await anyio.sleep(pause)
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": part != b""}

    async def send(message: Message) -> None:
        reply.messages.append(message)

    async def exchange() -> None:
        await app(
            {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "method": method,
                "scheme": "http",
                "path": path,
                "raw_path": path.encode("utf-8", "replace"),
                "query_string": b"",
                "root_path": "",
                "headers": [(key.encode(), value.encode()) for key, value in headers],
                "server": ("127.0.0.1", 8765),
                "client": ("192.168.1.66", 40000),
                **scope,
            },
            receive,
            send,
        )

    anyio.run(exchange)
    return reply
