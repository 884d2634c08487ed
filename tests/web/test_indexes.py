"""Which indexes there are, and how they are."""

from __future__ import annotations

import shutil
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from searchengine import SearchEngine, __version__
from searchengine.index import Index
from searchengine.web.app import create_app
from searchengine.web.settings import Settings
from tests.ingest.collection import write_as_cluster
from tests.pictures import fill, jpeg
from tests.web.conftest import client_of


def test_the_server_says_that_it_is_there(client: TestClient) -> None:
    assert client.get("/api/health").json() == {"status": "ok", "version": __version__}


def test_every_index_is_listed_the_default_one_first(client: TestClient) -> None:
    assert client.get("/api/indexes").json()["indexes"] == [
        {"name": "index", "images": 12, "model": "builtin", "default": True},
        {"name": "other", "images": 2, "model": "builtin", "default": False},
    ]


def test_how_an_index_is(client: TestClient, home: Path) -> None:
    answer = client.get("/api/indexes/index").json()
    assert len(answer.pop("version")) == 32
    assert answer == {
        "name": "index",
        "folder": str(home / "index"),
        "images": 12,
        "model": "builtin",
        "dim": 384,
        "kind": "exact",
        "failed": 1,
        "coverage": 12 / 13,
        "roots": [
            {"path": str(home / "photos"), "name": "photos", "reachable": True, "images": 12}
        ],
        "job": None,
    }
    assert client.get("/api/indexes/nowhere").status_code == 404


def test_files_that_could_not_be_read(client: TestClient, home: Path) -> None:
    answer = client.get("/api/indexes/index/failures").json()
    assert answer["total"] == 1
    assert answer["failures"][0]["path"] == str(home / "photos" / "a" / "broken.jpg")
    assert answer["failures"][0]["reason"]
    assert client.get("/api/indexes/index/failures?offset=1").json()["failures"] == []
    assert client.get("/api/indexes/index/failures?limit=0").status_code == 422
    assert client.get("/api/indexes/index/failures?offset=-1").status_code == 422


def small_app(home: Path) -> FastAPI:
    fill(home / "photos", 2)
    with SearchEngine.open(home / "index") as engine:
        engine.index(home / "photos")
    return create_app({"it": home / "index"}, Settings(cache=home), "cpu")


def test_a_drive_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    app = small_app(tmp_path)
    with Index.open(tmp_path / "index") as index:
        write_as_cluster(index, "s3://bucket/photos", "1.jpg", jpeg(9))
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with client_of(app) as client:
        answer = client.get("/api/indexes/it").json()
        told = [(root["reachable"], root["images"]) for root in answer["roots"]]
        assert told == [(False, 2), (None, 1)]
        assert client.post("/api/search", json={"text": "sea"}).json()["total"] == 3
    app.state.library.close()


def test_an_index_that_cannot_be_read_hides_no_other(tmp_path: Path, home: Path) -> None:
    app = create_app({"a": tmp_path, "b": home / "other"}, Settings(cache=tmp_path), "cpu")
    with client_of(app) as client:
        listed = client.get("/api/indexes").json()["indexes"]
        assert [(each["name"], each["images"]) for each in listed] == [("a", None), ("b", 2)]
        for answer in (client.get("/api/indexes/a"), client.post("/api/search", json={})):
            assert answer.status_code == 503
            assert "is not an index" in answer.json()["detail"]
            assert answer.headers["retry-after"]
    app.state.library.close()


def test_an_index_that_was_made_anew_is_opened_again(tmp_path: Path) -> None:
    app = small_app(tmp_path)
    with client_of(app) as client:
        assert client.get("/api/indexes/it").json()["images"] == 2
        shutil.rmtree(tmp_path / "index")
        assert client.get("/api/indexes/it").status_code == 503
        with SearchEngine.open(tmp_path / "index"):
            pass
        assert client.get("/api/indexes/it").json()["images"] == 0
    app.state.library.close()
