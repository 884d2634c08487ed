"""Where a Milvus is, apart from who may enter."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from searchengine.errors import StoreError

FORMS: Final = (
    "milvus:http://HOST:19530, milvus:https://USER:PASSWORD@HOST:PORT/DATABASE, "
    "or milvus:FOLDER.db (Milvus Lite, in this process)"
)
_PORTS: Final = {"http": 19530, "https": 443}


@dataclass(frozen=True)
class MilvusAddress:
    """A server, or with `path` the folder of Milvus Lite; `shown` is fit for anybody's eyes."""

    shown: str
    uri: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    database: str = ""
    path: str = ""

    @classmethod
    def parse(cls, address: str) -> MilvusAddress:
        """Read what comes after `milvus:`.

        Raises:
            StoreError: it is none of the forms.
        """
        if address.endswith(".db") and "://" not in address:
            path = os.path.abspath(os.path.expanduser(address))
            return cls(f"milvus:{path}", path=path)
        try:
            parts = urlsplit(address)
            port = parts.port or _PORTS[parts.scheme]
            host = parts.hostname or ""
        except (ValueError, KeyError):
            raise StoreError(f"this is not the address of a Milvus; write {FORMS}") from None
        database = parts.path.strip("/")
        if not host or "/" in database or parts.query or parts.fragment:
            raise StoreError(f"this is not the address of a Milvus; write {FORMS}")
        uri = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        return cls(
            f"milvus:{uri}{database and f'/{database}'}",
            uri,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            unquote(database),
        )
