"""The tables, and the text they hold; the words of images have a table of their own, `words`."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Table, Text

_NULL = "\U0010fe00"


class AnyText(sa.TypeDecorator[str]):
    """Text that every database takes, though a file name may hold bytes that are not UTF-8.

    Python shows such a byte as a lone surrogate, U+DC80..U+DCFF (PEP 383); it is stored as the
    private-use character U+10FE80..U+10FEFF. A name that holds one of those already is stored as
    the bytes of its UTF-8 in the same way, so that what is read is always what was written. Other
    lone surrogates are in no file name; they become U+FFFD. PostgreSQL takes no U+0000: there it is
    stored as U+10FE00, in the same way. Texts are compared as their UTF-8 is, byte by byte.
    """

    impl = Text
    cache_ok = True
    _special = re.compile("[\ud800-\udfff\U0010fe80-\U0010feff]")
    _with_null = re.compile("[\0\ud800-\udfff\U0010fe00\U0010fe80-\U0010feff]")

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Compare by bytes."""
        return Text(collation="C") if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: str | None, dialect: sa.Dialect | None) -> str | None:
        """Write each byte that is not UTF-8 as its private-use character."""
        if value is None:
            return None
        hides_null = dialect is not None and dialect.name == "postgresql"
        return (self._with_null if hides_null else self._special).sub(_hide_bytes, value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect | None) -> str | None:
        """Give the bytes back."""
        if value is None or value.isascii():
            return value
        if _NULL in value and dialect is not None and dialect.name == "postgresql":
            value = value.replace(_NULL, "\0")
        if not self._special.search(value):
            return value
        shown = self._special.sub(lambda found: chr(0xDC00 + (ord(found[0]) & 0xFF)), value)
        return shown.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _hide_bytes(found: re.Match[str]) -> str:
    if "\ud800" <= found[0] <= "\udfff" and not "\udc80" <= found[0] <= "\udcff":
        return "\ufffd"
    return "".join(chr(0x10FE00 + byte) for byte in found[0].encode("utf-8", "surrogateescape"))


# SQLite numbers the rows of a table by itself only where the type is INTEGER, of 64 bits as well.
_Number = BigInteger().with_variant(Integer, "sqlite")


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
    Column("id", _Number, primary_key=True),
    Column("path", AnyText, unique=True, nullable=False),
    Column("exclude", sa.JSON, nullable=False, server_default="[]"),
    Column("include_hidden", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("stamp", Text, nullable=False, server_default=""),  # every write to the root changes it
)
images = Table(
    "images",
    metadata,
    Column("id", _Number, primary_key=True),
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
models = Table(
    "models",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, unique=True, nullable=False),
    Column("dim", Integer, nullable=False),
)
embeddings = Table(
    "embeddings",
    metadata,
    # Grows with every vector written and is never used twice: tells what a reader has not seen.
    Column("seq", _Number, primary_key=True),
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), nullable=False),
    _of_image(),
    Column("vector", LargeBinary, nullable=False),  # dim float16, little-endian
    sa.UniqueConstraint("image_id", "model_id"),  # in this order: it serves every look by image
    sqlite_autoincrement=True,
)
failures = Table(
    "failures",
    metadata,
    *_file_columns(primary_key=True),
    Column("reason", AnyText, nullable=False),
)
captions = Table(  # those of an image are in the order of their ids
    "captions",
    metadata,
    Column("id", _Number, primary_key=True),
    _of_image(index=True),
    Column("text", AnyText, nullable=False),
    sqlite_autoincrement=True,
)
settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
stores = Table(  # how far each vector store has followed the catalog
    "stores",
    metadata,
    Column("name", Text, primary_key=True),
    Column("stamp", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
)
dropped = Table(  # images that lost an embedding, while there are stores to be told of it
    "dropped",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("image_id", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

_present = sa.select(sa.cast(settings.c.value, BigInteger)).where(settings.c.key == "model")
PRESENT = _present.scalar_subquery()
"""The id of the model whose embeddings are searched."""
OF_PRESENT = embeddings.c.model_id == PRESENT
"""What holds for its embeddings."""
