from __future__ import annotations

import asyncio
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from starlette.requests import Request
from starlette.testclient import TestClient

from searchengine.web.problems import Problem
from searchengine.web.settings import Settings
from searchengine.web.studio import Studio
from searchengine.web.uploads import Uploads, read_picture
from tests.hostile import huge_png
from tests.pictures import jpeg, picture
from tests.web.shelf import index_folder, serve

PICTURE = {"Content-Type": "image/jpeg"}


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    (tmp_path / "photos").mkdir()
    index_folder(tmp_path / "photos", tmp_path / "index")
    return serve(tmp_path, upload_bytes=200_000)


def send(client: TestClient, content: object, **headers: str) -> object:
    return client.post("/api/uploads", content=content, headers={**PICTURE, **headers})


def test_a_picture_is_kept_small_under_a_key_of_its_content(client: TestClient) -> None:
    content = jpeg(1, (1500, 900))
    answer = send(client, content)
    assert answer.status_code == 201
    kept = answer.json()
    assert (kept["width"], kept["height"]) == (1500, 900)
    assert send(client, content).json() == kept
    assert send(client, jpeg(2)).json()["key"] != kept["key"]
    shown = client.get(f"/api/uploads/{kept['key']}")
    assert shown.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(shown.content)).size == (1024, 614)


def test_a_kept_picture_is_resolved_until_it_is_gone(client: TestClient) -> None:
    key = send(client, jpeg(1)).json()["key"]
    uploads = Uploads(client.app.state.studio.uploads)
    assert Image.open(io.BytesIO(uploads.resolve(key))).size == (96, 64)
    for kept in client.app.state.settings.cache.glob("uploads/*"):
        kept.unlink()
    with pytest.raises(Problem, match="no longer here; drop it again") as gone:
        uploads.resolve(key)
    assert gone.value.status == 410
    assert client.get(f"/api/uploads/{key}").status_code == 410


@pytest.mark.parametrize(
    "key", ["..%2f..%2fcatalog", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "%0a"]
)
def test_what_is_no_key_finds_nothing(client: TestClient, key: str) -> None:
    assert client.get(f"/api/uploads/{key}").status_code in (400, 404, 422)


def test_any_content_type_that_a_picture_may_have(client: TestClient) -> None:
    content = io.BytesIO()
    picture(1).save(content, "PNG")
    for kind in ("image/png", "IMAGE/heic", "application/octet-stream"):
        assert send(client, content.getvalue(), **{"Content-Type": kind}).status_code == 201
    assert client.post("/api/uploads", content=content.getvalue()).status_code == 201
    for kind in (
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded",
    ):
        answer = send(client, content.getvalue(), **{"Content-Type": kind})
        assert answer.status_code == 415
        assert "send the picture itself" in answer.json()["detail"]


def test_too_large_with_and_without_a_length(client: TestClient) -> None:
    assert send(client, b"x" * 200_001).status_code == 413
    sent = 0

    def endless() -> object:
        nonlocal sent
        while sent < 2_000_000:
            sent += 50_000
            yield b"x" * 50_000

    answer = send(client, endless())
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert client.app.state.studio.reading == 0
    assert send(client, iter([jpeg(1)])).status_code == 201


def test_a_body_is_bounded_while_it_comes_in(tmp_path: Path) -> None:
    received = 0

    async def receive() -> dict[str, object]:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b"x" * 50, "more_body": received < 9}

    app = SimpleNamespace(state=SimpleNamespace(settings=Settings(upload_bytes=120)))
    studio = Studio(Settings(cache=tmp_path))
    for length, read in (([], 3), ([(b"content-length", b"121")], 0)):
        received = 0
        request = Request({"type": "http", "app": app, "headers": length}, receive)
        with pytest.raises(Problem, match="larger than 120 bytes"):
            asyncio.run(read_picture(request, studio))
        assert (received, studio.reading) == (read, 0)


def test_few_bodies_are_in_memory_at_once(tmp_path: Path) -> None:
    studio = Studio(Settings(cache=tmp_path))
    studio.reading = 8
    app = SimpleNamespace(state=SimpleNamespace(settings=Settings()))
    request = Request({"type": "http", "app": app, "headers": []})
    with pytest.raises(Problem, match="at once") as refused:
        asyncio.run(read_picture(request, studio))
    assert refused.value.status == 503


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"Dear diary", "text"),
        (jpeg(1)[:900], "truncated"),
        (huge_png(20_000), "too large: 20000 x 20000"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(
    client: TestClient, content: bytes, reason: str
) -> None:
    answer = send(client, content)
    assert answer.status_code == 415, answer.text
    assert reason in answer.json()["detail"] or not content
    assert not list(client.app.state.settings.cache.glob("uploads/*"))


def test_a_disk_that_takes_nothing_is_told(client: TestClient) -> None:
    client.app.state.settings.cache.write_bytes(b"a file where a folder should be")
    answer = send(client, jpeg(1))
    assert answer.status_code == 503
    assert "cannot be kept" in answer.json()["detail"]
