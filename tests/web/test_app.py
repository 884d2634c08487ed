"""The application as a whole."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from searchengine.web.app import create_app
from searchengine.web.page import STATIC
from searchengine.web.settings import Settings
from tests.web.conftest import ADDRESS

PROMISED = {
    ("get", "/api/health"),
    ("get", "/api/indexes"),
    ("get", "/api/indexes/{name}"),
    ("get", "/api/indexes/{name}/failures"),
    ("get", "/api/search"),
    ("post", "/api/search"),
    ("post", "/api/similar"),
    ("post", "/api/uploads"),
    ("get", "/api/uploads/{key}"),
    ("get", "/api/images/{image_id}"),
    ("get", "/api/images/{image_id}/thumbnail"),
    ("get", "/api/images/{image_id}/original"),
    ("post", "/api/facets"),
    ("post", "/api/jobs"),
    ("get", "/api/jobs/{job_id}"),
    ("delete", "/api/jobs/{job_id}"),
    ("get", "/api/jobs/{job_id}/events"),
    ("get", "/api/session"),
    ("post", "/api/login"),
    ("post", "/api/logout"),
}


class Links(HTMLParser):
    """What a page loads, and whether anything stands in it that its policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loaded += [str(given[key]) for key in ("src", "href") if given.get(key)]
        if "style" in given or any(name.startswith("on") for name in given) or tag == "style":
            self.forbidden.append(tag)
        if tag == "script" and "src" not in given:
            self.forbidden.append(tag)


def test_the_api_is_what_was_promised(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {(method, path) for path, methods in paths.items() for method in methods} >= PROMISED


def test_the_page_and_all_that_it_loads_is_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    links = Links()
    links.feed(page.text)
    assert links.forbidden == []
    local = [each for each in links.loaded if not each.startswith(("data:", "#"))]
    assert local
    for each in local:
        assert client.get(each).status_code == 200, each


def test_modules_are_sent_as_scripts_and_asked_for_anew(client: TestClient) -> None:
    scripts = list(STATIC.glob("*.js"))
    assert scripts
    response = client.get(f"/static/{scripts[0].name}")
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["cache-control"] == "no-cache"
    etag = response.headers["etag"]
    again = client.get(f"/static/{scripts[0].name}", headers={"if-none-match": etag})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/nothing"])
def test_what_is_not_there_is_a_problem(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (400, 404)
    assert response.headers["content-type"] == "application/problem+json"


def test_every_answer_has_the_headers_of_the_guard(client: TestClient) -> None:
    for path in ("/", "/api/health", "/nothing", "/static/nothing.js", "/api/images/999"):
        assert "default-src 'none'" in client.get(path).headers["content-security-policy"]
    assert client.get("/api/health", headers={"host": "evil.example"}).status_code == 403


def test_started_it_is_warm_and_counts_what_it_does(home: Path, tmp_path: Path) -> None:
    app = create_app({"other": home / "other"}, Settings(cache=tmp_path), "cpu")
    with TestClient(app, base_url=ADDRESS) as client:
        ends = time.monotonic() + 10
        while not app.state.library.engine()._encoders and time.monotonic() < ends:
            time.sleep(0.01)
        assert app.state.library.engine()._encoders
        client.post("/api/search", json={"text": "sea"})
        assert 'route="/api/search"' in client.get("/metrics").text
