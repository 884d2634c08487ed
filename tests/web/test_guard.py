from __future__ import annotations

import logging
from collections.abc import Iterator

import anyio
import pytest

from searchengine.web import bodies
from searchengine.web.guard import HEADERS, Guard
from tests.web.doors import ADDRESS, TOKEN, ask, client, guarded, settings

OURS = ("host", "127.0.0.1:8765")
EVIL = "http://evil.example"
JSON = ("content-type", "application/json")


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="searchengine.web")


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]


# The name of the server: a page of evil.example whose name now means 127.0.0.1.


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765"])
def test_loopback_names_with_the_served_port_are_answered(host: str) -> None:
    assert client().get("/api/indexes", headers={"host": host}).status_code == 200


def test_the_loopback_address_of_ipv6_is_answered() -> None:
    assert ask(guarded(), headers=[("host", "[::1]:8765")]).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:80",
        "localhost.evil.example:8765",
        "127.0.0.1.nip.io:8765",
        "localhost:8765@evil.example",
        "evil.example:8765:8765",
        "localhost:8765,evil.example",
        "0.0.0.0:8765",
        "192.168.1.5:8765",
        "[::1]",
        "[::1]:8765x",
        ":8765",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/health", "/api/indexes", "/static/page.js"])
def test_another_host_is_refused_whatever_is_asked(
    host: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply = ask(guarded(), path, headers=[("host", host)])
    assert reply.status == 403
    assert "private pictures" not in str(reply.messages)
    assert refusals(caplog)[0].startswith(f"refused {path} from 192.168.1.66: 403, ")


@pytest.mark.parametrize("headers", [[], [OURS, OURS], [OURS, ("host", "evil.example")]])
def test_a_request_without_exactly_one_host_is_refused(
    headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(guarded(), headers=headers).status == 400
    assert "one Host header" in refusals(caplog)[0]


def test_names_the_person_adds_are_answered_with_and_without_the_port() -> None:
    app = guarded(settings(hosts=("Photos.example", "other.example:444")))
    for host in ("photos.example", "photos.example:8765", "other.example:444"):
        assert ask(app, headers=[("host", host)]).status == 200
    for host in ("photos.example:9", "other.example", "evil.photos.example"):
        assert ask(app, headers=[("host", host)]).status == 403


def test_the_address_that_is_listened_on_is_a_name() -> None:
    app = guarded(settings(host="192.168.1.5", token=None))
    assert ask(app, headers=[("host", "192.168.1.5:8765")]).status == 200
    assert ask(app, headers=[("host", "192.168.1.6:8765")]).status == 403


def test_a_server_on_all_addresses_is_known_by_the_one_the_connection_reached() -> None:
    app = guarded(settings(host="0.0.0.0"))
    reached = ("192.168.1.5", 8765)
    assert ask(app, headers=[("host", "192.168.1.5:8765")], server=reached).status == 200
    for host in ("192.168.1.6:8765", "0.0.0.0:8765", "evil.example:8765"):
        assert ask(app, headers=[("host", host)], server=reached).status == 403
    rebound = ("evil.example", 8765)  # a server that named itself by the request would be fooled
    assert ask(app, headers=[("host", "evil.example:8765")], server=rebound).status == 403


def test_with_a_port_of_the_systems_choice_the_served_one_counts() -> None:
    app = guarded(settings(port=0))
    served = ("127.0.0.1", 41234)
    assert ask(app, headers=[("host", "localhost:41234")], server=served).status == 200
    assert ask(app, headers=[("host", "localhost:8765")], server=served).status == 403


# Pages of other sites in the same browser.


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b'{"text": "a dog"}'),
        ("application/x-www-form-urlencoded", b"text=a+dog"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"'),
        ("application/json", b'{"text": "a dog"}'),
    ],
)
@pytest.mark.parametrize(
    "origin",
    [
        EVIL,
        "null",
        "",
        "http://127.0.0.1:3000",
        "http://localhost",
        "http://localhost:8765.evil.example",
        "file://",
        "chrome-extension://abcdef",
        "ftp://127.0.0.1:8765",
        "127.0.0.1:8765",
        f"{ADDRESS}/",
        f"{ADDRESS} {EVIL}",
    ],
)
def test_a_form_or_script_of_another_site_is_refused(
    kind: str, body: bytes, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"origin": origin, "content-type": kind}
    reply = client().post("/api/search", content=body, headers=headers)
    assert reply.status_code == 403
    assert len(refusals(caplog)) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything", ""])
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET", "OPTIONS", "PUT", "HEAD"])
def test_without_an_origin_the_browsers_word_about_the_site_counts(site: str, method: str) -> None:
    reply = client().request(method, "/api/search", headers={"sec-fetch-site": site})
    assert reply.status_code == 403


@pytest.mark.parametrize("path", ["/api/search", "/api/uploads", "/api/login"])
def test_the_servers_own_page_may_send_everything(path: str) -> None:
    for origin in (ADDRESS, "http://localhost:8765", "https://127.0.0.1:8765"):
        headers = {"origin": origin, "sec-fetch-site": "same-origin"}
        reply = client().post(path, json={"text": "abc", "token": ""}, headers=headers)
        assert reply.status_code != 403


def test_a_program_without_a_browser_may_post() -> None:
    assert client().post("/api/search", json={"text": "abc"}).json() == 3


def test_one_foreign_origin_among_two_is_enough() -> None:
    headers = [OURS, ("origin", ADDRESS), ("origin", EVIL)]
    assert ask(guarded(), "/api/search", headers, "POST").status == 403
    assert ask(guarded(), "/api/search", [OURS, ("origin", ADDRESS)], "POST").status != 403
    twice = [OURS, ("origin", ADDRESS), ("origin", ADDRESS)]
    assert ask(guarded(), "/api/search", twice, "POST").status == 400


def test_a_plain_page_of_a_proxied_name_is_not_its_encrypted_one() -> None:
    app = guarded(settings(hosts=("photos.example",)))
    host = ("host", "photos.example")
    secure = [host, ("origin", "https://photos.example")]
    forged = [host, ("origin", "http://photos.example")]
    assert ask(app, "/api/jobs/1", secure, "DELETE", scheme="https").status == 200
    assert ask(app, "/api/jobs/1", forged, "DELETE", scheme="https").status == 403


@pytest.mark.parametrize("path", ["/api/indexes", "/static/page.js", "/metrics", "/"])
@pytest.mark.parametrize("kind", ["image", "script", "iframe", "empty", "document"])
def test_other_sites_cannot_embed_anything(path: str, kind: str) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-dest": kind, "sec-fetch-mode": "no-cors"}
    assert client().get(path, headers=headers).status_code == 403


def test_other_sites_may_link_to_the_page_only() -> None:
    link = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert client().get("/", headers=link).status_code == 200
    assert client().get("/", headers={**link, "origin": "null"}).status_code == 200
    assert client().get("/", headers={**link, "sec-fetch-dest": "iframe"}).status_code == 403
    assert client().get("/api/indexes", headers=link).status_code == 403
    assert client().post("/", headers=link).status_code == 403


def test_a_preflight_is_never_answered_with_leave() -> None:
    headers = {
        "origin": EVIL,
        "access-control-request-method": "POST",
        "access-control-request-private-network": "true",
    }
    reply = client().options("/api/search", headers=headers)
    assert reply.status_code == 403
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_a_web_socket_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    reached = []

    async def inner(scope: object, receive: object, send: object) -> None:
        reached.append(scope)

    reply = ask(Guard(inner, settings()), "/api/events", type="websocket")
    assert reply.messages == [{"type": "websocket.close", "code": 1008}]
    assert not reached
    assert "web sockets" in refusals(caplog)[0]


# Other machines: the token.


@pytest.mark.parametrize("path", ["/api/indexes", "/metrics", "/nothing", "/staticfile", "//", ""])
def test_without_the_token_everything_private_is_refused(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply = ask(guarded(settings(token=TOKEN)), path or "/api")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "401" in refusals(caplog)[0]


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/favicon.ico", "/api/health", "/api/session"]
)
def test_the_page_itself_needs_no_token(path: str) -> None:
    assert client(settings(token=TOKEN)).get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/static/../api/indexes", "/static/..", "/../api/indexes", "api/indexes"]
)
def test_a_path_that_climbs_is_refused(path: str) -> None:
    assert ask(guarded(settings(token=TOKEN)), path).status == 400


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer   {TOKEN}"])
def test_the_token_in_the_header_lets_in(given: str) -> None:
    reply = client(settings(token=TOKEN)).get("/api/indexes", headers={"authorization": given})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"],
)
def test_anything_else_in_the_header_does_not(given: str, caplog: pytest.LogCaptureFixture) -> None:
    reply = client(settings(token=TOKEN)).get("/api/indexes", headers={"authorization": given})
    assert reply.status_code == 401
    assert TOKEN[:-1] not in caplog.text + reply.text


@pytest.mark.parametrize("tokens", [("x", TOKEN), (TOKEN, "x"), (TOKEN, TOKEN)])
def test_two_tokens_in_one_request_are_none(tokens: tuple[str, str]) -> None:
    headers = [OURS, *(("authorization", f"Bearer {token}") for token in tokens)]
    assert ask(guarded(settings(token=TOKEN)), headers=headers).status == 401


def test_a_token_beyond_ascii_works() -> None:
    token = "pässword-日本語"
    headers = [OURS, ("authorization", f"Bearer {token}")]
    assert ask(guarded(settings(token=token)), headers=headers).status == 200


def test_an_empty_token_lets_nobody_in() -> None:
    app = guarded(settings(token=""))
    assert ask(app).status == 401
    assert ask(app, headers=[OURS, ("authorization", "Bearer ")]).status == 401


def test_the_token_does_not_excuse_another_site() -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "origin": EVIL}
    assert client(settings(token=TOKEN)).post("/api/search", headers=headers).status_code == 403


# Answers.


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [
        ("GET", "/", "127.0.0.1:8765"),
        ("GET", "/nothing", "127.0.0.1:8765"),
        ("PUT", "/api/search", "127.0.0.1:8765"),
        ("GET", "/", "evil.example"),
        ("GET", "/broken", "127.0.0.1:8765"),
    ],
)
def test_every_answer_is_hardened(method: str, path: str, host: str) -> None:
    app = guarded()

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a bug")

    reply = ask(app, path, [("host", host)], method)
    for name, value in HEADERS.items():
        assert reply.headers[name.lower()] == value
    assert reply.headers["cache-control"] == "private, no-cache"
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_a_route_may_be_cached_but_not_soften_the_headers() -> None:
    app = guarded()

    @app.get("/own")
    def own() -> object:
        from starlette.responses import Response

        softer = {"Content-Security-Policy": "default-src *", "Cache-Control": "max-age=9"}
        return Response(headers=softer)

    reply = ask(app, "/own")
    assert reply.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert reply.headers["cache-control"] == "max-age=9"
    names = [name for name, _ in reply.messages[0]["headers"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("junk", ["\r\nWARNING all is well", "\x1b[2J", "\u2028x", "\udce9"])
def test_the_log_has_one_plain_line_for_whatever_is_sent(
    junk: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask(guarded(settings(token=TOKEN)), f"/api/{junk}")
    ask(guarded(), f"/{junk}", [("host", "evil.example\r\n\x1b[2J")])
    ask(guarded(), "/", [OURS, ("origin", "http://x\r\n\x1b[2J")])
    assert len(refusals(caplog)) == 3
    assert all(line.isascii() and line.isprintable() for line in refusals(caplog))


def test_the_log_does_not_grow_with_what_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    ask(guarded(), "/" + "a" * 9000, [("host", "e" * 9000)])
    assert len(refusals(caplog)[0]) < 700


# Too much, and too slow.


def test_an_address_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    assert ask(guarded(), "/" + "a" * 17_000).status == 414
    assert ask(guarded(), "/", query_string=b"q" * 17_000).status == 414
    assert ask(guarded(), "/", query_string=b"q" * 15_000).status == 200
    assert len(refusals(caplog)) == 2


def endless() -> Iterator[bytes]:
    for _ in range(40):
        yield b'"' + b"a" * 65_536
    yield b""


@pytest.mark.parametrize("lengths", [["1048577"], ["9" * 30]])
def test_a_body_that_says_it_is_too_large_is_not_read(
    lengths: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    headers = [OURS, JSON, *(("content-length", each) for each in lengths)]
    reply = ask(guarded(), "/api/search", headers, "POST", body=[])
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert "larger than 1048576 bytes" in refusals(caplog)[0]


@pytest.mark.parametrize("lengths", [["1", "1"], ["-1"], ["1_0"], ["x"], ["²"]])
def test_an_ambiguous_length_is_refused(lengths: list[str]) -> None:
    headers = [OURS, *(("content-length", each) for each in lengths)]
    assert ask(guarded(), "/api/search", headers, "POST").status == 400


@pytest.mark.parametrize("path", ["/api/search", "/api/login"])
def test_a_body_that_grows_too_large_is_ended(path: str, caplog: pytest.LogCaptureFixture) -> None:
    reply = ask(guarded(), path, [OURS, JSON], "POST", body=endless())
    assert reply.status == 413
    assert len([each for each in reply.messages if each["type"] == "http.response.start"]) == 1
    assert len(caplog.records) == 1
    assert "larger than" in refusals(caplog)[0]


def test_a_body_of_the_largest_size_is_read() -> None:
    text = "a" * (1024 * 1024 - len('{"text":""}'))
    assert client().post("/api/search", json={"text": text}).json() == len(text)


@pytest.mark.parametrize("path", ["/api/uploads", "/api/similar"])
def test_an_upload_has_its_own_bound(path: str) -> None:
    app = guarded(settings(upload_bytes=2_000_000))
    assert ask(app, path, [OURS], "POST", body=[b"a" * 1_900_000, b""]).status == 200
    assert ask(app, path, [OURS], "POST", body=[b"a" * 1_900_000] * 2 + [b""]).status == 413
    assert ask(app, path, [OURS, ("content-length", "2000001")], "POST").status == 413


@pytest.mark.parametrize("path", ["/api/search", "/api/uploads"])
def test_a_body_that_stands_still_is_ended(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.05)
    reply = ask(guarded(), path, [OURS, JSON], "POST", body=[b'{"text"'])
    assert reply.status == 408
    assert len(caplog.records) == 1


def test_a_body_that_trickles_is_ended_unless_it_is_an_upload_that_is_fast_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.2)
    trickle = [b" "] * 15 + [b""]
    assert ask(guarded(), "/api/search", [OURS, JSON], "POST", trickle, pause=0.02).status == 408
    assert ask(guarded(), "/api/uploads", [OURS], "POST", trickle, pause=0.02).status == 408
    monkeypatch.setattr(bodies, "SLOWEST", 10)
    assert ask(guarded(), "/api/uploads", [OURS], "POST", trickle, pause=0.02).status == 200


@pytest.mark.parametrize("body", [b"[" * 1_000_000, b"1" * 5000, b'{"a":' * 150_000, b"\xff"])
def test_json_that_breaks_parsers_is_a_plain_refusal(body: bytes) -> None:
    headers = {"content-type": "application/json"}
    reply = client().post("/api/search", content=body, headers=headers)
    assert reply.status_code in (400, 422)


def test_an_answer_that_began_is_not_spoilt_by_what_the_body_does_then() -> None:
    async def early(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await receive()  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"done"})  # type: ignore[operator]

    reply = ask(Guard(early, settings()), "/api/x", [OURS], "POST", body=[b"a" * 2_000_000, b""])
    assert [each["type"] for each in reply.messages] == [
        "http.response.start",
        "http.response.body",
    ]


def test_waiting_for_the_client_to_leave_takes_as_long_as_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.01)

    async def listening(scope: object, receive: object, send: object) -> None:
        await receive()  # type: ignore[operator]
        with anyio.move_on_after(0.05) as waiting:
            await receive()  # type: ignore[operator]
        assert waiting.cancelled_caught
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]

    assert ask(Guard(listening, settings()), "/api/events").status == 200
