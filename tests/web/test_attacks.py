"""What an attacker sends to a real server: refused, logged, and nothing given away."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from searchengine import SearchEngine
from searchengine.web.app import create_app
from searchengine.web.settings import Settings
from tests.hostile import huge_png
from tests.pictures import fill, jpeg
from tests.web.conftest import with_exif
from tests.web.process import Answer, Server, received, serving, until

pytestmark = pytest.mark.slow

TOKEN = "correct-horse-battery-staple"
SECRET = b"this is nobody's business"
SPLITTING = "a\r\nSet-Cookie: owned=1\r\n\r\n<script>.jpg"
EVIL = "http://evil.example"
FREE = {("get", "/api/health"), ("post", "/api/login"), ("get", "/api/session")}
MIB = 1024 * 1024

# So that a test need not wait, or open hundreds of connections.
SMALL_BOUNDS = """
from searchengine.web import bodies, connection
bodies.STALL_SECONDS = connection.HEAD_SECONDS = connection.STUCK_SECONDS = 1.0
connection._MOST = 20
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with pictures, one large and one of a nasty name; their `index/`; a secret."""
    home = tmp_path_factory.mktemp("attacked")
    fill(home / "photos" / "a", 4)
    fill(home / "photos" / "b", 2, first=10)
    with_exif(home / "photos" / "gps.jpg", 20, "2024:07:02 09:00:00")
    (home / "photos" / SPLITTING).write_bytes(jpeg(21))
    Image.new("RGB", (2600, 2600), "teal").save(home / "photos" / "large.bmp")
    with SearchEngine.open(home / "index") as engine:
        engine.index(home / "photos")
    (home / "secret").mkdir()
    (home / "secret" / "0010.jpg").write_bytes(SECRET)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with serving(home / "index", home / "open.log") as server:
        yield server
        check_log(server)


@pytest.fixture(scope="module")
def locked(home: Path) -> Iterator[Server]:
    with serving(home / "index", home / "locked.log", "--token", TOKEN) as server:
        yield server
        check_log(server)


@pytest.fixture
def bounded(home: Path) -> Iterator[Server]:
    with serving(home / "index", home / "bounded.log", before=SMALL_BOUNDS) as server:
        yield server
        check_log(server)


def check_log(server: Server) -> None:
    """Nothing broke, and nobody wrote lines of his own."""
    log = server.log()
    assert "Traceback" not in log
    assert "Exception" not in log
    known = ("refused ", "Invalid HTTP request", "ended a connection from ")
    assert [line for line in log.splitlines() if not line.startswith(known)] == []


def refusal(server: Server, words: str) -> str:
    """The line of the log that has `words`."""
    return until(lambda: next((x for x in server.log().splitlines() if words in x), None), 5)


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def ids(server: Server) -> dict[str, int]:
    hits = server.ask("/api/search", "POST", {"limit": 200}).json["hits"]
    return {hit["name"]: hit["id"] for hit in hits}


def is_plain(answer: Answer, home: Path) -> bool:
    """Whether an answer tells nothing of this machine and its pictures."""
    told = answer.body.decode("latin-1") + str(answer.headers)
    private = (str(home), "/root", "site-packages", "Traceback", 'File "', "latitude", "0010.jpg")
    return not any(word in told for word in private)


# Paths.

TRAVERSALS = (
    *("/static/../server.py", "/static/../../../../../../etc/passwd", "/static/..", "/.."),
    *("/static/%2e%2e/server.py", "/static/%2e%2e%2fserver.py", "/static/..%2fserver.py"),
    *("/static/%252e%252e/server.py", "/static/....//server.py", "/static/..;/server.py"),
    *("/static/..%5cserver.py", "/static/..\\server.py", "/static/%5c..%5c..%5cetc%5cpasswd"),
    *("/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/%00", "/static/app.js%00.png"),
    *("/static/\xc0\xae\xc0\xae/server.py", "/static/%c0%ae%c0%ae/server.py"),
    *("//etc/passwd", "/etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/"),
    *("/static/" + "a/" * 3000, "/static/" + "a" * 5000),
    *("/api/images/../../etc/passwd/original", "/api/images/..%2f..%2fetc%2fpasswd/original"),
    *("/api/images/1%00/original", "/api/images/1%2f..%2f2/original", "/api/images/-1/original"),
    *("/api/images/1/original%2f..%2f..", "/api/images/99999999999999999999/original"),
    *("/api/images/1e3/original", "/api/images/0x1/original", "/api/images/1;2/original"),
    *("/api/images/1/original?index=..%2findex", "/api/images/1/thumbnail?size=..%2f..%2fx"),
    *("/api/images/1/original?index=%00", "/api/images/1/original?index=%2fetc"),
    *("/api/uploads/..%2f..%2fetc%2fpasswd", "/api/uploads/%2e%2e", "/api/uploads/" + "0" * 31),
    *("/api/uploads/" + "0" * 31 + "%0a", "/api/uploads/" + "0" * 32 + "%0a"),
    *("/api/jobs/..%2f..%2fx", "/api/jobs/%00/events", "/api/jobs/%2e%2e/events"),
    *("/api/indexes/..%2fsecret", "/api/indexes/%2e%2e", "/api/indexes/%00", "/api/indexes/%ff"),
    *("/api/indexes/index%2f..%2f..%2fsecret/failures", "/api/indexes/index/failures%2f.."),
)


@pytest.mark.parametrize("path", TRAVERSALS, ids=lambda path: ascii(path[:60]))
def test_a_path_leads_nowhere_else(server: Server, home: Path, path: str) -> None:
    reply = server.send(f"GET {path} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")
    assert status(reply) in (400, 404, 405, 410, 414, 422)
    assert is_plain(Answer(0, {}, reply), home)
    assert b"root:" not in reply
    assert b"import" not in reply


def test_dots_in_a_path_are_logged(server: Server) -> None:
    assert server.ask("/static/%2e%2e/server.py").status == 400
    assert "400, this is not a path" in refusal(server, "refused /static/../server.py from 127.")


# What takes the place of an indexed file.


@pytest.fixture
def swap(home: Path) -> Iterator[Any]:
    """Move a file or folder of `photos/` aside, for the test to put something in its place."""
    moved: list[Path] = []

    def aside(name: str) -> Path:
        place = home / "photos" / name
        place.rename(home / f"aside {len(moved)}")
        moved.append(place)
        return place

    yield aside
    for number, place in enumerate(moved):
        place.unlink(missing_ok=True)
        (home / f"aside {number}").rename(place)


def assert_gone(server: Server, image: int, reason: str) -> None:
    for route in ("original", "thumbnail", "thumbnail?size=large"):
        answer = server.ask(f"/api/images/{image}/{route}", timeout=5)
        assert (answer.status, SECRET in answer.body) == (404, False)
        assert reason in answer.json["detail"]
    assert reason in refusal(server, f"refused /api/images/{image}/original ")


def test_a_link_in_the_place_of_a_file_gives_nothing(server: Server, home: Path, swap: Any) -> None:
    image = ids(server)["0000.jpg"]
    swap("a/0000.jpg").symlink_to(home / "secret" / "0010.jpg")
    assert_gone(server, image, "is a link that leads out of")


def test_a_link_in_the_place_of_a_folder_gives_nothing(
    server: Server, home: Path, swap: Any
) -> None:
    image = ids(server)["0010.jpg"]
    swap("b").symlink_to(home / "secret", target_is_directory=True)
    assert_gone(server, image, "is a link that leads out of")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(server: Server, swap: Any) -> None:
    image = ids(server)["0001.jpg"]
    os.mkfifo(swap("a/0001.jpg"))
    assert_gone(server, image, "not a regular file any more")


def test_a_device_in_the_place_of_a_file_is_not_read(server: Server, swap: Any) -> None:
    image = ids(server)["0002.jpg"]
    place = swap("a/0002.jpg")
    try:
        os.mknod(place, 0o20666, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only the superuser makes devices")
    assert_gone(server, image, "not a regular file any more")


def test_a_folder_or_a_text_in_the_place_of_a_file_is_no_picture(
    server: Server, home: Path, swap: Any
) -> None:
    image = ids(server)["0003.jpg"]
    place = swap("a/0003.jpg")
    place.write_bytes(SECRET)
    assert server.ask(f"/api/images/{image}/thumbnail").status == 415
    place.unlink()
    place.mkdir()
    answer = server.ask(f"/api/images/{image}/original")
    place.rmdir()
    assert answer.status == 404


def test_a_file_name_ends_no_header(server: Server) -> None:
    image = ids(server)[SPLITTING]
    reply = server.send(
        f"GET /api/images/{image}/original HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
    )
    head, _, _ = reply.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert (status(reply), b"set-cookie" in names) == (200, False)
    assert b"filename*=UTF-8''a__Set-Cookie%3A%20owned%3D1____%3Cscript%3E.jpg" in head


# Bodies that are too large, too slow, or not what they seem.


def test_an_upload_that_says_it_is_too_large_is_not_read(server: Server) -> None:
    for path in ("/api/uploads", "/api/similar"):
        with server.connect() as call:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            call.sendall(f"{head}Content-Length: {33 * MIB}\r\n\r\n".encode())
            assert status(received(call)) == 413
        refusal(server, f"refused {path} from 127.0.0.1: 413, the body is larger than")


def test_an_upload_of_unknown_length_is_cut_off(server: Server) -> None:
    before = server.peak_kib()
    sent = 0
    with server.connect() as call:
        head = f"POST /api/uploads HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        call.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
        try:
            while sent < 200 * MIB:
                call.sendall(chunk)
                sent += MIB
        except OSError:
            pass
    assert sent < 60 * MIB
    assert server.peak_kib() - before < 150 * 1024
    refusal(server, "refused /api/uploads from 127.0.0.1: 413")


def test_json_that_is_too_large_is_refused(server: Server) -> None:
    assert server.ask("/api/search", "POST", {"text": "a" * 2 * MIB}).status == 413
    deep = "[" * 500_000
    answer = server.ask("/api/search", "POST", deep, {"Content-Type": "application/json"})
    assert answer.status in (400, 422)


def test_a_bomb_of_a_picture_is_refused_before_it_is_decoded(server: Server) -> None:
    before = server.peak_kib()
    bomb = huge_png(40_000)
    for path, refused in (("/api/uploads", 415), ("/api/similar", 400)):
        answer = server.ask(path, "POST", bomb, {"Content-Type": "image/png"})
        assert answer.status == refused, answer.body
    assert server.peak_kib() - before < 64 * 1024


@pytest.mark.parametrize(
    "content", [b"", b"<svg/>", b"GIF89a", jpeg(1)[:300], SECRET, b"\xff" * 99]
)
def test_what_is_no_picture_is_no_example(server: Server, content: bytes) -> None:
    headers = {"Content-Type": "image/jpeg"}
    assert server.ask("/api/uploads", "POST", content, headers).status == 415
    assert server.ask("/api/similar", "POST", content, headers).status == 400


def test_bodies_that_come_slowly_are_ended(bounded: Server) -> None:
    for path in ("/api/search", "/api/uploads", "/api/login"):
        with bounded.connect() as call:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{bounded.port}\r\n"
            kind = f"Content-Type: {'image/png' if 'uploads' in path else 'application/json'}\r\n"
            call.sendall(f"{head}{kind}Content-Length: 99\r\n\r\n{{".encode())
            assert status(received(call)) == 408
        refusal(bounded, f"refused {path} from 127.0.0.1: 408")


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0"])
def test_a_request_that_does_not_come_is_not_waited_for(bounded: Server, begun: bytes) -> None:
    with bounded.connect() as call:
        call.sendall(begun)
        started = time.monotonic()
        assert received(call) == b""
        assert 0.5 < time.monotonic() - started < 10
    refusal(bounded, "ended a connection from 127.0.0.1: its request does not come")


def test_the_second_request_of_a_connection_is_not_waited_for_either(bounded: Server) -> None:
    with bounded.connect() as call:
        request = f"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1:{bounded.port}\r\n"
        call.sendall(f"{request}\r\n".encode())
        until(lambda: b"version" in call.recv(65536))
        started = time.monotonic()
        for _ in range(4):  # it trickles: what is sent buys no time
            call.sendall(b"G")
            time.sleep(0.2)
        assert received(call) == b""
        assert time.monotonic() - started < 10


def test_the_rest_of_a_body_that_nobody_reads_is_not_taken_for_ever(bounded: Server) -> None:
    with bounded.connect() as call:
        head = f"POST /api/uploads HTTP/1.1\r\nHost: 127.0.0.1:{bounded.port}\r\n"
        call.sendall(f"{head}Content-Type: text/x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        assert status(call.recv(65536)) == 415
        until(lambda: _is_cut_off(call), 5)


def _is_cut_off(call: socket.socket) -> bool:
    """Whether the connection has ended; if not, a little more of a body is sent."""
    try:
        call.sendall(b"1\r\nx\r\n")
    except OSError:
        return True
    return False


def test_many_idle_connections_do_not_lock_others_out_for_long(bounded: Server) -> None:
    idle = [bounded.connect() for _ in range(20)]
    try:
        reply = bounded.send("GET /api/health HTTP/1.1\r\nHost: HOST\r\n\r\n")
        assert status(reply) == 503
        refusal(bounded, "ended a connection from 127.0.0.1: there are too many connections")
        time.sleep(1.5)
        assert bounded.ask("/api/health").status == 200
    finally:
        for each in idle:
            each.close()


def test_a_client_that_does_not_take_its_answer_is_left(bounded: Server) -> None:
    image = ids(bounded)["large.bmp"]
    with socket.socket() as call:
        call.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        call.connect(("127.0.0.1", bounded.port))
        head = (
            f"GET /api/images/{image}/original HTTP/1.1\r\nHost: 127.0.0.1:{bounded.port}\r\n\r\n"
        )
        call.sendall(head.encode())
        refusal(bounded, "ended a connection from 127.0.0.1: it does not take its answer")
    files = Path(f"/proc/{bounded.process.pid}/fd")
    until(lambda: not any(os.path.realpath(each).endswith("large.bmp") for each in files.iterdir()))


def test_the_server_goes_on_while_others_are_slow(bounded: Server) -> None:
    slow = [bounded.connect() for _ in range(15)]
    for each in slow:
        head = f"POST /api/similar HTTP/1.1\r\nHost: 127.0.0.1:{bounded.port}\r\n"
        each.sendall(f"{head}Content-Length: 999\r\n\r\n".encode())
    started = time.monotonic()
    assert bounded.ask("/api/search?q=a+boat").status == 200
    assert time.monotonic() - started < 5
    for each in slow:
        each.close()


# Names, origins, other sites.


@pytest.mark.parametrize(
    ("request_line", "headers", "refused", "reason"),
    [
        ("GET /api/indexes", "Host: evil.example\r\n", 403, "evil.example is not a name"),
        ("GET /api/health", "Host: evil.example:PORT\r\n", 403, "is not a name"),
        ("GET /", "Host: 127.0.0.1.nip.io:PORT\r\n", 403, "is not a name"),
        ("GET /static/app.js", "Host: 127.0.0.1\r\n", 403, "is not a name"),
        ("GET /", "Host: HOST\r\nHost: evil.example\r\n", 400, None),
        ("GET /", "Host: HOST\r\nHost: HOST\r\n", 400, None),
        ("GET /", "", 400, None),
        ("GET http://evil.example/api/indexes", "Host: HOST\r\n", 400, "not a path"),
        ("GET http://HOST/api/indexes", "Host: HOST\r\n", 400, "not a path"),
        ("GET http://HOST/", "Host: evil.example\r\n", 400, "not a path"),
        ("GET api/indexes", "Host: HOST\r\n", 400, "not a path"),
        ("GET *", "Host: HOST\r\n", 400, "not a path"),
        ("OPTIONS *", "Host: HOST\r\n", 400, "not a path"),
        ("CONNECT 127.0.0.1:22", "Host: HOST\r\n", 400, "not a path"),
        ("GET /api/indexes", "Host: HOST\r\nX-Forwarded-Host: evil.example\r\n", 200, None),
        ("GET /api/indexes", "Host: HOST\r\nOrigin: null\r\n", 403, "a page of null"),
        ("GET /api/indexes", "Host: HOST\r\nSec-Fetch-Site: cross-site\r\n", 403, "other sites"),
        ("GET /api/indexes", "Host: HOST\r\nSec-Fetch-Site: same-site\r\n", 403, "other sites"),
    ],
)
def test_only_its_own_name_is_answered(
    server: Server, request_line: str, headers: str, refused: int, reason: str | None
) -> None:
    request = f"{request_line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"
    reply = server.send(request.replace("PORT", str(server.port)))
    assert status(reply) == refused
    if reason:
        assert "refused " in refusal(server, reason)


def test_old_versions_of_http_give_nothing(server: Server) -> None:
    assert status(server.send("GET / HTTP/1.0\r\n\r\n")) == 400
    assert b"<html" not in server.send("GET /\r\n\r\n")
    assert b"<html" not in server.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", timeout=2)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png"])
@pytest.mark.parametrize("path", ["/api/search", "/api/jobs", "/api/uploads", "/api/login"])
def test_a_form_of_another_site_is_refused(server: Server, path: str, kind: str) -> None:
    for headers in (
        {"Origin": EVIL},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ):
        answer = server.ask(path, "POST", b"{}", {"Content-Type": kind, **headers})
        assert answer.status == 403
        assert "access-control-allow-origin" not in {name.lower() for name in answer.headers}
    refusal(server, f"refused {path} from 127.0.0.1: 403, a page of http://evil.example")


def test_a_form_without_an_origin_is_no_json(server: Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = server.ask("/api/jobs", "POST", b"{}", {"Content-Type": kind})
        assert answer.status in (400, 415, 422)


# The token.


def operations() -> list[tuple[str, str]]:
    """Every route, as the description has it, so that none is forgotten; and what it leaves out."""
    app = create_app({"index": Path("unused")}, Settings(cache=Path("unused")))
    described = app.openapi()["paths"]
    return [
        *((method, path) for path, methods in described.items() for method in methods),
        *(("get", path) for path in ("/metrics", "/api/openapi.json", "/api/docs", "/docs")),
        *(("head", path) for path, methods in described.items() if "get" in methods),
        ("get", "/nothing"),
    ]


@pytest.mark.parametrize(("method", "path"), operations())
def test_without_the_token_there_is_no_answer(
    locked: Server, home: Path, method: str, path: str
) -> None:
    values = {"image_id": "1", "name": "index", "key": "0" * 32, "job_id": "1"}
    filled = re.sub(r"{(\w+)}", lambda found: values[found[1]], path)
    if ("get" if method == "head" else method, path) in FREE:
        assert is_plain(locked.ask(filled, method.upper()), home)
        return
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"searchengine-{locked.port}=wrong"},
        {"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"},
    ):
        answer = locked.ask(filled, method.upper(), headers=headers)
        assert answer.status == (403 if "Host" in headers else 401)
        assert is_plain(answer, home)
    assert locked.ask(f"{filled}?token={TOKEN}", method.upper()).status == 401
    known = locked.ask(filled, method.upper(), headers={"Authorization": f"Bearer {TOKEN}"})
    assert known.status not in (401, 403, 500)


def test_what_everybody_may_see_tells_nothing(locked: Server, home: Path) -> None:
    names = ["/", "/favicon.ico", "/api/health", "/api/session"]
    static = Path(__file__).parents[2] / "searchengine" / "web" / "static"
    names += [f"/static/{file.relative_to(static)}" for file in static.rglob("*.*")]
    for name in names:
        body = locked.ask(name).body
        assert not any(word in body for word in (bytes(home), b"site-packages", TOKEN.encode()))
    for path in ("/api/login", "/api/session"):
        assert locked.ask(path, "DELETE").status == 405


def test_guesses_are_slowed_down_and_not_written_down(home: Path) -> None:
    with serving(home / "index", home / "guessed.log", "--token", TOKEN) as server:
        answers = [
            server.ask("/api/login", "POST", {"token": f"guess {number}"}).status
            for number in range(8)
        ]
        assert answers == [401] * 5 + [429] * 3
        assert server.ask("/api/login", "POST", {"token": TOKEN}).status == 429
        assert "guess" not in server.log()
        assert TOKEN not in server.log()
        refusal(server, "refused /api/login from 127.0.0.1: 429")


# The log, methods, and the edges of HTTP.


def test_nobody_writes_lines_of_his_own_into_the_log(server: Server) -> None:
    ends = "%0d%0arefused%20you%20are%20owned%1b[2J%e2%80%a8%c2%85"
    for path in (f"/static/../{ends}", f"/api/images/{ends}", f"/api/indexes/{ends}", f"/{ends}"):
        server.ask(path, headers={"Origin": EVIL})
    server.ask("/api/jobs", "POST", b"{}", {"Origin": f"{EVIL}\x1b[2J\x9b"})
    log = server.log()
    assert "\nrefused you are owned" not in log
    assert not set(log) & {"\x1b", "\r", "\u2028", "\x85", "\x9b"}


@pytest.mark.parametrize("path", ["/", "/api/search", "/api/indexes", "/api/images/1/original"])
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "TRACK", "GETT"])
def test_other_methods_do_nothing(server: Server, method: str, path: str) -> None:
    answer = server.ask(path, method, headers={"X-Secret": SECRET.decode()})
    assert (answer.status, SECRET in answer.body) == (405, False)
    assert answer.headers["allow"]


def test_head_gives_no_body(server: Server) -> None:
    image = ids(server)["0000.jpg"]
    for path in (
        "/static/app.js",
        f"/api/images/{image}/original",
        f"/api/images/{image}/thumbnail",
    ):
        request = f"HEAD {path} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
        reply = server.send(request)
        assert (status(reply), reply.partition(b"\r\n\r\n")[2]) == (200, b"")


SMUGGLED = "GET /api/indexes HTTP/1.1\r\nHost: HOST\r\n\r\n"
FRAMES = {
    "both lengths": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, swapped": "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a list of lengths": "Content-Length: 0, 44\r\n\r\n",
    "a signed length": "Content-Length: +0\r\n\r\n",
    "a negative length": "Content-Length: -1\r\n\r\n",
    "a hexadecimal length": "Content-Length: 0x0\r\n\r\n",
    "an Arabic length": "Content-Length: \xd9\xa0\r\n\r\n",
    "an endless length": f"Content-Length: {'9' * 400}\r\n\r\n",
    "an unknown coding": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded coding": "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: -0\r\n\r\n",
    "a tab for a coding": "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk of junk": "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "an endless chunk": f"Transfer-Encoding: chunked\r\n\r\n{'f' * 40}\r\n\r\n",
    "a carriage return": "X: y\rContent-Length: 4\r\n\r\n",
    "NUL": "X: y\0\r\n\r\n",
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_nothing_is_smuggled_behind_a_request(server: Server, frame: str) -> None:
    head = "POST /api/search HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
    reply = server.send(f"{head}{frame}{SMUGGLED}", timeout=5)
    assert reply.count(b"HTTP/1.1 ") == 1
    assert status(reply) in (400, 413, 501)
    assert b'"indexes"' not in reply


def test_heads_without_an_end_are_refused(server: Server) -> None:
    for head in ("GET /" + "a" * 200_000, "GET / HTTP/1.1\r\n" + "X: y\r\n" * 50_000):
        assert status(server.send(head)) == 400
    assert server.ask("/api/health").status == 200


def test_an_error_of_the_server_tells_nothing(server: Server, home: Path) -> None:
    for body in ('{"text": "\\ud800"}', '{"filters": {"folder": "/\\udcff"}}', '{"more": [1e400]}'):
        answer = server.ask("/api/search", "POST", body, {"Content-Type": "application/json"})
        assert answer.status in (200, 400, 422)
        assert "Traceback" not in answer.body.decode("latin-1")
        json.loads(answer.body)
