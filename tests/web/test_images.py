"""What is known of an image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from searchengine.types import ImageFile, ImageInfo, IndexedImage
from searchengine.web.images import _reply


def test_all_that_is_known_of_an_image(client: TestClient, home: Path) -> None:
    path = home / "photos" / "trip" / "0.jpg"
    answer = client.get("/api/images/10").json()
    assert answer.pop("modified_at").endswith("+00:00")
    assert answer == {
        "id": 10,
        "path": str(path),
        "root": str(home / "photos"),
        "folder": "trip",
        "name": "0.jpg",
        "bytes": os.path.getsize(path),
        "format": "JPEG",
        "width": 96,
        "height": 64,
        "taken_at": "2024-07-02T09:00:00",
        "camera": "Nikon D90",
        "lens": None,
        "latitude": 48.2,
        "longitude": 16.4,
        "captions": ["a red boat", "dusk"],
    }


def test_an_image_that_says_nothing_and_whose_path_is_not_utf_8(client: TestClient) -> None:
    answer = client.get("/api/images/9").json()
    assert (answer["folder"], answer["name"]) == ("caf\udce9", "0030.jpg")
    assert (answer["taken_at"], answer["camera"], answer["captions"]) == (None, None, [])


def test_of_the_index_that_is_named(client: TestClient, home: Path) -> None:
    answer = client.get("/api/images/1?index=other").json()
    assert answer["path"] == str(home / "others" / "0050.jpg")
    assert client.get("/api/images/3?index=other").status_code == 404
    assert client.get("/api/images/3?index=nowhere").status_code == 404


@pytest.mark.parametrize("number", ["13", str(2**63 - 1)])
def test_there_is_no_such_image(client: TestClient, number: str) -> None:
    response = client.get(f"/api/images/{number}")
    assert response.status_code == 404
    assert number in response.json()["detail"]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", str(2**63), "%00"])
def test_what_is_no_id_is_refused(client: TestClient, number: str) -> None:
    assert client.get(f"/api/images/{number}").status_code in (404, 422)


@pytest.mark.parametrize("mtime_ns", [2**63 - 1, -(2**63), 0, -1])
def test_any_time_that_a_file_system_gives_can_be_told(mtime_ns: int) -> None:
    image = IndexedImage(1, ImageFile("/a", "b.jpg", 1, mtime_ns), ImageInfo(1, 1, "JPEG"))
    assert "modified_at" in _reply(image, ())
