from __future__ import annotations

import logging
from contextlib import suppress
from http.cookies import SimpleCookie
from typing import Any

import pytest
from fastapi.testclient import TestClient

from searchengine.web.access import Access
from searchengine.web.problems import Problem
from tests.web.doors import ADDRESS, TOKEN, client, settings

CLOSED = settings(token=TOKEN)


def log_in(browser: TestClient, token: str = TOKEN) -> Any:
    return browser.post("/api/login", json={"token": token})


def test_the_token_opens_a_session() -> None:
    browser = client(CLOSED)
    assert browser.get("/api/session").json() == {"authenticated": False, "needs_token": True}
    assert log_in(browser).status_code == 204
    assert browser.get("/api/session").json() == {"authenticated": True, "needs_token": True}
    assert browser.get("/api/indexes").status_code == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    reply = log_in(client(CLOSED))
    (morsel,) = SimpleCookie(reply.headers["set-cookie"]).values()
    assert morsel["httponly"]
    assert morsel["samesite"] == "strict"
    assert morsel["path"] == "/"
    assert not morsel["domain"]
    assert not morsel["secure"]  # the address is http
    assert len(morsel.value) >= 40
    assert TOKEN not in reply.headers["set-cookie"]


def test_over_https_the_cookie_is_secure() -> None:
    reply = log_in(client(CLOSED, ADDRESS.replace("http", "https")))
    assert "Secure" in reply.headers["set-cookie"]


def test_behind_a_proxy_that_encrypts_the_cookie_is_secure_too() -> None:
    app = client(settings(token=TOKEN, hosts=("photos.example",)))
    headers = {"host": "photos.example", "origin": "https://photos.example"}
    reply = app.post("/api/login", json={"token": TOKEN}, headers=headers)
    assert "Secure" in reply.headers["set-cookie"]


def test_two_logins_are_two_sessions_and_a_second_one_ends_the_first() -> None:
    browser = client(CLOSED)
    log_in(browser)
    first = dict(browser.cookies)
    log_in(browser)
    assert dict(browser.cookies) != first
    browser.cookies = first  # type: ignore[assignment]
    assert browser.get("/api/indexes").status_code == 401


def test_logging_out_ends_the_session_for_whoever_copied_the_cookie() -> None:
    browser = client(CLOSED)
    log_in(browser)
    stolen = dict(browser.cookies)
    assert browser.post("/api/logout").status_code == 204
    assert not browser.cookies
    browser.cookies = stolen  # type: ignore[assignment]
    assert browser.get("/api/indexes").status_code == 401


@pytest.mark.parametrize("value", ["", TOKEN.replace(" ", ""), "x" * 43, "%00"])
def test_an_invented_cookie_lets_nobody_in(value: str) -> None:
    headers = {"cookie": f"searchengine-8765={value}"}
    assert client(CLOSED).get("/api/indexes", headers=headers).status_code == 401


def test_cookies_of_other_servers_on_this_machine_do_no_harm() -> None:
    browser = client(CLOSED)
    log_in(browser)
    mine = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    browser.cookies.clear()
    headers = {"cookie": f'other="a;b"; searchengine-9000=x; =; ;;{mine}; bad=\x01'}
    assert browser.get("/api/indexes", headers=headers).status_code == 200


def test_another_site_cannot_log_anybody_in_or_out() -> None:
    browser = client(CLOSED)
    log_in(browser)
    for path in ("/api/login", "/api/logout"):
        reply = browser.post(path, json={"token": TOKEN}, headers={"origin": "http://evil.example"})
        assert reply.status_code == 403
    assert browser.get("/api/indexes").status_code == 200


def test_a_wrong_token_is_refused_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    reply = log_in(client(CLOSED), "nearly the token")
    assert reply.status_code == 401
    assert "nearly" not in caplog.text + reply.text
    (record,) = (each for each in caplog.records if each.name == "searchengine.web")
    assert record.getMessage().startswith("refused /api/login from testclient: 401, ")


def test_after_five_wrong_tokens_not_even_the_right_one_is_looked_at() -> None:
    browser = client(CLOSED)
    assert [log_in(browser, f"guess {n}").status_code for n in range(5)] == [401] * 5
    reply = log_in(browser)
    assert reply.status_code == 429
    assert 0 < int(reply.headers["retry-after"]) <= 61
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert browser.get("/api/indexes", headers=bearer).status_code == 429


def test_guesses_in_the_header_count_as_well() -> None:
    browser = client(CLOSED)
    statuses = [
        browser.get("/api/indexes", headers={"authorization": f"Bearer {n}"}).status_code
        for n in range(7)
    ]
    assert statuses == [401] * 5 + [429] * 2
    assert log_in(browser).status_code == 429


def test_a_session_outlives_the_guesses_of_others() -> None:
    browser = client(CLOSED)
    log_in(browser)
    for n in range(9):
        browser.get(
            "/api/session", headers={"authorization": f"Bearer {n}", "cookie": "searchengine-8765="}
        )
    assert browser.get("/api/indexes").status_code == 200


def test_a_program_with_an_old_token_locks_nobody_out() -> None:
    browser = client(CLOSED)
    for _ in range(20):
        old = {"authorization": "Bearer the token of last year"}
        assert browser.get("/api/indexes", headers=old).status_code == 401
    assert log_in(browser).status_code == 204


def test_without_a_token_there_is_nothing_to_log_in_to() -> None:
    browser = client()
    assert browser.get("/api/session").json() == {"authenticated": True, "needs_token": False}
    reply = log_in(browser)
    assert reply.status_code == 204
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("body", [{}, {"token": "x", "more": 1}, {"token": "x" * 1001}, [], "x"])
def test_a_login_of_another_shape_is_refused(body: object) -> None:
    assert client(CLOSED).post("/api/login", json=body).status_code == 422


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def of(address: str, cookie: str = "") -> dict[str, Any]:
    return {"client": (address, 1), "headers": [(b"cookie", cookie.encode())]}


def test_guessing_resumes_after_a_minute_and_is_as_slow_again() -> None:
    clock = Clock()
    access = Access(CLOSED, clock)
    tried = 0
    for second in range(600):
        clock.now = second
        for n in range(10):
            with suppress(Problem):
                access.accepts(f"{second} {n}".encode(), of(f"10.0.{n}.{second % 256}"))
                tried += 1
    assert tried == 50


def test_strangers_cannot_lock_out_an_address_that_brought_the_token() -> None:
    access = Access(CLOSED, Clock())
    assert access.accepts(TOKEN.encode(), of("10.0.0.1"))
    for n in range(5):
        access.accepts(str(n).encode(), of("10.0.0.66"))
    with pytest.raises(Problem, match="too many wrong tokens"):
        access.accepts(TOKEN.encode(), of("10.0.0.66"))
    assert access.accepts(TOKEN.encode(), of("10.0.0.1"))


def test_a_known_address_guesses_no_faster() -> None:
    access = Access(CLOSED, Clock())
    access.accepts(TOKEN.encode(), of("10.0.0.1"))
    for n in range(5):
        assert not access.accepts(str(n).encode(), of("10.0.0.1"))
    with pytest.raises(Problem):
        access.accepts(TOKEN.encode(), of("10.0.0.1"))


def test_a_session_ends_after_thirty_days() -> None:
    clock = Clock()
    access = Access(CLOSED, clock)
    scope = of("10.0.0.1", f"searchengine-8765={access.open_session()}")
    clock.now = 30 * 24 * 3600 - 1
    assert access.is_known(scope)
    clock.now += 1
    assert not access.is_known(scope)


def test_sessions_are_bounded_and_the_oldest_goes_first() -> None:
    access = Access(CLOSED, Clock())
    opened = [access.open_session() for _ in range(1001)]
    known = [access.is_known(of("a", f"searchengine-8765={each}")) for each in opened]
    assert known == [False] + [True] * 1000
