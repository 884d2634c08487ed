from __future__ import annotations

import json
import logging
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from searchengine import errors
from searchengine.web import problems
from searchengine.web.problems import Problem
from tests.web.doors import ADDRESS, ask


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    min_width: Annotated[int, Field(ge=1)] = 1


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(max_length=10)]
    filters: Filters = Filters()
    more: list[int] = []


def failing(error: BaseException | None = None) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/fail")
    def fail() -> None:
        if error is not None:
            raise error

    @app.post("/query")
    def query(body: Query, limit: Annotated[int, Field(ge=1)] = 1) -> None:
        pass

    return app


def get(error: BaseException) -> Any:
    return TestClient(failing(error), ADDRESS, raise_server_exceptions=False).get("/fail")


def post(body: Any, path: str = "/query") -> Any:
    return TestClient(failing(), ADDRESS).post(
        path, content=body, headers={"content-type": "application/json"}
    )


def test_a_problem_is_a_document_with_the_words_given() -> None:
    reply = get(Problem(410, "it is gone", headers={"Retry-After": "1"}, more={"key": "é"}))
    assert reply.status_code == 410
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "1"
    assert reply.json() == {
        "type": "about:blank",
        "title": "Gone",
        "status": 410,
        "detail": "it is gone",
        "key": "é",
    }


def test_a_problem_without_words_has_the_words_of_its_status() -> None:
    assert Problem(404).detail == "Not Found"
    assert Problem(404, title="No such image").detail == "No such image"
    assert Problem(799).title == "Error"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.QueryError, 400),
        (errors.ImageError, 400),
        (errors.IndexFolderError, 503),
        (errors.IndexChangedError, 503),
        (errors.IndexModelError, 503),
        (errors.ModelError, 503),
    ],
)
def test_errors_of_the_engine_say_in_its_words_what_to_do(
    error: type[errors.SearchEngineError], status: int
) -> None:
    reply = get(error("what, where, what to do"))
    assert reply.status_code == status
    assert reply.json()["detail"] == "what, where, what to do"
    assert ("retry-after" in reply.headers) == (status == 503)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("/home/ann/secret"),
        OSError(2, "no", "/home/ann/secret"),
        errors.TrainingError("/home/ann/secret"),
        errors.SearchEngineError("/home/ann/secret"),
        UnicodeEncodeError("utf-8", "/home/ann/secret\ud800", 16, 17, "no"),
        RecursionError("/home/ann/secret"),
        MemoryError("/home/ann/secret"),
    ],
)
def test_whatever_is_not_expected_tells_nothing_and_is_logged_with_its_trace(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reply = get(error)
    assert reply.status_code == 500
    assert reply.json()["title"] == "Internal Server Error"
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert type(error).__name__ not in reply.text
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert record.exc_info
    assert record.exc_info[1] is error
    assert "def fail" not in reply.text


def test_an_answer_that_began_is_cut_off_rather_than_mended() -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        ask(problems.LastResort(breaking))


def test_nobody_is_told_of_an_error_after_the_client_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def left(scope: Any, receive: Any, send: Any) -> None:
        raise ClientDisconnect

    assert ask(problems.LastResort(left)).messages == []
    assert not caplog.records


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (
            '{"text": "a", "filters": {"min_width": 0}}',
            "filters.min_width",
            "greater than or equal",
        ),
        ('{"text": "a", "filters": {"widht": 1}}', "filters.widht", "Extra inputs"),
        ('{"text": "a", "more": [1, "x"]}', "more.1", "valid integer"),
        ('{"text": "12345678901"}', "text", "at most 10 characters"),
        ("{}", "text", "required"),
        ("[]", "body", "valid"),
        ("", "body", "required"),
        ('{"text": ', "body", "not JSON: Expecting value (character 9)"),
    ],
)
def test_a_body_that_does_not_fit_names_the_field_and_what_is_wrong(
    body: str, field: str, message: str
) -> None:
    reply = post(body)
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json()
    assert document["errors"][0]["field"] == field
    assert message in document["errors"][0]["message"]
    assert document["detail"] == f"{field}: {document['errors'][0]['message']}"


def test_a_parameter_that_does_not_fit_is_named_too() -> None:
    assert post('{"text": "a"}', "/query?limit=0").json()["detail"].startswith("limit: ")


def test_many_errors_are_counted_and_few_are_shown() -> None:
    document = post(json.dumps({"text": "a", "more": ["x"] * 500})).json()
    assert len(document["errors"]) == 10
    assert document["detail"].endswith("(and 499 more)")


def test_a_long_name_is_shortened_and_stays_on_one_line() -> None:
    document = post(json.dumps({"text": "a", "x\n" * 5000: 1})).json()
    assert len(document["detail"]) < 500
    assert "\n" not in document["detail"]


@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
def test_whatever_text_comes_in_the_answer_can_be_sent(name: str, value: str) -> None:
    body = json.dumps({"text": value, name: value, "filters": {name: 1}})
    assert post(body).status_code in (200, 422)


def test_errors_of_the_framework_are_problems_too() -> None:
    client = TestClient(failing(HTTPException(418, "a teapot", {"X-Kind": "tea"})), ADDRESS)
    teapot = client.get("/fail")
    assert (teapot.status_code, teapot.json()["detail"]) == (418, "a teapot")
    assert teapot.headers["x-kind"] == "tea"
    missing = client.get("/nothing").json()
    assert (missing["status"], missing["title"]) == (404, "Not Found")
    assert missing["detail"].startswith("there is nothing at this address")
    wrong = client.put("/fail")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert wrong.json()["status"] == 405


def test_a_refusal_of_a_route_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    get(Problem(413, "too large"))
    assert "refused /fail from testclient: 413, too large" in caplog.text
    caplog.clear()
    get(Problem(404, "not here"))
    assert "refused" not in caplog.text
