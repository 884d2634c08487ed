"""The bytes that terminals get, read back as a terminal would."""

from __future__ import annotations

import base64
import io
import os
import re
import threading
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from searchengine.cli.terminal_pictures import answers_sixel, drawn, find_protocol
from tests.pictures import picture

pty = pytest.importorskip("pty")


def _decode_sixel(data: str) -> np.ndarray:
    """A tiny sixel reader: the pixels that a terminal would show."""
    head = re.match(r'\x1bP0;1q"1;1;(\d+);(\d+)', data)
    assert head
    assert data.endswith("\x1b\\")
    width, height = int(head[1]), int(head[2])
    pixels = np.full((height + 5, width, 3), -1)
    palette: dict[int, list[float]] = {}
    x = y = colour = 0
    tokens = r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|([$])|(-)"
    for found in re.finditer(tokens, data[head.end() : -2]):
        if found[1]:
            palette[int(found[1])] = [int(found[n]) * 2.55 for n in (2, 3, 4)]
        elif found[5]:
            colour = int(found[5])
        elif found[9]:
            x = 0
        elif found[10]:
            x, y = 0, y + 6
        else:
            count, sixel = int(found[6] or 1), ord(found[7] or found[8]) - 63
            for bit in range(6):
                if sixel >> bit & 1:
                    pixels[y + bit, x : x + count] = palette[colour]
            x += count
    assert len(palette) <= 256
    assert (pixels[height:] == -1).all()
    return pixels[:height]


@pytest.mark.parametrize("size", [(61, 40), (1, 1), (7, 12), (480, 5)])
def test_sixel_gives_the_picture_back(size: tuple[int, int]) -> None:
    original = picture(3, size)
    found = _decode_sixel(drawn(original, "sixel"))
    assert found.shape == (size[1], size[0], 3)
    assert found.min() >= 0  # every pixel is painted
    assert np.abs(found - np.asarray(original, float)).mean() < 8


def test_sixel_of_few_colours_is_exact_and_short() -> None:
    flag = Image.new("RGB", (300, 60), "white")
    flag.paste((255, 0, 0), (0, 0, 150, 60))
    data = drawn(flag, "sixel")
    assert np.abs(_decode_sixel(data) - np.asarray(flag, float)).max() <= 1
    assert len(data) < 1000


@pytest.mark.parametrize("size", [(30, 20), (480, 240)])
def test_kitty_gets_a_png_in_chunks(size: tuple[int, int]) -> None:
    original = picture(4, size)
    data = drawn(original, "kitty")
    chunks = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", data)
    assert "".join(f"\x1b_G{control};{part}\x1b\\" for control, part in chunks) == data
    assert all(len(part) <= 4096 for _, part in chunks)
    assert all(len(part) % 4 == 0 for _, part in chunks)
    assert chunks[0][0].startswith("a=T,f=100,q=2,")
    more = [control.rsplit("m=", 1)[1] for control, _ in chunks]
    assert more == ["1"] * (len(chunks) - 1) + ["0"]
    content = base64.b64decode("".join(part for _, part in chunks))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), np.asarray(original))


def test_iterm2_gets_a_png_with_its_size() -> None:
    original = picture(5, (60, 120))
    found = re.fullmatch(
        r"\x1b\]1337;File=inline=1;size=(\d+);height=5;preserveAspectRatio=1:(.*)\a",
        drawn(original, "iterm2"),
    )
    assert found
    content = base64.b64decode(found[2])
    assert len(content) == int(found[1])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), np.asarray(original))


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"KITTY_WINDOW_ID": "1", "TERM": "xterm-256color"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm.app"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, None),
        ({"TMUX": "x", "TERM_PROGRAM": "WezTerm"}, None),
        ({}, None),
    ],
)
def test_terminals_are_known_by_their_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], protocol: str | None
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert find_protocol(environment) == protocol


def test_what_is_no_terminal_shows_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    assert find_protocol({"TERM": "xterm-kitty"}) is None


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], bool]:
    """Ask a terminal that answers with the given bytes, or not at all."""

    def ask(answer: bytes | None) -> bool:
        terminal, ours = pty.openpty()
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())

        def reply() -> None:
            if os.read(terminal, 3) == b"\x1b[c" and answer:
                os.write(terminal, answer)

        thread = threading.Thread(target=reply)
        thread.start()
        try:
            return answers_sixel(ours, ours)
        finally:
            thread.join()
            os.close(terminal)
            os.close(ours)

    return ask


@pytest.mark.parametrize(
    ("answer", "shows"),
    [
        (b"\x1b[?62;4;22c", True),
        (b"\x1b[?63;1;2;4c", True),
        (b"\x1b[?1;2c", False),
        (b"\x1b[?4;1c", False),  # the first number is the kind of terminal
        (b"\x1b[?62;14;40c", False),
        (b"nonsense c", False),
        (None, False),
    ],
)
def test_a_terminal_is_asked_whether_it_shows_sixel(
    ask: Callable[[bytes | None], bool], answer: bytes | None, shows: bool
) -> None:
    assert ask(answer) is shows


def test_a_process_in_the_background_does_not_ask() -> None:
    terminal, ours = pty.openpty()  # not the terminal of this process
    try:
        assert not answers_sixel(ours, ours)
    finally:
        os.close(terminal)
        os.close(ours)
