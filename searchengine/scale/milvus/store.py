"""Embeddings in Milvus, a server or Milvus Lite: a collection for each encoder.

An HNSW graph (Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using
Hierarchical Navigable Small World graphs", 2018) is searched. Milvus Lite compares everything.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import QueryError, StoreError
from searchengine.filters import Filters
from searchengine.scale.milvus.address import MilvusAddress
from searchengine.scale.milvus.connection import MilvusConnection
from searchengine.scale.milvus.filters import (
    LONGEST_DATE,
    LONGEST_FORMAT,
    can_express,
    expression,
    kept,
)
from searchengine.scale.milvus.search import WAIT_S, MilvusSearcher
from searchengine.scale.names import collection_name
from searchengine.types import Embeddings, EncoderSpec, Facts
from searchengine.vectors.rows import (
    TIES,
    Answer,
    best,
    check_query,
    check_rows,
    last_of_each,
    no_hits,
)
from searchengine.vectors.vector_store import Among

LINKS: Final = 24  # of each vector in the graph, HNSW's M
BUILD_WIDTH: Final = 200  # HNSW's efConstruction
UNSORTED: Final = 4000  # vectors outside the graph that Milvus compares all; of more, not
BLOCK_BYTES: Final = 16_000_000  # of a message; a server takes 64 MB
DELETED: Final = 10_000  # ids in a message
STALLED_S: Final = 600.0  # for an index that makes no progress
POLL_S: Final = 0.25


class MilvusStore:
    """`VectorStore` over a collection of Milvus 2.3 or later; `alias` names the one in use.

    Takes what stands after `milvus:`. Nothing is connected before it is used. Other processes'
    writes are found within seconds, this object's own at once. Searching is exact over a few
    allowed ids and over Milvus Lite, otherwise nearly so, once it is settled.

    Raises:
        StoreError: it is not an address of a Milvus, or not a name of one.
    """

    def __init__(self, address: str, alias: str, spec: EncoderSpec) -> None:
        place = MilvusAddress.parse(address)
        self._collection = collection_name(alias, spec)
        self._alias, self._dim = alias, spec.dim
        self._is_lite = bool(place.path)
        self._connection = MilvusConnection(place)
        self._searcher = MilvusSearcher(self._connection, self._collection, is_exact=self._is_lite)
        self._written = 0  # since it was settled
        self.name = f"{place.shown}/{self._collection}"

    def ready(self) -> bool:
        """Make the collection where it is not there yet, and say True then.

        Raises:
            StoreError: besides, what is there has another dimension.
        """
        client = self._connection.client
        with self._connection.told():
            is_new = not client.has_collection(self._collection, timeout=WAIT_S)
            if is_new:
                self._create(client)
            else:
                self._check(client.describe_collection(self._collection, timeout=WAIT_S))
            if not client.list_indexes(self._collection, timeout=WAIT_S):
                self._create_index(client)
            client.load_collection(self._collection, timeout=WAIT_S)
        return is_new

    def _create(self, client: Any) -> None:
        from pymilvus import DataType

        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=self._dim)
        for name in ("size", "width", "height"):
            schema.add_field(name, DataType.INT64)
        for name, longest in (("format", LONGEST_FORMAT), ("taken_at", LONGEST_DATE)):
            schema.add_field(name, DataType.VARCHAR, max_length=4 * longest)  # bytes
        client.create_collection(
            self._collection, schema=schema, consistency_level="Bounded", timeout=WAIT_S
        )

    def _create_index(self, client: Any) -> None:
        params = client.prepare_index_params()
        graph = {"M": LINKS, "efConstruction": BUILD_WIDTH}
        params.add_index(
            "embedding",
            index_name="embedding",
            index_type="FLAT" if self._is_lite else "HNSW",
            metric_type="IP",
            params={} if self._is_lite else graph,
        )
        client.create_index(self._collection, params, timeout=WAIT_S)

    def _check(self, described: Any) -> None:
        dims = [each.get("params", {}).get("dim") for each in described["fields"]]
        dim = next((int(each) for each in dims if each is not None), 0)
        if dim != self._dim:
            raise StoreError(
                f"{self.name} holds embeddings of {dim} dimensions, not {self._dim}: it belongs "
                "to something else; drop it there, or use another Milvus or database"
            )

    def count(self) -> int:
        """How many embeddings there are, with all that was acknowledged."""
        return self._searcher.count("", "Strong")

    def upsert(
        self, ids: NDArray[np.int64], embeddings: Embeddings, facts: Sequence[Facts]
    ) -> None:
        """Put (n, dim) embeddings in the place of those that are there.

        Raises:
            ModelError: the embeddings are not what they must be.
        """
        check_rows(ids, embeddings, facts, self._dim)
        last = last_of_each(ids)
        block = max(1, BLOCK_BYTES // (4 * self._dim + 300))
        client = self._connection.client
        for start in range(0, len(last), block):
            data = [
                {"id": int(ids[i]), "embedding": embeddings[i], **kept(facts[i])}
                for i in last[start : start + block]
            ]
            with self._connection.told():
                client.upsert(self._collection, data, timeout=WAIT_S)
            self._written += len(data)
            self._searcher.wrote()

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove the embeddings of these images, where there are any."""
        client = self._connection.client
        for start in range(0, len(ids), DELETED):
            with self._connection.told():
                client.delete(
                    self._collection, ids=ids[start : start + DELETED].tolist(), timeout=WAIT_S
                )
            self._searcher.wrote()

    def settle(self) -> None:
        """Wait until all but a few are in the graph, and let the alias point here."""
        client = self._connection.client
        with self._connection.told():
            if not self._is_lite and not self._is_settled(client):
                client.flush(self._collection, timeout=WAIT_S)
                self._await_index(client)
                # The vectors are searched through the graph only when it has been loaded too.
                client.refresh_load(self._collection, timeout=WAIT_S)
                self._written = 0
            self._move_alias(client)

    def _is_settled(self, client: Any) -> bool:
        if self._written > UNSORTED or self._pending(client):
            return False
        segments = client.list_loaded_segments(self._collection, timeout=WAIT_S)
        # Those that are still open are not listed.
        return self.count() - sum(int(each.num_rows) for each in segments) <= UNSORTED

    def _pending(self, client: Any) -> int:
        """How many vectors the graph still lacks; -1 where it is not known."""
        index = client.describe_index(self._collection, "embedding", timeout=WAIT_S) or {}
        pending = int(index.get("pending_index_rows") or 0)
        return pending or (0 if index.get("state") == "Finished" else -1)

    def _await_index(self, client: Any) -> None:
        least, since = None, time.monotonic()
        while pending := self._pending(client):
            if least is None or pending < least:
                least, since = pending, time.monotonic()
            if time.monotonic() - since > STALLED_S:
                raise StoreError(
                    f"{self.name}: its index has made no progress for {STALLED_S / 60:.0f} "
                    "minutes; look at the log of the server, then run the same command again"
                )
            time.sleep(POLL_S)

    def _move_alias(self, client: Any) -> None:
        if self._alias in self._aliases(client):
            return
        if any(self._alias in self._aliases(client, other) for other in self._relatives(client)):
            client.alter_alias(self._collection, self._alias, timeout=WAIT_S)
        else:
            client.create_alias(self._collection, self._alias, timeout=WAIT_S)

    def _aliases(self, client: Any, collection: str = "") -> list[str]:
        found = client.list_aliases(collection or self._collection, timeout=WAIT_S)
        return list(found.get("aliases", ()))

    def _relatives(self, client: Any) -> list[str]:
        names = client.list_collections(timeout=WAIT_S)
        return [name for name in names if name.startswith(f"{self._alias}_")]

    def can_apply(self, filters: Filters) -> bool:
        """Tell whether `search` takes these filters; otherwise it is given ids."""
        return can_express(filters)

    def search(
        self,
        queries: Embeddings,
        k: int,
        among: Among | None = None,
    ) -> Answer:
        """Find the k embeddings nearest to each of (n, dim) queries; see `VectorStore.search`."""
        check_query(queries, k, self._dim)
        if isinstance(among, Filters) and not can_express(among):
            raise QueryError(f"{self.name} cannot apply these filters; it takes ids instead")
        if len(queries) == 0:
            return no_hits(0)
        if among is None or (isinstance(among, Filters) and not among):
            found = self._searcher.nearest(queries, k + TIES, "")
        elif isinstance(among, Filters):
            found = self._searcher.nearest_passing(queries, k + TIES, expression(among))
        else:
            found = self._searcher.nearest_of(queries, k + TIES, np.unique(among))
        return best(*found, k)

    def drop(self) -> None:
        """Remove the collection with everything in it, and the alias if it points here."""
        client = self._connection.client
        with self._connection.told():
            if client.has_collection(self._collection, timeout=WAIT_S):
                if self._alias in self._aliases(client):
                    client.drop_alias(self._alias, timeout=WAIT_S)
                client.drop_collection(self._collection, timeout=WAIT_S)

    def close(self) -> None:
        """End the connection; Milvus Lite ends with its last one in this process."""
        self._connection.close()
