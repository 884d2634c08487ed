from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from searchengine.index import Index
from searchengine.web import picture_files, pictures, rendering
from searchengine.web.file_answer import requested
from searchengine.web.problems import Problem
from searchengine.web.studio import Studio
from tests.hostile import huge_png, logo
from tests.ingest.collection import write_as_cluster
from tests.pictures import fill, jpeg, picture
from tests.scale.cluster.test_sources import write_shard
from tests.scale.parts import require
from tests.web.shelf import ask_for, ids, index_folder, listening, serve, until

ODD = os.fsdecode(b'caf\xe9 "\x07\n;') + "\u202egpj.\u00e9\N{EVERGREEN TREE}.jpg"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """`photos` with a few pictures, indexed in `index`."""
    photos = tmp_path / "photos"
    fill(photos / "sub", 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(7, (1000, 600)).save(photos / "turned.jpg", exif=exif)
    Image.new("RGB", (2000, 1000), "teal").save(photos / "wide.png")
    logo((200, 0, 0)).save(photos / "logo.png")
    (photos / ODD).write_bytes(jpeg(9))
    index_folder(photos, tmp_path / "index")
    return tmp_path


@pytest.fixture
def client(home: Path) -> TestClient:
    return serve(home)


@pytest.fixture
def known(client: TestClient) -> dict[str, int]:
    return ids(client)


def thumbnail(client: TestClient, image_id: int, size: str = "small", **headers: str) -> object:
    return client.get(f"/api/images/{image_id}/thumbnail?size={size}", headers=headers)


def opened(response: object) -> Image.Image:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/webp"
    image = Image.open(io.BytesIO(response.content))
    image.load()
    return image


# --- Thumbnails ---


def test_thumbnails_fit_and_stand_upright(client: TestClient, known: dict[str, int]) -> None:
    assert opened(thumbnail(client, known["wide.png"])).size == (400, 200)
    assert opened(thumbnail(client, known["wide.png"], "large")).size == (1600, 800)
    turned = opened(thumbnail(client, known["turned.jpg"]))
    assert turned.size == (240, 400)
    expected = picture(7, (1000, 600)).transpose(Image.Transpose.ROTATE_270).resize((4, 4))
    seen = turned.convert("RGB").resize((4, 4))
    pairs = zip(seen.tobytes(), expected.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 40
    assert opened(thumbnail(client, known["sub/0000.jpg"], "large")).size == (
        96,
        64,
    )  # never larger


def test_transparency_is_laid_on_white(client: TestClient, known: dict[str, int]) -> None:
    shown = opened(thumbnail(client, known["logo.png"])).convert("RGB")
    assert min(shown.getpixel((2, 2))) > 240
    assert shown.getpixel((160, 120))[0] > 150 > shown.getpixel((160, 120))[1]


def test_the_same_thumbnail_is_made_once(
    client: TestClient, known: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = thumbnail(client, known["wide.png"])
    monkeypatch.setattr(pictures, "open_indexed", lambda _: pytest.fail("it is read again"))
    second = thumbnail(client, known["wide.png"])
    assert second.content == first.content
    tag = first.headers["etag"]
    assert tag == second.headers["etag"]
    assert not tag.startswith("W/")
    assert first.headers["cache-control"] == "private, max-age=86400"
    monkeypatch.setattr(
        client.app.state.studio.thumbnails, "get", lambda _: pytest.fail("it is touched")
    )
    for header in (tag, f'"other", W/{tag}', "*"):
        answer = thumbnail(client, known["wide.png"], **{"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag


def test_sizes_and_states_of_a_file_have_tags_of_their_own(
    home: Path, client: TestClient, known: dict[str, int]
) -> None:
    small, large = (thumbnail(client, known["wide.png"], size) for size in ("small", "large"))
    assert small.headers["etag"] != large.headers["etag"]
    Image.new("RGB", (800, 800), "red").save(home / "photos" / "wide.png")
    other = serve(home, cache=home / "other")  # which knows nothing: it has to look at the file
    changed = thumbnail(other, known["wide.png"])
    assert opened(changed).size == (400, 400)
    assert changed.headers["etag"] != small.headers["etag"]
    assert thumbnail(client, known["wide.png"]).content == small.content
    index_folder(home / "photos", home / "index")
    again = thumbnail(client, known["wide.png"])
    assert again.headers["etag"] == changed.headers["etag"]
    assert opened(again).size == (400, 400)


def test_a_kept_thumbnail_outlives_its_drive(
    home: Path, client: TestClient, known: dict[str, int]
) -> None:
    kept = thumbnail(client, known["wide.png"])
    (home / "photos").rename(home / "away")
    assert thumbnail(client, known["wide.png"]).content == kept.content
    for path in (f"{known['logo.png']}/thumbnail", f"{known['wide.png']}/original"):
        answer = client.get(f"/api/images/{path}")
        assert answer.status_code == 404
        assert f"{home / 'photos'} is not there" in answer.json()["detail"]
    (home / "photos").mkdir()  # where it was mounted
    assert (
        "is empty; is its drive mounted?" in thumbnail(client, known["logo.png"]).json()["detail"]
    )


def test_what_is_gone_unknown_or_damaged_is_told(
    home: Path, client: TestClient, known: dict[str, int]
) -> None:
    (home / "photos" / "logo.png").unlink()
    gone = thumbnail(client, known["logo.png"])
    assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
    assert "not there any more" in gone.json()["detail"]
    assert thumbnail(client, 999).status_code == 404
    assert client.get("/api/images/1/thumbnail?index=other").status_code == 404
    for content, reason in ((b"text", "text"), (jpeg(1)[:800], "truncated"), (b"", "damaged")):
        (home / "photos" / "turned.jpg").write_bytes(content)
        broken = thumbnail(client, known["turned.jpg"])
        assert broken.status_code == 415
        assert broken.json()["detail"].startswith("this picture cannot be shown: ")
        assert reason in broken.json()["detail"] or content == b""
    (home / "photos" / "turned.jpg").write_bytes(huge_png(20_000))
    assert "too large" in thumbnail(client, known["turned.jpg"]).json()["detail"]
    assert client.get("/api/images/0/thumbnail").status_code == 422
    assert client.get(f"/api/images/{2**63}/original").status_code == 422


def test_a_thumbnail_wanted_by_many_is_made_once(
    home: Path, known: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ready = [], threading.Event()
    small_webp = pictures.small_webp

    def slow(*arguments: object) -> object:
        made.append(arguments)
        ready.wait(5)
        return small_webp(*arguments)

    monkeypatch.setattr(pictures, "small_webp", slow)
    with serve(home, cache_bytes=0) as client, ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(thumbnail, client, known["wide.png"]) for _ in range(8)]
        studio = client.app.state.studio
        until(lambda: sum(work.wanted for work in studio.renderer._work.values()) == 8)
        ready.set()
        assert len({each.result().content for each in answers}) == 1
    assert len(made) == 1


def test_who_waits_too_long_is_sent_away(
    home: Path, known: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = threading.Event()
    monkeypatch.setattr(rendering, "PATIENCE", 0.2)
    monkeypatch.setattr(pictures, "small_webp", lambda *_: (ready.wait(5), (b"", (1, 1)))[1])
    names = ["wide.png", "logo.png", "turned.jpg", "sub/0000.jpg", "sub/0001.jpg"]
    with serve(home) as client, ThreadPoolExecutor(8) as pool:
        client.app.state.studio.renderer = rendering.Renderer(threads=2)
        answers = [pool.submit(thumbnail, client, known[name]) for name in names]
        until(lambda: sum(each.done() for each in answers) == 3)
        ready.set()
        found = [each.result() for each in answers]
        client.app.state.studio.renderer.close()
    assert sorted(each.status_code for each in found) == [200, 200, 503, 503, 503]
    assert {each.headers["retry-after"] for each in found if each.status_code == 503} == {"1"}


def test_what_nobody_waits_for_any_more_is_not_made(
    home: Path, known: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ready = [], threading.Event()

    def slow(file: object, name: str, shape: object) -> object:
        made.append(name)
        ready.wait(5)
        return b"", (1, 1)

    monkeypatch.setattr(pictures, "small_webp", slow)
    client = serve(home)
    with listening(client.app) as port:
        client.app.state.studio = studio = Studio(client.app.state.settings)
        studio.renderer = rendering.Renderer(threads=1)
        calls = [ask_for(port, f"/api/images/{known[name]}/thumbnail") for name in list(known)[:4]]
        until(lambda: len(studio.renderer._work) == 4 and made)
        for call in calls:
            call.close()
        until(lambda: len(studio.renderer._work) <= 1)
        ready.set()
        until(lambda: not studio.renderer._work)
        studio.renderer.close()
    assert len(made) == 1


# --- Originals ---


def original(client: TestClient, image_id: int, **headers: str) -> object:
    return client.get(f"/api/images/{image_id}/original", headers=headers)


def test_an_original_is_the_file(home: Path, client: TestClient, known: dict[str, int]) -> None:
    for name, kind in (("wide.png", "image/png"), ("sub/0001.jpg", "image/jpeg")):
        answer = original(client, known[name])
        assert answer.status_code == 200
        assert answer.content == (home / "photos" / name).read_bytes()
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["x-content-type-options"] == "nosniff"
        modified = (home / "photos" / name).stat().st_mtime
        assert answer.headers["last-modified"] == formatdate(int(modified), usegmt=True)
        head = client.head(f"/api/images/{known[name]}/original")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.content))
        assert head.headers["etag"] == answer.headers["etag"]


def test_a_name_of_any_bytes_is_a_header(client: TestClient, known: dict[str, int]) -> None:
    answer = original(client, known[ODD])
    assert answer.status_code == 200
    disposition = answer.headers["content-disposition"]
    assert disposition.isascii()
    kind, name = disposition.split("; filename*=UTF-8''")
    assert kind == "inline"
    assert unquote_to_bytes(name).decode() == 'caf\ufffd "__;_gpj.\u00e9\N{EVERGREEN TREE}.jpg'
    assert not set(name) & set(' ";,\\')


def test_a_known_original_is_not_sent_again(client: TestClient, known: dict[str, int]) -> None:
    first = original(client, known["wide.png"])
    for header, value in (
        ("If-None-Match", first.headers["etag"]),
        ("If-Modified-Since", first.headers["last-modified"]),
    ):
        answer = original(client, known["wide.png"], **{header: value})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == first.headers["etag"]
    for header, value in (
        ("If-None-Match", '"other"'),
        ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("If-Modified-Since", "yesterday"),
    ):
        assert original(client, known["wide.png"], **{header: value}).status_code == 200


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, bytes]]:
    """A client of one picture, number 1, and its content."""
    home = tmp_path_factory.mktemp("home")
    fill(home / "photos", 1)
    index_folder(home / "photos", home / "index")
    with serve(home) as client:
        yield client, (home / "photos" / "0000.jpg").read_bytes()


@settings(max_examples=80, deadline=None)
@given(first=st.none() | st.integers(0, 4000), last=st.none() | st.integers(0, 4000))
def test_a_range_is_a_slice_of_the_file(
    shared: tuple[TestClient, bytes], first: int | None, last: int | None
) -> None:
    client, content = shared
    size = len(content)
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    answer = original(client, 1, Range=asked)
    if first is None:
        expected = content if last is None else content[size - min(last, size) :]
    else:
        expected = content[first : None if last is None else last + 1]
    if (first is None and last is None) or (None not in (first, last) and last < first):
        assert (answer.status_code, answer.content) == (200, content)
    elif not expected:
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{size}"
    else:
        assert (answer.status_code, answer.content) == (206, expected)
        start = first if first is not None else size - len(expected)
        end = start + len(expected) - 1
        assert answer.headers["content-range"] == f"bytes {start}-{end}/{size}"
        assert answer.headers["content-length"] == str(len(expected))


@given(header=st.text(max_size=30) | st.from_regex(r"bytes=[0-9,\- ]*", fullmatch=True))
def test_any_range_header_is_answered(header: str) -> None:
    with contextlib.suppress(Problem):
        part = requested(header, 100)
        assert part is None or (0 <= part.start < part.stop <= 100 and part.step == 1)


def test_odd_ranges(shared: tuple[TestClient, bytes]) -> None:
    client, content = shared
    for header in ("bytes=0-1,4-5", "pages=0-1", "bytes=a-b", "bytes=1", "bytes=" + "9" * 40 + "-"):
        answer = original(client, 1, Range=header)
        assert (answer.status_code, answer.content) == (200, content)
    assert original(client, 1, Range="BYTES = 1 - 2").content == content[1:3]
    tags = original(client, 1).headers
    for validator in (tags["etag"], tags["last-modified"]):
        answer = original(client, 1, Range="bytes=1-2", **{"If-Range": validator})
        assert (answer.status_code, answer.content) == (206, content[1:3])
    for validator in ('"other"', "W/" + tags["etag"], "Thu, 01 Jan 1970 00:00:00 GMT"):
        answer = original(client, 1, Range="bytes=1-2", **{"If-Range": validator})
        assert (answer.status_code, answer.content) == (200, content)
    head = client.head("/api/images/1/original", headers={"Range": "bytes=1-2"})
    assert (head.status_code, head.headers["content-length"], head.content) == (206, "2", b"")
    with pytest.raises(Problem):
        requested("bytes=0-", 0)


# --- Files that are not what they were ---


def both(client: TestClient, image_id: int) -> list[object]:
    return [thumbnail(client, image_id), original(client, image_id)]


def test_a_pipe_in_place_of_a_picture_holds_nobody_up(
    home: Path, client: TestClient, known: dict[str, int]
) -> None:
    (home / "photos" / "logo.png").unlink()
    os.mkfifo(home / "photos" / "logo.png")
    started = time.monotonic()
    for answer in both(client, known["logo.png"]):
        assert answer.status_code == 404
        assert "not a regular file" in answer.json()["detail"]
    (home / "photos" / "logo.png").unlink()
    (home / "photos" / "logo.png").mkdir()
    assert [each.status_code for each in both(client, known["logo.png"])] == [404, 404]
    assert time.monotonic() - started < 10  # it would wait for ever


@pytest.mark.parametrize("target", ["secret.jpg", "/etc/passwd", "/dev/zero"])
def test_a_link_out_of_the_folder_leads_nowhere(
    home: Path, client: TestClient, known: dict[str, int], target: str
) -> None:
    (home / "secret.jpg").write_bytes(jpeg(99))
    (home / "photos" / "logo.png").unlink()
    (home / "photos" / "logo.png").symlink_to(home / target)
    for answer in both(client, known["logo.png"]):
        assert answer.status_code == 404
        assert "photos" in answer.json()["detail"]
    # The same through a folder on the way.
    (home / "photos" / "sub").rename(home / "elsewhere")
    (home / "photos" / "sub").symlink_to(home / "elsewhere")
    (home / "elsewhere" / "0000.jpg").write_bytes(jpeg(98))
    for answer in both(client, known["sub/0000.jpg"]):
        assert answer.status_code == 404


def test_a_link_inside_the_folder_is_followed(
    home: Path, client: TestClient, known: dict[str, int]
) -> None:
    (home / "photos" / "logo.png").unlink()
    (home / "photos" / "logo.png").symlink_to(home / "photos" / "wide.png")
    answer = original(client, known["logo.png"])
    assert answer.content == (home / "photos" / "wide.png").read_bytes()


def test_a_folder_that_was_linked_when_it_was_indexed_shows_thumbnails(tmp_path: Path) -> None:
    fill(tmp_path / "drive", 1)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "drive")
    index_folder(tmp_path / "photos", tmp_path / "index")
    client = serve(tmp_path)
    assert [each.status_code for each in both(client, 1)] == [200, 404]
    client = serve(tmp_path, cache=tmp_path / "other")
    (tmp_path / "drive" / "0000.jpg").write_bytes(jpeg(98))
    assert thumbnail(client, 1).status_code == 404


def test_a_link_swapped_in_after_the_check_leads_nowhere(
    home: Path, client: TestClient, known: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "secret").mkdir()
    (home / "secret" / "0000.jpg").write_bytes(jpeg(99))
    realpath = os.path.realpath

    def swap_then_open(path: str, **options: object) -> str:
        found = realpath(path, **options)
        if found.endswith("0000.jpg"):
            (home / "photos" / "sub").rename(home / "away")
            (home / "photos" / "sub").symlink_to(home / "secret")
        if found.endswith("logo.png"):
            (home / "photos" / "logo.png").unlink()
            (home / "photos" / "logo.png").symlink_to(home / "secret" / "0000.jpg")
        return found

    monkeypatch.setattr(picture_files.os.path, "realpath", swap_then_open)
    assert original(client, known["sub/0000.jpg"]).status_code == 404
    assert original(client, known["logo.png"]).status_code == 404


def test_a_link_swapped_in_after_the_last_check_leads_nowhere(
    home: Path, client: TestClient, known: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "secret.jpg").write_bytes(jpeg(99))
    require_regular = picture_files._require_regular

    def check_then_swap(state: os.stat_result) -> None:
        require_regular(state)
        (home / "photos" / "logo.png").unlink()
        (home / "photos" / "logo.png").symlink_to(home / "secret.jpg")

    monkeypatch.setattr(picture_files, "_require_regular", check_then_swap)
    assert original(client, known["logo.png"]).status_code == 404


def test_a_file_that_shrinks_ends_its_connection_and_no_other(
    home: Path, client: TestClient, known: dict[str, int]
) -> None:
    big = home / "photos" / "wide.png"
    with big.open("r+b") as file:
        file.truncate(30_000_000)  # more than sockets take in advance
    with listening(client.app) as port:
        with ask_for(port, f"/api/images/{known['wide.png']}/original") as call:
            received = len(call.recv(1000))
            os.truncate(big, 1000)
            while chunk := call.recv(1 << 16):
                received += len(chunk)
            assert received < 30_000_000
        with ask_for(
            port, f"/api/images/{known['wide.png']}/original", "Connection: close"
        ) as call:
            assert call.recv(15) == b"HTTP/1.1 200 OK"


def test_a_client_that_leaves_frees_the_file(
    home: Path, client: TestClient, known: dict[str, int]
) -> None:
    os.truncate(
        home / "photos" / "wide.png", 50_000_000_000
    )  # takes many seconds to read, and no room

    def descriptors() -> int:
        links = (f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd"))
        return sum(os.path.realpath(each).endswith("wide.png") for each in links)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no list of open files here")
    with listening(client.app) as port:
        call = ask_for(port, f"/api/images/{known['wide.png']}/original")
        call.recv(1000)
        assert descriptors() == 1
        call.close()
        until(lambda: descriptors() == 0, 5)


# --- Pictures that are no files of this machine ---


@pytest.fixture
def elsewhere(home: Path) -> Iterator[TestClient]:
    """Beside the folder: a picture behind an address, and two inside of shards."""
    system = require("fsspec", "ray").filesystem("memory")
    system.pipe_file("/bucket/a.jpg", jpeg(20))
    write_shard(home / "photos" / "0.tar", {"b.jpg": jpeg(21)})
    system.pipe_file("/bucket/1.tar", (home / "photos" / "0.tar").read_bytes())
    with Index.open(home / "index") as index:
        write_as_cluster(index, "memory://bucket", "a.jpg", jpeg(20))
        write_as_cluster(index, "memory://bucket", "1.tar/b.jpg", jpeg(21))
        write_as_cluster(index, str(home / "photos"), "0.tar/b.jpg", jpeg(21))
    yield serve(home)
    system.store.clear()
    system.pseudo_dirs.clear()


def test_pictures_behind_addresses_and_in_shards_are_shown(elsewhere: TestClient) -> None:
    known = ids(elsewhere)
    for path, number in (("a.jpg", 20), ("1.tar/b.jpg", 21), ("0.tar/b.jpg", 21)):
        shown = opened(thumbnail(elsewhere, known[path])).convert("RGB")
        expected = picture(number).resize(shown.size)
        pairs = zip(shown.tobytes(), expected.tobytes(), strict=True)
        assert np.mean([abs(a - b) for a, b in pairs]) < 10
        address = f"/api/images/{known[path]}/original"
        answer = elsewhere.get(address)
        assert answer.content == jpeg(number)
        assert answer.headers["content-type"] == "image/jpeg"
        part = elsewhere.get(address, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, jpeg(number)[10:20])
        unchanged = {"If-None-Match": answer.headers["etag"]}
        assert elsewhere.get(address, headers=unchanged).status_code == 304


def test_what_is_gone_from_an_address_or_a_shard_is_told(home: Path, elsewhere: TestClient) -> None:
    known = ids(elsewhere)
    require("fsspec", "ray").filesystem("memory").rm("/bucket/a.jpg")
    write_shard(home / "photos" / "0.tar", {"c.jpg": jpeg(21)})
    for path, reason in (("a.jpg", "no such picture"), ("0.tar/b.jpg", "0.tar holds no such")):
        for form in ("thumbnail", "original"):
            answer = elsewhere.get(f"/api/images/{known[path]}/{form}")
            assert answer.status_code == 404
            assert reason in answer.json()["detail"]


def test_a_store_that_does_not_answer_is_no_missing_picture(
    elsewhere: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(type(require("fsspec", "ray").filesystem("memory")), "info", fails)
    answer = elsewhere.get(f"/api/images/{ids(elsewhere)['a.jpg']}/thumbnail")
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "memory://bucket: no answer in time; is the network there?",
    )


def test_a_store_that_hangs_holds_up_nothing_but_its_pictures(
    elsewhere: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, over = threading.Event(), threading.Event()

    def hangs(*_: object, **__: object) -> None:
        asked.set()
        over.wait(60)
        raise TimeoutError

    monkeypatch.setattr(type(require("fsspec", "ray").filesystem("memory")), "info", hangs)
    monkeypatch.setattr(rendering, "PATIENCE", 1.0)
    known = ids(elsewhere)
    with listening(elsewhere.app) as port:
        calls = [
            ask_for(port, f"/api/images/{known['a.jpg']}/{form}")
            for form in ("original", "thumbnail")
            for _ in range(50)  # more than the server has threads
        ]
        try:
            assert asked.wait(10)
            with ask_for(port, f"/api/images/{known['logo.png']}/original") as here:
                here.settimeout(15)
                assert here.recv(65536).startswith(b"HTTP/1.1 200 ")
            calls[-1].settimeout(15)
            assert b" 503 " in calls[-1].recv(65536)
        finally:
            over.set()
            for call in calls:
                call.close()


def test_a_shard_that_became_a_link_out_of_the_folder_leads_nowhere(
    home: Path, elsewhere: TestClient
) -> None:
    shard = home / "photos" / "0.tar"
    shard.rename(home / "secret.tar")
    shard.symlink_to(home / "secret.tar")
    answer = elsewhere.get(f"/api/images/{ids(elsewhere)['0.tar/b.jpg']}/original")
    assert (answer.status_code, answer.content.count(b"JFIF")) == (404, 0)
    assert "leads out of" in answer.json()["detail"]
