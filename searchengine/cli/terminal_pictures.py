"""Pictures inside a terminal: kitty's graphics, iTerm2's inline images, and sixel.

Sources: "The terminal graphics protocol" of kitty; "Inline Images Protocol" of iTerm2; the VT330 /
VT340 programmer reference for sixel and for DA1, the terminal's answer to `ESC [ c`.
"""

from __future__ import annotations

import base64
import io
import os
import re
import select
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import PIL.Image

Protocol: TypeAlias = Literal["kitty", "iterm2", "sixel"]

BOX: Final = (480, 240)
"""Width and height, in pixels, that a picture has to fit into."""

_ROWS: Final = 10  # lines of text as high as the box
_CHUNK: Final = 4096  # bytes of base64 that kitty takes at once
_PATIENCE: Final = 0.2  # seconds that a terminal has to answer
_SIXEL: Final = "4"  # the attribute in DA1
_LONG_RUN: Final = re.compile(r"(.)\1{3,}", re.DOTALL)


def find_protocol(environment: Mapping[str, str] = os.environ) -> Protocol | None:
    """How this terminal shows pictures, or None when it cannot or stdout is none."""
    if not sys.stdout.isatty():
        return None
    if known := _known_terminal(environment):
        return known
    if sys.stdin.isatty() and answers_sixel(sys.stdin.fileno(), sys.stdout.fileno()):
        return "sixel"
    return None


def _known_terminal(environment: Mapping[str, str]) -> Protocol | None:
    term = environment.get("TERM", "")
    if "TMUX" in environment or term.startswith(("screen", "tmux")):
        return None  # it stands between, and passes on only what it knows itself
    program = environment.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in environment or term in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program.lower() == "ghostty":
        return "kitty"
    if "iTerm.app" in (program, environment.get("LC_TERMINAL")) or program == "WezTerm":
        return "iterm2"
    return None


def answers_sixel(keyboard: int, screen: int) -> bool:
    """Whether the terminal behind two file descriptors says that it shows sixel pictures.

    It is asked for its attributes; one that does not answer within 0.2 s shows none.
    """
    try:
        import termios
        import tty
    except ImportError:  # Windows
        return False
    try:
        if os.tcgetpgrp(keyboard) != os.getpgrp():
            return False  # in the background: to ask would stop this process
        before = termios.tcgetattr(keyboard)
    except (OSError, termios.error):
        return False
    try:
        tty.setcbreak(keyboard)
        os.write(screen, b"\x1b[c")
        answer = _read_answer(keyboard)
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
    found = re.search(r"\x1b\[\?([\d;]+)c", answer)
    return found is not None and _SIXEL in found[1].split(";")[1:]


def _read_answer(keyboard: int) -> str:
    answer, until = b"", time.monotonic() + _PATIENCE
    while not answer.endswith(b"c") and (left := until - time.monotonic()) > 0:
        if select.select([keyboard], [], [], left)[0]:
            answer += os.read(keyboard, 100)
    return answer.decode("ascii", "replace")


def drawn(picture: PIL.Image.Image, protocol: Protocol) -> str:
    """What to print so that the terminal shows an RGB picture, which fits into `BOX`."""
    if protocol == "sixel":
        return "".join(_sixel(picture))
    content = io.BytesIO()
    picture.save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    rows = max(1, round(_ROWS * picture.height / BOX[1]))
    if protocol == "kitty":
        return "".join(_kitty(data, rows))
    size = len(content.getvalue())
    return f"\x1b]1337;File=inline=1;size={size};height={rows};preserveAspectRatio=1:{data}\a"


def _kitty(data: str, rows: int) -> Iterator[str]:
    """A PNG file's base64 in chunks; q=2 asks for no answer, which the shell would read."""
    control = f"a=T,f=100,q=2,r={rows},"
    for start in range(0, len(data), _CHUNK):
        more = int(start + _CHUNK < len(data))
        yield f"\x1b_G{control}m={more};{data[start : start + _CHUNK]}\x1b\\"
        control = ""


def _sixel(picture: PIL.Image.Image) -> Iterator[str]:
    """A palette of at most 256 colours, then bands of six lines, each colour of a band in turn."""
    import numpy as np

    reduced = picture.quantize(256)
    palette = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    pixels = np.asarray(reduced)
    height, width = pixels.shape
    yield f'\x1bP0;1q"1;1;{width};{height}'
    for number, colour in enumerate(np.rint(palette / 2.55).astype(int).tolist()):
        yield "#{};2;{};{};{}".format(number, *colour)
    weights = 1 << np.arange(6)
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        for number in np.unique(band).tolist():
            bits = weights[: len(band)] @ (band == number)
            line = (bits + 63).astype(np.uint8).tobytes().decode("ascii").rstrip("?")
            yield f"#{number}{_LONG_RUN.sub(_run, line)}$"
        yield "-"
    yield "\x1b\\"


def _run(found: re.Match[str]) -> str:
    return f"!{len(found[0])}{found[1]}"
