"""Who may ask: a token in each request, or a session that the token once opened."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import Scope

from searchengine.web.hosts import header
from searchengine.web.problems import Problem, client_address
from searchengine.web.settings import Settings

SESSION_SECONDS = 30 * 24 * 3600

_SESSIONS = 1000  # the oldest one ends for a newer one
_GUESSES = 5  # wrong tokens in _MINUTE, after which none is looked at
_MINUTE = 60.0
_KNOWN_CLIENTS = 64
_NO_TOKEN = "this server needs its token: log in, or send Authorization: Bearer TOKEN"

Clock = Callable[[], float]


class Access:
    """The token, the sessions it opened, and how often somebody guessed; for one event loop.

    Sessions live in memory only, as digests of their ids: a restart ends them all, and what is in
    memory does not let anybody in.
    """

    def __init__(self, settings: Settings, clock: Clock = time.monotonic):
        self.needs_token = settings.token is not None
        self.cookie = f"searchengine-{settings.port}"  # cookies know no ports, servers do
        self._token = (settings.token or "").encode()
        self._clock = clock
        self._sessions: OrderedDict[bytes, float] = OrderedDict()
        self._strangers = _Guesses(clock)
        self._clients: OrderedDict[str, _Guesses] = OrderedDict()

    def check(self, scope: Scope) -> None:
        """Let a request through that brings a session or the token.

        Raises:
            Problem: 401 without one of them, 429 where tokens were guessed too often.
        """
        if not self.is_known(scope):
            raise Problem(401, _NO_TOKEN, headers={"WWW-Authenticate": "Bearer"})

    def is_known(self, scope: Scope) -> bool:
        """Whether the request needs no token, or brings a session or the token.

        Raises:
            Problem: 429, tokens were guessed too often.
        """
        if not self.needs_token or self._has_session(scope):
            return True
        given = header(scope, b"authorization")
        kind, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        return kind.lower() == "bearer" and self.accepts(token.strip().encode("latin-1"), scope)

    def accepts(self, token: bytes, scope: Scope) -> bool:
        """Whether `token` is the token; a wrong one slows down whoever tries others.

        Strangers share one count, so that many addresses guess no faster than one. An address that
        brought the token has a count of its own: strangers cannot lock it out.

        Raises:
            Problem: 429, tokens were guessed too often.
        """
        client = client_address(scope)
        right = self._clients.get(client, self._strangers).accept(token, self._token)
        if right and client not in self._clients:
            self._clients[client] = _Guesses(self._clock)
            _forget_oldest(self._clients, _KNOWN_CLIENTS)
        return right

    def open_session(self) -> str:
        """Begin a session; its id is what the cookie holds."""
        session = secrets.token_urlsafe(32)
        self._sessions[_digest(session.encode())] = self._clock() + SESSION_SECONDS
        _forget_oldest(self._sessions, _SESSIONS)
        return session

    def end_session(self, scope: Scope) -> None:
        """Forget the session of a request, if it has one."""
        for session in self._session_ids(scope):
            self._sessions.pop(_digest(session), None)

    def _has_session(self, scope: Scope) -> bool:
        now = self._clock()
        digests = [_digest(session) for session in self._session_ids(scope)]
        return any(self._sessions.get(digest, now) > now for digest in digests)

    def _session_ids(self, scope: Scope) -> list[bytes]:
        """What the request's cookies say the session is; there may be another server's as well."""
        found = []
        for line in header(scope, b"cookie"):
            for pair in line.split(";"):
                name, _, value = pair.strip().partition("=")
                if name == self.cookie:
                    found.append(value.encode("latin-1"))
        return found[:4]


class _Guesses:
    """The wrong tokens of the last minute, as digests."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._wrong: dict[bytes, float] = {}

    def accept(self, token: bytes, right: bytes) -> bool:
        """Whether `token` is `right`.

        A wrong one that comes again is no new guess: a program with an old token, asking again
        and again, locks nobody out.
        """
        now = self._clock()
        self._wrong = {each: end for each, end in self._wrong.items() if end > now}
        if len(self._wrong) >= _GUESSES:
            wait = int(min(self._wrong.values()) - now) + 1
            raise Problem(
                429,
                f"too many wrong tokens in the last minute; try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )
        if right and hmac.compare_digest(token, right):  # an empty token lets nobody in
            return True
        self._wrong[_digest(token)] = now + _MINUTE
        return False


def _forget_oldest(table: OrderedDict[str, _Guesses] | OrderedDict[bytes, float], n: int) -> None:
    while len(table) > n:
        table.popitem(last=False)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
