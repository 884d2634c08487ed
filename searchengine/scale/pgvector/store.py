"""Embeddings in PostgreSQL with pgvector: a table for each encoder, with an HNSW graph if large."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import QueryError, StoreError
from searchengine.filters import Filters
from searchengine.scale.names import collection_name
from searchengine.scale.pgvector.address import PgVectorAddress
from searchengine.scale.pgvector.connection import SCANNED, Connection, PgVectorConnection
from searchengine.scale.pgvector.filters import can_express, condition, head, holding
from searchengine.scale.pgvector.rows import COLUMNS, copied, storable, vector_literal
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

Passing = tuple[str, list[Any]]
"""A condition with placeholders, and what fills these."""

Hit = tuple[int, float]

GRAPH_FROM: Final = 20_000  # vectors; fewer are all compared
GRAPH_DIMS: Final = 4000  # that pgvector's graph takes
INLINE_DIMS: Final = 2000  # so many fit beside the facts in a page
LINKS: Final = 16  # of each vector in the graph, HNSW's m
BUILD_WIDTH: Final = 128  # HNSW's ef_construction
FEW: Final = 20_000  # allowed embeddings that are all compared
DEEP: Final = SCANNED // 8  # hits, beyond which all are compared
BLOCK: Final = 10_000  # rows in a transaction
MEMORY_MB: Final = (64, 2048)  # to build the graph in: at least, and at most


class PgVectorStore:
    """`VectorStore` over a table of 16-bit floats; a view called `alias` shows the one in use.

    Takes the URL of a database, which must exist. Nothing is connected before it is used.

    Raises:
        StoreError: it is no such URL, or `alias` is not a name.
    """

    def __init__(self, url: str, alias: str, spec: EncoderSpec) -> None:
        address = PgVectorAddress.parse(url)
        self._table = collection_name(alias, spec)
        self._alias, self._dim = alias, spec.dim
        self._connection = PgVectorConnection(address)
        self.name = f"{address.shown}#{self._table}"

    def ready(self) -> bool:
        """Make the table where it is not there yet, and say True then.

        Raises:
            StoreError: besides, what is there has another dimension, or the database has no
                pgvector or one older than 0.8.
        """
        return self._connection.run(self._make)

    def _make(self, db: Connection) -> bool:
        found = db.execute(
            "SELECT format_type(atttypid, NULL), atttypmod FROM pg_class c"
            " LEFT JOIN pg_attribute ON attrelid = c.oid AND attname = 'embedding'"
            " WHERE relname = %s AND relnamespace = current_schema()::regnamespace",
            (self._table,),
        ).fetchone()
        if found and found != ("halfvec", self._dim):
            raise StoreError(
                f"{self.name} holds embeddings of {found[1]} dimensions, not {self._dim}: it "
                "belongs to something else; drop it there, or use another database"
            )
        if not found:
            with db.transaction():
                db.execute(
                    f"CREATE TABLE {self._at(self._table)} (id bigint PRIMARY KEY,"
                    f" embedding halfvec({self._dim}) NOT NULL, size bigint NOT NULL,"
                    " width bigint NOT NULL, height bigint NOT NULL, format text NOT NULL,"
                    ' taken_at text COLLATE "C", camera text, lens text)'
                )
                if self._dim <= INLINE_DIMS:
                    db.execute(
                        f"ALTER TABLE {self._at(self._table)} ALTER embedding SET STORAGE PLAIN"
                    )
        return not found

    def count(self) -> int:
        """How many embeddings there are."""
        return self._connection.run(self._count)

    def _count(self, db: Connection) -> int:
        return int(db.execute(f"SELECT count(*) FROM {self._at(self._table)}").fetchone()[0])

    def upsert(
        self, ids: NDArray[np.int64], embeddings: Embeddings, facts: Sequence[Facts]
    ) -> None:
        """Put (n, dim) embeddings in the place of those that are there.

        Raises:
            ModelError: the embeddings are not what they must be.
        """
        check_rows(ids, embeddings, facts, self._dim)
        last = last_of_each(ids)
        for start in range(0, len(last), BLOCK):
            block = last[start : start + BLOCK]
            rows = (ids[block], embeddings[block], [facts[i] for i in block])
            self._connection.run(partial(self._put, rows))

    def _put(
        self, rows: tuple[NDArray[np.int64], Embeddings, Sequence[Facts]], db: Connection
    ) -> None:
        columns = ", ".join(COLUMNS)
        changes = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
        with db.transaction():
            db.execute(
                f"CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS"
                f" SELECT {columns} FROM {self._at(self._table)} LIMIT 0"
            )
            with db.cursor().copy(f"COPY incoming ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
                for data in copied(*rows):
                    copy.write(data)
            db.execute(
                f"INSERT INTO {self._at(self._table)} ({columns}) SELECT {columns} FROM incoming"
                f" ON CONFLICT (id) DO UPDATE SET {changes}"
            )

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove the embeddings of these images, where there are any."""
        self._connection.run(
            lambda db: db.execute(
                f"DELETE FROM {self._at(self._table)} WHERE id = ANY(%s)", (ids.tolist(),)
            )
        )

    def settle(self) -> None:
        """Build the graph where there are many, and let the view show this table."""
        self._connection.run(self._build)
        self._connection.run(self._show)

    def _build(self, db: Connection) -> None:
        graph = f"{self._table}_graph"
        count = self._count(db)
        is_there = db.execute("SELECT to_regclass(%s)", (self._at(graph),)).fetchone()[0]
        with db.transaction():
            db.execute("SET LOCAL statement_timeout = 0")  # a large graph takes hours
            if count >= GRAPH_FROM and self._dim <= GRAPH_DIMS and not is_there:
                needed = count * (2 * self._dim + 32 * LINKS) * 5 // 4 >> 20
                memory = min(max(needed, MEMORY_MB[0]), MEMORY_MB[1])
                db.execute(f"SET LOCAL maintenance_work_mem = '{memory}MB'")
                db.execute(
                    f"CREATE INDEX {graph} ON {self._at(self._table)} USING hnsw"
                    f" (embedding halfvec_ip_ops)"
                    f" WITH (m = {LINKS}, ef_construction = {BUILD_WIDTH})"
                )
            for column in ("camera", "lens"):
                name = f"{self._table}_{column}"
                key = f"({head(column)})"
                db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {self._at(self._table)} ({key})")
            db.execute(f"ANALYZE {self._at(self._table)}")

    def _show(self, db: Connection) -> None:
        if not self._is_shown(db):
            with db.transaction():
                view = self._at(self._alias)
                db.execute(f"DROP VIEW IF EXISTS {view}")
                db.execute(f"CREATE VIEW {view} AS SELECT * FROM {self._at(self._table)}")

    def _is_shown(self, db: Connection) -> bool:
        found = db.execute(
            "SELECT 1 FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid"
            " WHERE r.ev_class = to_regclass(%s) AND d.refobjid = to_regclass(%s)",
            (self._at(self._alias), self._at(self._table)),
        )
        return found.fetchone() is not None

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
        is_exact = k > DEEP
        is_exact = is_exact or (isinstance(among, np.ndarray) and len(among) <= FEW)
        return self._connection.run(
            lambda db: best(
                *self._nearest(db, queries, k + TIES, self._passing(db, among), is_exact), k
            )
        )

    def _passing(self, db: Connection, among: Among | None) -> Passing:
        if among is None or isinstance(among, Filters):
            return condition(among or Filters(), partial(self._names, db))
        return "id = ANY(%s)", [among.tolist()]

    def _names(self, db: Connection, column: str, text: str) -> list[str]:
        """What the names of a column start with that hold a text, or may."""
        query = holding(self._at(self._table), column)
        return [name for (name,) in db.execute(query, (storable(text),)).fetchall()]

    def _nearest(
        self,
        db: Connection,
        queries: Embeddings,
        k: int,
        passing: Passing,
        is_exact: bool,
    ) -> Answer:
        """As many for each query; where the graph gives too few, all are compared."""
        rows = []
        is_exact = is_exact or self._is_few(db, passing)
        for query in map(vector_literal, queries):
            found = [] if is_exact else self._guided(db, query, k, passing)
            # Fewer: the graph gave up on a filter, or there are not more.
            rows.append(found if len(found) == k else self._compared(db, query, k, passing))
        width = min(map(len, rows))
        if width == 0:
            return no_hits(len(queries))
        cut = [found[:width] for found in rows]
        scores = np.array([[score for _, score in found] for found in cut], np.float32)
        return scores, np.array([[id_ for id_, _ in found] for found in cut], np.int64)

    def _is_few(self, db: Connection, passing: Passing) -> bool:
        """Whether so few pass that comparing all is better than looking for them in the graph."""
        query = f"EXPLAIN (FORMAT JSON) SELECT FROM {self._at(self._table)} WHERE {passing[0]}"
        (plan,) = db.execute(query, passing[1]).fetchone()
        return bool(plan[0]["Plan"]["Plan Rows"] <= FEW)

    def _guided(self, db: Connection, query: str, k: int, passing: Passing) -> list[Hit]:
        """Through the graph where there is one; the query is rounded, so the scores are not."""
        near = (
            f"SELECT id, embedding FROM {self._at(self._table)} WHERE {passing[0]}"
            " ORDER BY embedding <#> %s::halfvec LIMIT %s"
        )
        found = db.execute(
            f"SELECT id, -(embedding::vector <#> %s::vector) FROM ({near}) AS near",
            (query, *passing[1], query, k),
        )
        return list(found.fetchall())

    def _compared(self, db: Connection, query: str, k: int, passing: Passing) -> list[Hit]:
        found = db.execute(
            f"SELECT id, -(embedding::vector <#> %s::vector) AS score"
            f" FROM {self._at(self._table)} WHERE {passing[0]}"
            " ORDER BY score DESC, id LIMIT %s",
            (query, *passing[1], k),
        )
        return list(found.fetchall())

    def drop(self) -> None:
        """Remove the table with everything in it, and what shows it."""
        self._connection.run(
            lambda db: db.execute(f"DROP TABLE IF EXISTS {self._at(self._table)} CASCADE")
        )

    def close(self) -> None:
        """End the connections."""
        self._connection.close()

    def _at(self, name: str) -> str:
        """A name in the schema that new tables go to; others in the database are left alone."""
        return f"{self._connection.schema}.{name}"
