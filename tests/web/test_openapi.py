"""The API keeps what its own description promises, whatever is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks
from starlette.types import ASGIApp, Receive, Scope, Send

from searchengine.web import job_board
from searchengine.web.app import create_app
from searchengine.web.settings import Settings
from tests.web.conftest import ADDRESS

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
IMAGES = 12


def bounded(examples: int) -> settings:
    """As many examples a route, besides those that probe each bound of its description."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


class _Run:
    """In the place of an indexing process, for a thousand jobs."""

    pid = 1

    def __init__(self, *_: object) -> None:
        self.messages = lambda: iter([{"done": 1, "total": 1}, {"error": "there is no room"}])

    def stop(self) -> None:
        """There is nothing to stop."""

    kill = stop
    wait = stop


schema = schemathesis.openapi.from_dict(
    create_app({"index": Path("unused")}, Settings(cache=Path("unused"))).openapi()
)


@pytest.fixture
def door(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> ASGIApp:
    """The application, which is not started: nothing runs beside the requests."""
    monkeypatch.setattr(job_board, "IndexingProcess", _Run)

    async def unstarted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    return unstarted


@pytest.mark.slow
@schema.parametrize()
@bounded(25)
def test_every_answer_is_as_described(case: Case, door: ASGIApp) -> None:
    _check(case, door)


@schema.include(method="GET").parametrize()
@bounded(1)
def test_what_is_only_looked_at_is_as_described(case: Case, door: ASGIApp) -> None:
    _check(case, door)


def _check(case: Case, door: ASGIApp) -> None:
    _aim(case)
    with asgi.get_client(door) as client:
        answer = case.call(base_url=ADDRESS, session=client)
        # To refuse a long address as such, whatever is in it, is to refuse what is wrong in it.
        unasked = [checks.negative_data_rejection] if answer.status_code == 414 else []
        case.validate_response(answer, checks=CHECKS, excluded_checks=unasked)


def _aim(case: Case) -> None:
    """Mean images that there are, in a request that is valid: of all ids hardly any is one's."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if "image_id" in case.path_parameters:
        case.path_parameters["image_id"] = _one_of_ours(case.path_parameters["image_id"])
    body = case.body if isinstance(case.body, dict) else {}
    for name in ("more", "less"):
        if name in body:
            body[name] = [_one_of_ours(each) for each in body[name]]
    for part in (*body.get("plus", ()), *body.get("minus", ())):
        if "id" in part:
            part["id"] = _one_of_ours(part["id"])


def _one_of_ours(number: int | str) -> int:
    return 1 + int(number) % IMAGES  # as text where it comes from a path
