"""A vector store by its address."""

from __future__ import annotations

from typing import Final

from searchengine.errors import StoreError
from searchengine.types import EncoderSpec
from searchengine.vectors.vector_store import VectorStore

_FORMS: Final = (
    "milvus:http://HOST:19530, milvus:https://USER:PASSWORD@HOST:PORT/DATABASE, "
    "milvus:FOLDER.db (Milvus Lite, in this process), pgvector:postgresql+psycopg://USER@HOST/NAME"
)


def open_store(address: str, alias: str, spec: EncoderSpec) -> VectorStore:
    """The store at an address, for the embeddings of one encoder; nothing is connected yet.

    Args:
        address: what `check_address` returns.
        alias: what all collections of one index have in common; names the one in use.
        spec: the encoder.

    Raises:
        StoreError: there is no such store.
    """
    scheme, _, place = check_address(address).partition(":")
    if scheme == "milvus":
        from searchengine.scale.milvus.store import MilvusStore

        return MilvusStore(place, alias, spec)
    from searchengine.scale.pgvector.store import PgVectorStore

    return PgVectorStore(place, alias, spec)


def check_address(address: str) -> str:
    """The address as it is to be remembered, with an absolute path.

    `pgvector` alone stands for the database of the catalog, whose URL the caller adds.

    Raises:
        StoreError: no store has such an address.
    """
    scheme, _, place = address.partition(":")
    if scheme == "milvus":
        from searchengine.scale.milvus.address import MilvusAddress

        parsed = MilvusAddress.parse(place)
        return f"milvus:{parsed.path}" if parsed.path else address
    if scheme == "pgvector":
        from searchengine.scale.pgvector.address import PgVectorAddress

        if address != scheme:
            PgVectorAddress.parse(place)
        return address
    raise StoreError(f"no vector store has this address; there are {_FORMS}")
