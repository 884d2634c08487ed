"""A folder of everything that a picture search meets in the wild and should survive."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw

SIZE = (320, 240)


@dataclass(frozen=True)
class Expected:
    """What a walk finds, by relative path: the pictures that can be read, and the others."""

    good: frozenset[str]
    bad: frozenset[str]


def make_hostile_folder(folder: Path, good: Sequence[bytes]) -> Expected:
    """Fill `folder`, which exists and is empty, from some valid JPEG files."""
    before = _names(folder)
    _write_pictures(folder, good)
    _write_links(folder)
    pictures = _names(folder) - before
    _write_broken(folder, good[0])
    return Expected(good=frozenset(pictures), bad=frozenset(_names(folder) - pictures - before))


def _names(folder: Path) -> set[str]:
    """Every regular file by its relative path; links are not followed."""
    return {
        os.path.relpath(os.path.join(base, name), folder)
        for base, _, names in os.walk(folder)
        for name in names
        if not os.path.islink(os.path.join(base, name))
    }


def _write_pictures(folder: Path, good: Sequence[bytes]) -> None:
    (folder / "sub").mkdir()
    for number, content in enumerate(good):
        (folder / f"photo {number}.jpg").write_bytes(content)
    (folder / "sub" / "exact copy.jpg").write_bytes(good[0])
    (folder / "UPPER.JPG").write_bytes(good[0])
    for name in ("tree 🌳 été.jpg", "line\nbreak.jpg", os.fsdecode(b"latin-1 \xe9 \xff.jpg")):
        try:
            (folder / name).write_bytes(good[-1])
        except OSError:  # file systems that insist on UTF-8
            continue
    frames = [Image.new("RGB", SIZE, color) for color in ("red", "green", "blue")]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:], duration=40)
    grey = np.linspace(0, 65535, SIZE[0] * SIZE[1]).reshape(SIZE[::-1]).astype(np.uint16)
    Image.fromarray(grey).save(folder / "grey16.png")
    logo((0, 0, 0)).save(folder / "black logo.png")
    logo((255, 255, 255)).save(folder / "white logo.png")
    logo((200, 0, 0)).quantize(8).save(folder / "palette.png")
    photo = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    pillow_heif.from_pillow(photo).save(folder / "telephone.heic")
    photo.save(folder / "turned.jpg", exif=_orientation(6))
    for color in ("red", "blue"):  # over 3 MB: equal in their first and last megabyte
        twin = Image.new("RGB", (1024, 1100), "white")
        twin.paste(color, (0, 450, 1024, 650))
        twin.save(folder / f"twin {color}.bmp")


def logo(color: tuple[int, int, int]) -> Image.Image:
    """A disc of one colour on a transparent ground of the same colour."""
    image = Image.new("RGBA", SIZE, (*color, 0))
    ImageDraw.Draw(image).ellipse((80, 40, 240, 200), fill=(*color, 255))
    return image


def _orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def _write_links(folder: Path) -> None:
    """Two links to folders around them, which lead a naive walk round in circles."""
    (folder / "up").symlink_to(folder.parent, target_is_directory=True)
    (folder / "sub" / "up").symlink_to("..", target_is_directory=True)


def _write_broken(folder: Path, jpeg: bytes) -> None:
    (folder / "truncated.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "zero bytes.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("Dear diary, this is not a picture.\n" * 20)
    (folder / "huge.png").write_bytes(huge_png(20_000))
    locked = folder / "locked.jpg"
    locked.write_bytes(jpeg)
    locked.chmod(0)
    if os.access(locked, os.R_OK):  # the superuser reads everything
        locked.unlink()


def huge_png(side: int) -> bytes:
    """A valid black PNG of `side` x `side` 1-bit pixels, in a few kilobytes."""
    deflate = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    pixels = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
