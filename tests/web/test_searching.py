"""Searching over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient

from searchengine import SearchEngine
from searchengine.web.app import create_app
from searchengine.web.overload import limiter
from searchengine.web.settings import Settings
from tests.pictures import fill, jpeg
from tests.web.conftest import client_of, found, ids


def pages(client: TestClient, **asked: Any) -> list[dict[str, Any]]:
    answers = [found(client, **asked)]
    while answers[-1]["next"]:
        answers.append(found(client, **asked, cursor=answers[-1]["next"]))
    return answers


def test_a_text_is_answered_as_the_engine_does(client: TestClient, home: Path) -> None:
    answer = found(client, text="a red boat", limit=5)
    with SearchEngine.open(home / "index") as engine:
        hits = engine.search("a red boat", k=5)
    assert ids(answer) == [hit.id for hit in hits]
    first = answer["hits"][0]
    assert (first["rank"], first["id"], first["relevance"]) == (1, 10, "strong")
    assert first["matched"] == ["caption"]
    assert (first["name"], first["path"]) == ("0.jpg", str(home / "photos" / "trip" / "0.jpg"))
    assert (first["width"], first["height"]) == (96, 64)
    assert first["taken_at"] == "2024-07-02T09:00:00"
    assert first["score"] == round(hits[0].score, 6)
    assert "group" not in first
    assert (answer["judged"], answer["good_match"], answer["total"]) == (True, True, 12)
    assert (answer["query"], answer["found"]) == ("a red boat", None)


def test_the_same_by_get_and_in_the_index_that_is_named(client: TestClient) -> None:
    body = found(client, text="sea -snow", limit=3)
    answer = client.get("/api/search", params={"q": "sea -snow", "limit": 3}).json()
    assert (answer["hits"], answer["query"]) == (body["hits"], "sea - snow")
    other = client.get("/api/search", params={"q": "sea", "index": "other"}).json()
    assert (other["total"], len(other["hits"])) == (2, 2)


@pytest.mark.parametrize(
    "asked",
    [
        {"text": "a red boat"},
        {"text": "sea -snow", "sort": "date"},
        {"text": "a red boat", "min_relevance": "likely"},
        {"plus": [{"id": 3}], "group": "folder"},
        {"plus": [{"id": 3}], "sort": "date", "group": "day"},
        {"text": "sea", "diverse": True, "collapse": False},
        {"text": "sea", "filters": {"folder": "a"}},
        {},
        {"group": "folder"},
        {"filters": {"types": ["jpg"], "min_width": 10}},
    ],
)
def test_pages_joined_are_one_long_page(client: TestClient, asked: dict[str, Any]) -> None:
    whole = found(client, **asked, limit=200)
    assert whole["next"] is None
    joined = pages(client, **asked, limit=2)
    assert [hit for page in joined for hit in page["hits"]] == whole["hits"]
    assert {page["good_match"] for page in joined} == {whole["good_match"]}
    assert {page["total"] for page in joined} == {whole["total"]}


def test_a_deep_page_does_not_rank_everything_anew(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    search = SearchEngine.search

    def counted(self: SearchEngine, text: str | None, k: int, **options: Any) -> Any:
        asked.append(k)
        return search(self, text, k, **options)

    monkeypatch.setattr(SearchEngine, "search", counted)
    assert len(pages(client, text="a deep sea", limit=1)) == 12
    assert asked == [11, 22]  # all but one, as if there were many; then the rest


def test_nothing_asked_is_all_images_the_newest_first(client: TestClient) -> None:
    answer = found(client)
    assert answer["total"] == len(answer["hits"]) == 12
    assert sorted(ids(answer)) == list(range(1, 13))
    dated = [hit["taken_at"] for hit in answer["hits"] if hit["taken_at"]]
    assert dated == sorted(dated, reverse=True)
    assert ids(answer)[-3:] == [10, 11, 12]  # the others are as new as their files
    assert {(hit["score"], hit["relevance"]) for hit in answer["hits"]} == {(None, None)}
    assert [hit["rank"] for hit in answer["hits"]] == list(range(1, 13))
    assert (answer["judged"], answer["good_match"], answer["found"]) == (False, None, None)
    filtered = found(client, filters={"folder": "trip", "after": "2024"})
    assert (ids(filtered), filtered["total"]) == ([10, 11], 2)


def test_browsed_images_come_in_days_and_folders(client: TestClient, home: Path) -> None:
    days = [hit["group"] for hit in found(client, group="day")["hits"]]
    assert days == sorted(days, reverse=True)
    assert days[-3:] == ["2024-07-02", "2024-07-01", "2023-12-24"]
    folders = [hit["group"] for hit in found(client, group="folder")["hits"]]
    photos = home / "photos"
    assert folders == [f"{photos}/a"] * 8 + [f"{photos}/caf\udce9"] + [f"{photos}/trip"] * 3


def test_by_date_and_in_groups_only_good_hits_take_part(client: TestClient) -> None:
    answer = found(client, text="a red boat", sort="date", group="day")
    assert ids(answer) == [10]
    assert (answer["hits"][0]["group"], answer["found"]) == ("2024-07-02", 1)
    none = found(client, text="a zeppelin", sort="date")
    assert (none["hits"], none["found"], none["good_match"]) == ([], 0, False)
    like = found(client, plus=[{"id": 10}], sort="date")  # of a picture nothing is judged
    assert (ids(like)[:2], like["found"], like["judged"]) == ([11, 12], 11, False)


def test_hits_below_a_relevance_are_left_out_and_counted(client: TestClient) -> None:
    answer = found(client, text="a red boat", min_relevance="strong")
    assert (ids(answer), answer["found"], answer["total"]) == ([10], 1, 12)
    none = found(client, text="a zeppelin", min_relevance="likely")
    assert (none["hits"], none["found"], none["good_match"]) == ([], 0, False)


def test_a_picture_says_nothing_of_relevance(client: TestClient) -> None:
    answer = found(client, plus=[{"id": 3}], minus=[{"id": 4, "weight": 0.5}], limit=3)
    assert (answer["judged"], answer["good_match"]) == (False, None)
    assert not {3, 4} & set(ids(answer))
    assert answer["query"] == "id:3 - 0.5:id:4"


def test_quotation_marks_and_filters(client: TestClient) -> None:
    assert ids(found(client, text='"0003"')) == [4]
    assert ids(found(client, text="sea", filters={"camera": "nikon", "before": "2024"})) == [12]
    near = {"latitude": 48.2, "longitude": 16.4, "km": 5}
    assert len(ids(found(client, text="sea", filters={"near": near}))) == 3
    folder = found(client, group="folder")["hits"][8]["group"]  # its name is not UTF-8
    assert ids(found(client, filters={"folder": folder})) == [9]


def test_a_cursor_of_another_search_is_refused(client: TestClient) -> None:
    cursor = found(client, text="sea", limit=2)["next"]
    for asked in (
        {"text": "seas"},
        {"text": "sea", "sort": "date"},
        {},
        {"text": "sea", "raw": True},
    ):
        response = client.post("/api/search", json={**asked, "cursor": cursor})
        assert response.status_code == 400
        assert "cursor" in response.json()["detail"]
    assert client.post("/api/search", json={"cursor": "%%%"}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "5"},
        {"colour": "red"},
        {"text": "x" * 20_001},
        {"plus": [{"text": "x"}] * 33},
        {"plus": [{}]},
        {"plus": [{"text": "x", "id": 1}]},
        {"plus": [{"text": " "}]},
        {"plus": [{"id": 0}]},
        {"plus": [{"id": 2**63}]},
        {"plus": [{"id": True}]},
        {"plus": [{"upload": "../../etc/passwd"}]},
        {"minus": [{"text": "x", "weight": 0}]},
        {"more": [1] * 65},
        {"filters": {"near": {"latitude": 91, "longitude": 0, "km": 1}}},
        {"filters": {"after": "yesterday"}},
        {"filters": {"folder": ""}},
        {"filters": {"folder": "a\0b"}},
        {"filters": {"min_width": -1}},
        {"sort": "size"},
        [],
        None,
    ],
)
def test_bodies_that_do_not_fit_are_refused(client: TestClient, body: object) -> None:
    response = client.post("/api/search", json=body)
    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_are_finite(client: TestClient, number: str) -> None:
    body = f'{{"plus": [{{"text": "x", "weight": {number}}}]}}'
    response = client.post(
        "/api/search", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 422


def test_the_engines_words_are_the_detail(client: TestClient) -> None:
    gone = client.post("/api/search", json={"plus": [{"id": 999}]})
    assert (gone.status_code, "no image 999" in gone.json()["detail"]) == (400, True)
    parts = [{"text": "dog"}, {"text": "dog"}]
    nowhere = client.post("/api/search", json={"text": "x", "index": "nowhere"})
    assert (nowhere.status_code, "nowhere" in nowhere.json()["detail"]) == (404, True)
    assert client.post("/api/search", json={"plus": parts}).status_code == 200


def test_a_picture_that_is_sent_is_an_example(client: TestClient) -> None:
    headers = {"content-type": "image/jpeg"}
    answer = client.post("/api/similar?limit=2", content=jpeg(3), headers=headers).json()
    assert ids(answer)[0] == 4
    assert answer["query"] == "a picture"
    more = client.post(
        "/api/similar", params={"cursor": answer["next"]}, content=jpeg(3), headers=headers
    )
    assert more.json()["hits"][0]["rank"] == 3
    broken = client.post("/api/similar", content=b"not a picture", headers=headers)
    assert broken.status_code in (400, 415)


def test_an_uploaded_picture_is_an_example(client: TestClient) -> None:
    headers = {"content-type": "image/jpeg"}
    key = client.post("/api/uploads", content=jpeg(3), headers=headers).json()["key"]
    assert ids(found(client, plus=[{"upload": key}], text="sea", semantic_only=True, limit=1))
    gone = client.post("/api/search", json={"plus": [{"upload": "0" * 32}]})
    assert gone.status_code == 410


def test_marks_are_passed_on(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[tuple[object, object]] = []
    search = SearchEngine.search

    def noted(self: SearchEngine, *asked: Any, **options: Any) -> Any:
        passed.append((options["more"], options["less"]))
        return search(self, *asked, **options)

    monkeypatch.setattr(SearchEngine, "search", noted)
    found(client, text="marked sea")
    marked = found(client, text="marked sea", more=[2, 3], less=[5])
    assert passed == [((), ()), ((2, 3), (5,))]
    assert sorted(ids(marked)) == list(range(1, 13))
    for body in ({"more": [2]}, {"text": "sea", "more": [2], "less": [2]}):
        assert client.post("/api/search", json=body).status_code == 400


def test_a_change_of_the_index_is_seen_by_a_new_search_but_not_by_the_next_page(
    tmp_path: Path,
) -> None:
    fill(tmp_path / "photos", 6)
    app = create_app({"it": tmp_path / "index"}, Settings(cache=tmp_path), "cpu")
    with SearchEngine.open(tmp_path / "index") as engine, client_of(app) as client:
        engine.index(tmp_path / "photos")
        for asked in ({"text": "sea"}, {}):
            first = found(client, **asked, limit=2)
            before = found(client, **asked)
            number = 20 + len(asked)
            fill(tmp_path / "photos", 1, first=number)
            engine.index(tmp_path / "photos")
            later = found(client, **asked, limit=4, cursor=first["next"])
            assert ids(first) + ids(later) == ids(before)[:6]
            after = found(client, **asked)
            assert len(after["hits"]) == len(before["hits"]) + 1
            assert after["version"] != before["version"]
        app.state.library.close()


def test_what_is_known_does_not_wait_for_searches(home: Path) -> None:
    app = create_app(
        {"index": home / "index"}, Settings(cache=home / "cache", concurrency=1, waiting=0), "cpu"
    )
    with client_of(app) as client:
        first = found(client, text="a red boat", limit=5)
        browsed = found(client, limit=5)
        limiter(app)._slots = anyio.Semaphore(0)  # somebody has them all
        assert ids(found(client, text="a red boat", limit=5)) == ids(first)
        assert ids(found(client, limit=5)) == ids(browsed)
        following = found(client, text="a red boat", limit=5, cursor=first["next"])
        assert [hit["rank"] for hit in following["hits"]] == [6, 7, 8, 9, 10]
        for asked in ({"text": "a blue boat"}, {"filters": {"types": ["JPEG"]}}):
            assert client.post("/api/search", json=asked).status_code == 503
    app.state.library.close()
