"""Errors over HTTP: one JSON document of RFC 9457 for each, with the engine's own words."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchengine.errors import (
    ImageError,
    IndexChangedError,
    IndexFolderError,
    IndexModelError,
    ModelError,
    QueryError,
    SearchEngineError,
)

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("searchengine.web")
_UNKNOWN = "something went wrong in the server; its log says what"
_REFUSALS = {401, 403, 413, 429}
_FRAMEWORK = {
    404: "there is nothing at this address; the addresses are in /api/openapi.json",
    405: "this address does not take this method; Allow has those that it takes",
}
_ERRORS_SHOWN = 10  # of one request body
_LONGEST = 200  # characters of a field's name or of a message about it
_PLACES = {"body", "query", "path", "header", "cookie"}


class Problem(Exception):  # noqa: N818  (RFC 9457's own word)
    """An answer that is an error.

    `detail` is one line that says what, where, and what to do next; `title` is the status's own
    phrase where none is given; `headers` go out with the answer; `more` are further members of the
    document.
    """

    is_refusal = False
    """Whether somebody may be trying what should not be; it is logged."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        title: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ):
        super().__init__(detail)
        self.status = status
        self.title = title or _phrase(status)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self) -> Response:
        """The answer that tells of it; plain ASCII, so that any text in it can be sent."""
        document = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        return Response(json.dumps(document), self.status, self.headers, MEDIA_TYPE)


def of_error(error: SearchEngineError) -> Problem:
    """The problem that an error of the engine is; what is nobody's to know is logged instead."""
    if isinstance(error, QueryError | ImageError):
        return Problem(400, str(error))
    if isinstance(error, IndexFolderError | IndexChangedError | IndexModelError | ModelError):
        _log.warning("503: %s", error)
        return Problem(503, str(error), headers={"Retry-After": "5"})
    return _unknown(error)


def log_refusal(scope: Scope, reason: str) -> None:
    """Log why a request was refused: who asked, and for which path; never what else it brought."""
    path, client = shown(scope["path"]), shown(client_address(scope))
    _log.warning("refused %s from %s: %s", path, client, reason)


def client_address(scope: Scope) -> str:
    """The address a request came from, as far as the server knows."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def shown(text: str, longest: int = 200) -> str:
    """`text` from outside, for a message or the log: ASCII, no control character, not long."""
    return ascii(text[:longest])[1:-1]


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document; call it before other middleware is added.

    What no handler knows is caught inside the other middleware, so that its answer too goes
    through them: Starlette's own place for it is outside of all.
    """
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(SearchEngineError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_middleware(LastResort)


class LastResort:
    """ASGI middleware: an exception that nothing handled is logged, and answered with 500."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the answer has begun: then the server has to cut the connection."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return  # there is nobody to answer
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await _unknown(error).response()(scope, receive, send)


async def _answer_problem(request: Request, error: Exception) -> Response:
    """Answer with the problem itself."""
    if not isinstance(error, Problem):
        raise error
    if error.status in _REFUSALS or error.is_refusal:
        log_refusal(request.scope, f"{error.status}, {error.detail}")
    return error.response()


async def _answer_error(request: Request, error: Exception) -> Response:
    """Answer an error of the engine."""
    if not isinstance(error, SearchEngineError):
        raise error
    return of_error(error).response()


async def _answer_http(request: Request, error: Exception) -> Response:
    """Answer an error of the framework: no such route, no such method, an unreadable body."""
    if not isinstance(error, HTTPException):
        raise error
    status, detail = error.status_code, str(error.detail)
    if detail == _phrase(status):
        detail = _FRAMEWORK.get(status, detail)
    return Problem(status, detail, headers=error.headers).response()


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Answer a request whose fields do not fit; the first one is told in words."""
    if not isinstance(error, RequestValidationError):
        raise error
    found = error.errors()
    errors = [_field(each) for each in found[:_ERRORS_SHOWN]]
    return Problem(422, _in_words(errors, len(found)), more={"errors": errors}).response()


def _field(error: Mapping[str, Any]) -> dict[str, str]:
    """Which field, and what is wrong with it."""
    place = [str(part) for part in error["loc"]]
    if error["type"] == "json_invalid":
        reason = error.get("ctx", {}).get("error", "it cannot be read")
        return {"field": "body", "message": f"not JSON: {reason} (character {place[-1]})"}
    field = ".".join(place[1:] if place[0] in _PLACES else place) or place[0]
    return {"field": _short(field), "message": _short(str(error["msg"]))}


def _in_words(errors: Sequence[Mapping[str, str]], count: int) -> str:
    """One line: the first error, and how many more there are."""
    first = (
        f"{errors[0]['field']}: {errors[0]['message']}" if errors else "the request is not valid"
    )
    return f"{first} (and {count - 1} more)" if count > 1 else first


def _unknown(error: Exception) -> Problem:
    """A problem that tells nothing of `error`, which is logged with its trace."""
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return Problem(500, _UNKNOWN)


def _phrase(status: int) -> str:
    """The status in words."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _short(text: str) -> str:
    """At most 200 characters of `text`, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
