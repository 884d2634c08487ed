"""An index of real pictures, served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from starlette.testclient import TestClient

from searchengine import SearchEngine
from searchengine.index import Changes, Index
from searchengine.web.app import create_app
from searchengine.web.settings import Settings
from tests.pictures import fill, picture

ADDRESS = "http://127.0.0.1:8765"
DATES = ("2024:07:02 09:00:00", "2024:07:01 10:00:00", "2023:12:24 18:00:00")


def with_exif(path: Path, number: int, date: str) -> None:
    """A picture that says when, where and with what it was taken."""
    exif = Image.Exif()
    exif.update({Base.Make: "Nikon", Base.Model: "Nikon D90"})
    exif.get_ifd(IFD.Exif).update({Base.DateTimeOriginal: date})
    exif.get_ifd(IFD.GPSInfo).update(
        {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (48.0, 12.0, 0.0)}
        | {GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (16.0, 24.0, 0.0)}
    )
    picture(number).save(path, exif=exif)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with 12 pictures and a broken file, their `index/`, and an `other/` index of 2.

    Ids follow the paths: 1 to 8 are of `photos/a`, 9 is `photos/caf\\udce9/0030.jpg`, 10 to 12 are
    of `photos/trip` and dated, the newest first.
    """
    home = tmp_path_factory.mktemp("web")
    fill(home / "photos" / "a", 8)
    (home / "photos" / "a" / "broken.jpg").write_text("not a picture")
    fill(home / "photos" / "caf\udce9", 1, first=30)
    (home / "photos" / "trip").mkdir()
    for number, date in enumerate(DATES):
        with_exif(home / "photos" / "trip" / f"{number}.jpg", 40 + number, date)
    fill(home / "others", 2, first=50)
    for name, photos in (("index", "photos"), ("other", "others")):
        with SearchEngine.open(home / name) as engine:
            engine.index(home / photos)
    with Index.open(home / "index") as index:
        index.write(Changes(captions={10: ("a red boat", "dusk")}))
    return home


@pytest.fixture(scope="session")
def app(home: Path) -> Iterator[FastAPI]:
    """The application over both indexes; it is not warmed."""
    folders = {"index": home / "index", "other": home / "other"}
    app = create_app(folders, Settings(cache=home / "cache"), "cpu")
    yield app
    app.state.library.close()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client on this machine."""
    with client_of(app) as client:
        yield client


@contextmanager
def client_of(app: FastAPI) -> Iterator[TestClient]:
    """A client of an application that is not started: nothing runs beside the requests."""
    client = TestClient(app, base_url=ADDRESS, raise_server_exceptions=False)
    try:
        yield client
    finally:
        client.close()


def found(client: TestClient, **asked: Any) -> dict[str, Any]:
    """The answer to a search."""
    content = json.dumps(asked)  # in ASCII: a folder's name need not be UTF-8
    headers = {"content-type": "application/json"}
    response = client.post("/api/search", content=content, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ids(answer: dict[str, Any]) -> list[int]:
    """The ids of an answer's hits."""
    return [hit["id"] for hit in answer["hits"]]
