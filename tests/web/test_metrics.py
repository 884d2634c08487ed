from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from starlette.staticfiles import StaticFiles

from searchengine.errors import IndexFolderError
from searchengine.web import metrics, problems
from searchengine.web.guard import Guard
from searchengine.web.overload import limiter
from tests.web.doors import ADDRESS, settings


class Shelf:
    names = ("holiday", "broken", "gone")

    def engine(self, name: str) -> Any:
        if name == "broken":
            raise IndexFolderError("it cannot be read")
        if name == "gone":
            raise FileNotFoundError(name)
        return SimpleNamespace(catalog=SimpleNamespace(count=1234))


def counted() -> FastAPI:
    app = FastAPI()
    app.state.library, app.state.settings = Shelf(), settings()
    problems.install(app)
    app.include_router(metrics.router)
    images = APIRouter(prefix="/api")

    @images.get("/images/{image_id}")
    def image(image_id: int) -> int:
        if image_id == 13:
            raise RuntimeError("a bug")
        return image_id

    app.include_router(images)
    app.mount("/static", StaticFiles(packages=[("searchengine", "models")], check_dir=False))
    app.add_middleware(Guard, settings=app.state.settings)
    metrics.install(app)
    return app


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    reply = client.get("/metrics")
    assert reply.status_code == 200
    return {
        (each.name, *(value for _, value in sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(reply.text)
        for each in family.samples
    }


def test_requests_are_counted_by_route_method_and_status() -> None:
    client = TestClient(counted(), ADDRESS)
    for image_id in (1, 2, 3, 13, "x"):
        client.get(f"/api/images/{image_id}")
    client.post("/api/images/1")
    found = samples(client)
    route = "/api/images/{image_id}"
    name = "searchengine_requests_total"
    assert found[name, "GET", route, "200"] == 3
    assert found[name, "GET", route, "500"] == 1
    assert found[name, "GET", route, "422"] == 1
    assert found[name, "POST", route, "405"] == 1
    assert found["searchengine_request_seconds_count", route] == 6
    assert found["searchengine_request_seconds_sum", route] > 0


def test_refusals_are_counted_too() -> None:
    client = TestClient(counted(), ADDRESS)
    client.get("/metrics", headers={"host": "evil.example"})
    assert samples(client)["searchengine_requests_total", "GET", "none", "403"] == 1


def test_what_a_client_invents_does_not_become_a_label() -> None:
    client = TestClient(counted(), ADDRESS)
    for n in range(30):
        client.get(f"/nothing/{n}")
        client.get(f"/static/{n}.js")
        client.request(f"METHOD{n}", f"/api/images/{n}")
        client.get("/", headers={"host": f"evil{n}.example"})
    text = client.get("/metrics").text
    labels = set(re.findall(r"searchengine_requests_total\{(.*?)\} ", text))
    assert len(labels) == 4  # unknown, static, refused, and another method
    assert not re.search(r"nothing|evil|METHOD|\.js", text)


def test_the_work_under_way_is_told() -> None:
    app = counted()
    slots = limiter(app)
    slots.running, slots.waiting, slots.refused = 2, 3, 4
    found = samples(TestClient(app, ADDRESS))
    assert found["searchengine_searches_in_flight",] == 2
    assert found["searchengine_searches_waiting",] == 3
    assert found["searchengine_searches_refused_total",] == 4


def test_an_index_that_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    found = samples(TestClient(counted(), ADDRESS))
    images = {key[1]: value for key, value in found.items() if key[0] == "searchengine_images"}
    assert images == {"holiday": 1234}
    assert "broken" in caplog.text


def test_the_process_is_told() -> None:
    found = samples(TestClient(counted(), ADDRESS))
    assert found["process_resident_memory_bytes",] > 0


def test_two_applications_count_apart() -> None:
    one, other = TestClient(counted(), ADDRESS), TestClient(counted(), ADDRESS)
    one.get("/api/images/1")
    assert not any("/api/images/{image_id}" in key for key in samples(other))


def test_metrics_need_the_token_and_are_plain_text() -> None:
    app = FastAPI()
    app.state.library, app.state.settings = Shelf(), settings(token="x" * 20)
    app.include_router(metrics.router)
    app.add_middleware(Guard, settings=app.state.settings)
    metrics.install(app)
    client = TestClient(app, ADDRESS)
    assert client.get("/metrics").status_code == 401
    reply = client.get("/metrics", headers={"authorization": f"Bearer {'x' * 20}"})
    assert reply.headers["content-type"].startswith("text/plain; version=")
