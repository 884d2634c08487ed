"""Where a PostgreSQL is, apart from who may enter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from searchengine.errors import StoreError

_SCHEMES: Final = ("postgresql", "postgresql+psycopg")
_SECRET: Final = ("user", "password", "sslpassword", "passfile")


@dataclass(frozen=True)
class PgVectorAddress:
    """What libpq takes, and `shown`, which is fit for anybody's eyes."""

    shown: str
    conninfo: str = field(repr=False)
    passwords: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, url: str) -> PgVectorAddress:
        """Read the URL of a database, as libpq or SQLAlchemy write it.

        Raises:
            StoreError: it is none.
        """
        try:
            parts = urlsplit(url)
            password, _ = parts.password or "", parts.port
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in _SCHEMES or not url.partition("://")[1]:
            raise StoreError(
                "this is not the URL of a PostgreSQL database; write "
                "pgvector:postgresql+psycopg://USER@HOST/NAME"
            )
        options = parse_qsl(parts.query, keep_blank_values=True)
        place = parts.netloc.rpartition("@")[2]
        public = urlencode([each for each in options if each[0] not in _SECRET])
        secrets = [value for key, value in options if key in ("password", "sslpassword")]
        given = (password, unquote(password), *secrets)
        return cls(
            f"pgvector:postgresql://{place}{parts.path}{public and f'?{public}'}",
            f"postgresql{url[len(parts.scheme) :]}",
            tuple(dict.fromkeys(each for each in given if each)),
        )
