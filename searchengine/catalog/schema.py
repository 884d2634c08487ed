"""The tables, and the text they hold; the words of images have a table of their own, `words`."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Table, Text


class AnyText(sa.TypeDecorator[str]):
    """Text that every database takes, though a file name may hold bytes that are not UTF-8.

    Python shows such a byte as a lone surrogate, U+DC80..U+DCFF (PEP 383); it is stored as the
    private-use character U+10FE80..U+10FEFF. A name that holds one of those already is stored as
    the bytes of its UTF-8 in the same way, so that what is read is always what was written. Other
    lone surrogates are in no file name; they become U+FFFD.
    """

    impl = Text
    cache_ok = True
    _special = re.compile("[\ud800-\udfff\U0010fe80-\U0010feff]")

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        """Write each byte that is not UTF-8 as its private-use character."""
        return None if value is None else self._special.sub(_hide_bytes, value)

    def process_result_value(self, value: str | None, dialect: object) -> str | None:
        """Give the bytes back."""
        if value is None or value.isascii() or not self._special.search(value):
            return value
        shown = self._special.sub(lambda found: chr(0xDC00 + (ord(found[0]) & 0xFF)), value)
        return shown.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _hide_bytes(found: re.Match[str]) -> str:
    if "\ud800" <= found[0] <= "\udfff" and not "\udc80" <= found[0] <= "\udcff":
        return "\ufffd"
    return "".join(chr(0x10FE00 + byte) for byte in found[0].encode("utf-8", "surrogateescape"))


def _of_image(**options: Any) -> Column[int]:
    key = ForeignKey("images.id", ondelete="CASCADE")
    return Column("image_id", key, nullable=False, **options)


def _file_columns(**options: Any) -> list[Column[Any]]:
    return [
        Column("root_id", ForeignKey("roots.id"), nullable=False, **options),
        Column("path", AnyText, nullable=False, **options),
        Column("size", BigInteger, nullable=False),
        Column("mtime_ns", BigInteger, nullable=False),
    ]


metadata = sa.MetaData()
roots = Table(
    "roots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", AnyText, unique=True, nullable=False),
    Column("exclude", sa.JSON, nullable=False, server_default="[]"),
    Column("include_hidden", sa.Boolean, nullable=False, server_default=sa.false()),
)
images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    *_file_columns(),
    Column("digest", LargeBinary, nullable=False, index=True),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("format", AnyText, nullable=False),
    Column("taken_at", AnyText),
    Column("camera", AnyText),
    Column("lens", AnyText),
    Column("latitude", sa.Float),
    Column("longitude", sa.Float),
    Column("phash", BigInteger),
    sa.UniqueConstraint("root_id", "path"),
    sqlite_autoincrement=True,
)
embeddings = Table(
    "embeddings",
    metadata,
    # Grows with every vector written and is never used twice: tells what a reader has not seen.
    Column("seq", Integer, primary_key=True),
    _of_image(unique=True),
    Column("vector", LargeBinary, nullable=False),  # dim float16, little-endian
    sqlite_autoincrement=True,
)
staged = Table(  # what another encoder makes of the images, until it takes over
    "staged",
    metadata,
    _of_image(primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)
failures = Table(
    "failures",
    metadata,
    *_file_columns(primary_key=True),
    Column("reason", AnyText, nullable=False),
)
captions = Table(
    "captions",
    metadata,
    _of_image(primary_key=True),
    Column("text", AnyText, primary_key=True),
)
settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
