"""The door's guard: what a request has to bring before any route sees it.

Against other sites in the same browser (Host, Origin, Sec-Fetch-Site), against other machines (the
token), and against requests that take all there is (length of the address and of the body).
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchengine.web.access import Access
from searchengine.web.bodies import Body
from searchengine.web.hosts import Hosts
from searchengine.web.problems import Problem, log_refusal
from searchengine.web.settings import Settings

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer a browser would say `Origin: null` of the page's own forms.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_FREE = {"/", "/favicon.ico", "/api/health", "/api/login", "/api/session"}
_UPLOADS = {"/api/uploads", "/api/similar"}
_LONGEST_URL = 16 * 1024
_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


class Guard:
    """ASGI middleware, to be the outermost: refuses, logs why, and hardens every answer.

    Routes find who may ask as `request.state.access`, the reading of the body as `.body`.
    """

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app = app
        self._upload_bytes = settings.upload_bytes
        self._hosts = Hosts(settings)
        self._access = Access(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and hand it on."""
        if scope["type"] == "http":
            await self._guard(scope, receive, _hardened(send))
        elif scope["type"] == "websocket":
            log_refusal(scope, "there are no web sockets here")
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await self.app(scope, receive, send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = self._check(scope, receive)
        except Problem as problem:
            await _refuse(problem, scope, receive, send)
            return
        scope.setdefault("state", {}).update(access=self._access, body=body)
        answer = _Answer(body, send)
        await self.app(scope, body, answer)
        if body.refusal is not None and not answer.started:
            await _refuse(body.refusal, scope, receive, send)

    def _check(self, scope: Scope, receive: Receive) -> Body:
        """Everything that can be told from the first lines of a request.

        Raises:
            Problem: the request is refused.
        """
        path: str = scope["path"]
        if len(scope.get("raw_path") or path) + len(scope["query_string"]) > _LONGEST_URL:
            raise Problem(414, f"an address has at most {_LONGEST_URL} characters")
        if not path.startswith("/") or ".." in path.split("/"):
            raise Problem(400, "this is not a path of this server")
        self._hosts.check(scope)
        if path not in _FREE and not path.startswith("/static/"):
            self._access.check(scope)
        return Body(scope, receive, self._upload_bytes if path in _UPLOADS else None)


class _Answer:
    """A `send` that holds back what the application says about a body that was cut off."""

    def __init__(self, body: Body, send: Send):
        self.started = False
        self._body = body
        self._send = send

    async def __call__(self, message: Message) -> None:
        if self._body.refusal is not None and not self.started:
            return
        self.started = True
        await self._send(message)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with `problem`, and end the connection: nobody is to read the rest of the body."""
    log_refusal(scope, f"{problem.status}, {problem.detail}")
    problem.headers["Connection"] = "close"
    await problem.response()(scope, receive, send)


def _hardened(send: Send) -> Send:
    """`send`, with the headers of every answer; what says nothing of caches is asked for anew."""

    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "private, no-cache")
        await send(message)

    return hardened
