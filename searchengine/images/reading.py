"""Read a file for the index: hash its content and, unless that is known, decode it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from searchengine.errors import ImageError
from searchengine.images.decode import Picture, decode_named, digest, hash_content, read
from searchengine.images.perceptual import perceptual_hash

IsKnown: TypeAlias = Callable[[bytes], bool]
"""Tells of a digest whether its content needs no decoding."""


class Content(NamedTuple):
    """What a file holds: the digest of its bytes, and the picture, None where it is known."""

    digest: bytes
    picture: Picture | None


def read_unless_known(path: str, is_known: IsKnown, *, min_side: int) -> Content:
    """Read a file on disk; `info` of its picture has the perceptual hash. Raises `ImageError`."""
    found = digest(path)
    return Content(found, None if is_known(found) else _hashed(read(path, min_side=min_side)))


def read_bytes_unless_known(
    content: bytes, name: str, is_known: IsKnown, *, min_side: int
) -> Content:
    """The same for a file's bytes that are here already."""
    if not content:
        raise ImageError("empty file")
    found = hash_content(io.BytesIO(content))
    if is_known(found):
        return Content(found, None)
    return Content(found, _hashed(decode_named(io.BytesIO(content), name, min_side=min_side)))


def _hashed(picture: Picture) -> Picture:
    return replace(picture, info=replace(picture.info, phash=perceptual_hash(picture.image)))
