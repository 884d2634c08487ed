"""Of which kinds there are images."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from searchengine.types import Facets
from searchengine.web.facets import _reply


def test_all_images_by_kind(client: TestClient, home: Path) -> None:
    answer = client.post("/api/facets", json={}).json()
    photos = home / "photos"
    assert answer == {
        "total": 12,
        "months": [{"value": "2024-07", "count": 2}, {"value": "2023-12", "count": 1}],
        "cameras": [{"value": "Nikon D90", "count": 3}],
        "types": [{"value": "JPEG", "count": 12}],
        "folders": [
            {"value": f"{photos}/a", "name": "a", "count": 8},
            {"value": f"{photos}/trip", "name": "trip", "count": 3},
            {"value": f"{photos}/caf\udce9", "name": "caf\udce9", "count": 1},
        ],
        "places": [{"latitude": 48.2, "longitude": 16.4, "count": 3}],
        "placed": 3,
    }


def test_only_images_that_pass_the_filters_count(client: TestClient) -> None:
    asked = {"filters": {"after": "2024", "folder": "trip"}}
    answer = client.post("/api/facets", json=asked).json()
    assert (answer["total"], answer["months"][0]["count"], answer["placed"]) == (2, 2, 2)
    none = client.post("/api/facets", json={"filters": {"camera": "leica"}}).json()
    assert (none["total"], none["folders"], none["places"]) == (0, [], [])


def test_of_the_index_that_is_named(client: TestClient) -> None:
    assert client.post("/api/facets", json={"index": "other"}).json()["total"] == 2
    assert client.post("/api/facets", json={"index": "nowhere"}).status_code == 404


def test_what_is_no_filter_is_refused(client: TestClient) -> None:
    for filters in ({"colour": "red"}, {"orientation": "round"}, {"captioned": "yes"}):
        assert client.post("/api/facets", json={"filters": filters}).status_code == 422
    response = client.post("/api/facets", json={"filters": {"types": ["docx"]}})
    assert (response.status_code, "docx" in response.json()["detail"]) == (400, True)


def test_there_are_at_most_fifty_places() -> None:
    places = {(float(n), 0.0): 1 for n in range(80)}
    assert len(_reply(Facets(80, {}, {}, {}, {}, 80, places))["places"]) == 50


def test_a_root_of_the_file_system_has_a_name() -> None:
    assert _reply(Facets(1, {}, {}, {}, {"/": 1}, 0, {}))["folders"][0].get("name") == "/"
