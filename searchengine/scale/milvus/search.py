"""Searching one collection of Milvus: through its graph, or by comparing all that may be found.

A graph loses what lies behind vectors that a filter leaves out. Where less than 7 % of a segment
are left, Milvus compares all of them; so what passes is searched in parts that are smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from searchengine.errors import StoreError
from searchengine.scale.milvus.connection import MilvusConnection
from searchengine.scale.milvus.filters import of_ids
from searchengine.types import Embeddings
from searchengine.vectors.rows import Answer, best_of, joined
from searchengine.vectors.store import Ids

WAIT_S: Final = 120.0  # for any one answer
WIDTH: Final = 128  # HNSW's ef, at least
FILTERED_WIDTH: Final = 512  # and where some do not pass
GUIDED: Final = 0.3  # share from which on the graph leads to all but few
MOST: Final = 16_384  # hits that Milvus gives at most
HITS: Final = 200_000  # of a call
FEW: Final = 1000  # embeddings that are rather fetched and compared here
PARTS: Final = 16  # into which what passes is split: each is less than 7 % of every segment
PART: Final = 50_000  # ids in an expression; reading them takes 0.15 s
WIDER: Final = 2048  # hits among which those that are allowed are looked for first
MARGIN: Final = 1.5  # times as many as there should have to be


class MilvusSearcher:
    """Reads one collection; `wrote` says that this process has changed it.

    `is_exact` says that Milvus compares all anyway.
    """

    def __init__(self, connection: MilvusConnection, collection: str, *, is_exact: bool) -> None:
        self._connection = connection
        self._collection = collection
        self._is_exact = is_exact
        self._has_written = False
        self._is_behind = False

    def wrote(self) -> None:
        """From here on, what is read is not older than now."""
        self._has_written = self._is_behind = True

    def _level(self) -> str:
        """Sees what this process wrote; what others wrote, within seconds.

        "Strong" waits for the next tick of Milvus's clock, some 200 ms: once after writing, as
        "Session" does not wait for what was deleted.
        """
        if self._is_behind:
            self.count("", "Strong")
        return "Session" if self._has_written else "Bounded"

    def count(self, expr: str, level: str | None = None) -> int:
        """How many vectors fulfil an expression."""
        client = self._connection.client
        level = level or self._level()
        self._is_behind = self._is_behind and level != "Strong"
        try:
            with self._connection.told():
                found = client.query(
                    self._collection,
                    filter=expr,
                    output_fields=["count(*)"],
                    consistency_level=level,
                    timeout=WAIT_S,
                )
        except StoreError:
            self._is_behind = self._has_written
            raise
        return int(found[0]["count(*)"])

    def nearest(self, queries: Embeddings, k: int, expr: str) -> Answer:
        """The k nearest of those that fulfil an expression, for one query or more."""
        if k > MOST:
            return best_of(queries, k, self._all(expr))
        step = max(1, HITS // k)
        blocks = [
            self._asked(queries[start : start + step], k, expr)
            for start in range(0, len(queries), step)
        ]
        width = min(ids.shape[1] for _, ids in blocks)
        scores, ids = zip(*((s[:, :width], i[:, :width]) for s, i in blocks), strict=True)
        return np.concatenate(scores), np.concatenate(ids)

    def _asked(self, queries: Embeddings, k: int, expr: str) -> Answer:
        client = self._connection.client
        width = FILTERED_WIDTH if expr else WIDTH
        with self._connection.told():
            found = client.search(
                self._collection,
                data=list(queries),
                anns_field="embedding",
                limit=k,
                filter=expr,
                search_params={"metric_type": "IP", "params": {"ef": max(width, 2 * k)}},
                consistency_level=self._level(),
                timeout=WAIT_S,
            )
        shortest = min(map(len, found))
        if shortest < k and shortest < self.count(expr):
            return best_of(queries, k, self._all(expr))
        scores = np.array([each.distances[:shortest] for each in found], np.float32)
        return scores, np.array([each.ids[:shortest] for each in found], np.int64)

    def nearest_passing(self, queries: Embeddings, k: int, expr: str) -> Answer:
        """The same where an expression may hold of any share of them."""
        passing = self.count(expr)
        if self._is_exact or k > MOST or passing >= GUIDED * (total := self.count("")):
            return self.nearest(queries, k, expr)
        if passing <= FEW:
            return best_of(queries, k, self._all(expr))
        fulfilling = partial(self._fulfilling, expr)
        if found := self._picked(queries, k, total / passing, fulfilling):
            return found
        parts = (f"({expr}) and id % {PARTS} == {part}" for part in range(PARTS))
        return joined([self.nearest(queries, k, part) for part in parts], k)

    def nearest_of(self, queries: Embeddings, k: int, ids: Ids) -> Answer:
        """The k nearest of those with these ids, ascending, for one query or more."""
        if len(ids) <= FEW or k > MOST:
            return best_of(queries, k, self._fetched(ids))
        if not self._is_exact:
            found = self._picked(queries, k, self.count("") / len(ids), lambda _: ids)
            if found:
                return found
        parts = max(1 if self._is_exact else PARTS, math.ceil(len(ids) / PART))
        answers = [self.nearest(queries, k, of_ids(ids[part::parts])) for part in range(parts)]
        return joined(answers, k)

    def _picked(
        self, queries: Embeddings, k: int, times: float, allowed: Callable[[Ids], Ids]
    ) -> Answer | None:
        """The first k that are allowed among the nearest of all; None if not all may be there.

        There are `times` as many as are allowed; of some ids, `allowed` tells which, and perhaps
        of others.
        """
        wanted = math.ceil(MARGIN * k * times)
        if wanted > WIDER:
            return None
        scores, found = self.nearest(queries, wanted, "")
        is_allowed = np.isin(found, allowed(np.unique(found)))
        if is_allowed.sum(axis=1).min() < k:
            return None
        places = np.argsort(~is_allowed, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, places, 1), np.take_along_axis(found, places, 1)

    def _fulfilling(self, expr: str, ids: Ids) -> Ids:
        """Those of these ids that fulfil an expression."""
        kept = []
        for start in range(0, len(ids), MOST):
            among = f"({expr}) and {of_ids(ids[start : start + MOST])}"
            kept += [row["id"] for row in self._queried(among, "id")]
        return np.array(kept, np.int64)

    def _fetched(self, ids: Ids) -> Iterator[tuple[Ids, Embeddings]]:
        for start in range(0, len(ids), FEW):
            if rows := self._queried(of_ids(ids[start : start + FEW]), "embedding"):
                yield _as_arrays(rows)

    def _queried(self, expr: str, field: str) -> list[dict[str, Any]]:
        client = self._connection.client
        with self._connection.told():
            found: list[dict[str, Any]] = client.query(
                self._collection,
                filter=expr,
                output_fields=[field],
                consistency_level=self._level(),
                timeout=WAIT_S,
            )
        return found

    def _all(self, expr: str) -> Iterator[tuple[Ids, Embeddings]]:
        client = self._connection.client
        with self._connection.told():
            pages = client.query_iterator(
                self._collection,
                batch_size=FEW,
                filter=expr,
                output_fields=["embedding"],
                consistency_level=self._level(),
                timeout=WAIT_S,
            )
            try:
                while rows := pages.next():
                    yield _as_arrays(rows)
            finally:
                pages.close()


def _as_arrays(rows: list[dict[str, Any]]) -> tuple[Ids, Embeddings]:
    ids = np.array([row["id"] for row in rows], np.int64)
    return ids, np.array([row["embedding"] for row in rows], np.float32)
