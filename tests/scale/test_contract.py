"""What every vector store does, against numpy: FAISS, Milvus Lite, a Milvus server, pgvector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from searchengine.errors import ModelError, QueryError, StoreError
from searchengine.filters import Circle, Filters
from searchengine.scale.stores import open_store
from searchengine.types import Embeddings, EncoderSpec, Facts
from searchengine.vectors.embedded import EmbeddedStore
from searchengine.vectors.vector_store import VectorStore
from tests.scale.catalogs import passing
from tests.scale.parts import require

DIM, COUNT = 8, 300
SPEC = EncoderSpec("toy", "0123456789abcdef", DIM)
OTHER = EncoderSpec("toy", "fedcba9876543210", DIM)
ROOM = 2e-3  # of a cosine: FAISS and pgvector keep 16 bits a number

Open = Callable[[str, EncoderSpec], VectorStore]
# Longer than an index of PostgreSQL takes, and no compression makes them short.
LONG = "".join(map(chr, np.random.default_rng(5).integers(0x4E00, 0x9000, 3000)))
CAMERAS = (
    *("NIKON D90", "Canon %_\\", 'it\'s "quoted"', "日本 ÄÖ", "x\ny", "", "a\udc80b", None),
    *(f"{LONG}1", f"{LONG}2"),
)


@pytest.fixture(
    scope="module",
    params=[
        "embedded",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("lite", "milvus", "pgvector")),
    ],
)
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A place for stores, "" for those that need none."""
    if request.param == "embedded":
        yield ""
    elif request.param == "lite":
        require("milvus_lite", "milvus")
        yield f"milvus:{tmp_path_factory.mktemp('lite')}/vectors.db"
    elif request.param == "milvus":
        require("pymilvus", "milvus")
        from tests.scale.servers import end_milvus, milvus

        yield milvus().address
        end_milvus()
    else:
        require("psycopg", "postgres")
        from tests.postgres import server

        yield f"pgvector:{server().database()}"


@pytest.fixture(scope="module")
def opened(address: str) -> Iterator[Open]:
    """Opens a store by alias and encoder; each is dropped at the end."""
    stores: list[VectorStore] = []

    def open_one(alias: str, spec: EncoderSpec) -> VectorStore:
        stores.append(open_store(address, alias, spec) if address else EmbeddedStore(spec))
        return stores[-1]

    yield open_one
    for store in stores:
        store.drop()
        store.close()


@pytest.fixture(scope="module")
def filled(opened: Open) -> VectorStore:
    """A store with all pictures of the toy collection; tests only read it."""
    store = opened("filled", SPEC)
    assert store.ready()
    store.upsert(IDS, VECTORS, FACTS)
    store.settle()
    return store


def unit(rows: NDArray[Any]) -> Embeddings:
    """Rows of length 1 that 16 bits a number hold without loss, nearly."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows.astype(np.float16), np.float32)


def toy_facts(rng: np.random.Generator, i: int) -> Facts:
    date = f"{2000 + i % 25}-{1 + i % 12:02}-{1 + i % 28:02}T12:00:{i % 60:02}"
    dates = (date, f"{date}+02:00", f"{date}.250", None)
    return Facts(
        size=int(rng.integers(1, 10**6)) if i else 2**62,
        width=int(rng.choice([100, 200, 300])),
        height=int(rng.choice([100, 200, 300])),
        format=str(rng.choice(["JPEG", "PNG", "HEIF"])),
        taken_at=dates[i % 4],
        camera=CAMERAS[i % len(CAMERAS)],
        lens=CAMERAS[(i // 7) % len(CAMERAS)],
    )


RNG = np.random.default_rng(5)
IDS = np.sort(RNG.choice(10_000, COUNT, replace=False)).astype(np.int64)
VECTORS = unit(RNG.standard_normal((COUNT, DIM)))
VECTORS[200:260] = VECTORS[0]  # equal scores
FACTS = [toy_facts(RNG, i) for i in range(COUNT)]
QUERIES = unit(RNG.standard_normal((4, DIM)))
QUERIES[0] = VECTORS[0]


def expected(
    k: int, passes: NDArray[np.bool_] | None = None, ids: NDArray[np.int64] = IDS
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    chosen = np.arange(len(ids)) if passes is None else np.flatnonzero(passes)
    scores = QUERIES @ VECTORS[chosen].T
    order = np.lexsort((np.broadcast_to(ids[chosen], scores.shape), -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), ids[chosen][order]


def assert_found(
    found: tuple[NDArray[np.float32], NDArray[np.int64]],
    wanted: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    scores, ids = found
    assert (scores.dtype, ids.dtype) == (np.float32, np.int64)
    assert ids.shape == scores.shape == wanted[1].shape
    np.testing.assert_allclose(scores, wanted[0], atol=ROOM)
    # Apart from neighbours whose scores differ by less than rounding, the order is the same.
    where = {int(id_): i for i, id_ in enumerate(IDS)}
    found_rows = VECTORS[[[where[int(id_)] for id_ in row] for row in ids]]
    exact = np.einsum("qd,qkd->qk", QUERIES, found_rows)
    np.testing.assert_allclose(exact, wanted[0], atol=ROOM)
    for row in ids:
        assert len(set(row.tolist())) == len(row)


def test_the_nearest_come_first_and_equal_scores_by_id(filled: VectorStore) -> None:
    for k in (1, 10, 100):
        assert_found(filled.search(QUERIES, k), expected(k))
    _, ids = filled.search(QUERIES[:1], 40)  # 61 are the same
    assert ids[0].tolist() == expected(40)[1][0].tolist()


def test_more_hits_than_there_are_give_all(filled: VectorStore) -> None:
    assert filled.count() == COUNT
    assert_found(filled.search(QUERIES, COUNT + 5), expected(COUNT))


@pytest.mark.parametrize("share", [0.0, 0.003, 0.01, 0.1, 0.5, 1.0])
def test_allowed_ids_are_searched_exactly(filled: VectorStore, share: float) -> None:
    passes = np.zeros(COUNT, np.bool_)
    passes[np.random.default_rng(1).permutation(COUNT)[: round(share * COUNT)]] = True
    allowed = np.append(IDS[passes], [10**6, -1, 2**62])  # ids that are not there, too
    assert_found(filled.search(QUERIES, 10, allowed), expected(10, passes))


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(after="2010-01-01T00:00:00"),
        Filters(before="2010-01-01T00:00:00", min_width=200),
        Filters(after="2003-04-04T12:00:03", before="2003-04-04T12:00:04"),
        Filters(types=("jpg", "PNG")),
        Filters(types=("png",), orientation="landscape"),
        Filters(orientation="portrait"),
        Filters(orientation="square", min_bytes=500_000),
        Filters(min_bytes=2**70),
        Filters(min_bytes=-5),
        Filters(min_width=10**6),
        Filters(after='" or id > 0 or "'),
        Filters(before="\\"),
        Filters(before="9\n\"'\\\0x"),
        *(Filters(camera=part) for part in ("nikon", "%", "_", "\\", "'", '"', "日", "ä", "Ä", "")),
        Filters(camera="nikon d90", lens="i"),
        Filters(lens="\ud800"),
        Filters(camera="\udc80"),
        Filters(camera="\0"),
        Filters(camera=LONG[2900:] + "1"),
        Filters(camera=LONG[:500]),
    ],
    ids=repr,
)
def test_filters_mean_what_they_mean_in_the_catalog(filled: VectorStore, filters: Filters) -> None:
    passes = passing(FACTS, filters)
    if filled.can_apply(filters):
        assert_found(filled.search(QUERIES, 10, filters), expected(10, passes))
    elif filters:
        with pytest.raises(QueryError, match="filters"):
            filled.search(QUERIES, 10, filters)


def test_what_only_the_catalog_knows_is_left_to_it(filled: VectorStore) -> None:
    for filters in (Filters(near=Circle(0, 0, 1)), Filters(folder="x"), Filters(captioned=False)):
        assert not filled.can_apply(filters)


def test_what_cannot_be_searched_with_is_refused(filled: VectorStore) -> None:
    for k in (0, -1):
        with pytest.raises(QueryError, match="at least 1"):
            filled.search(QUERIES, k)
    for queries in (QUERIES * 2, QUERIES[:, :4].copy(), QUERIES * np.float32("nan")):
        with pytest.raises(ModelError):
            filled.search(queries, 5)
    assert filled.search(QUERIES[:0], 5)[1].shape[0] == 0


def test_what_cannot_be_stored_is_refused_and_changes_nothing(filled: VectorStore) -> None:
    bad = VECTORS[:2].copy()
    bad[1, 3] = np.nan
    with pytest.raises(ModelError, match="finite"):
        filled.upsert(IDS[:2], bad, FACTS[:2])
    with pytest.raises(ModelError, match="facts"):
        filled.upsert(IDS[:2], VECTORS[:2], FACTS[:1])
    assert filled.count() == COUNT


def test_a_store_follows_what_is_put_replaced_and_deleted(opened: Open) -> None:
    store = opened("changing", SPEC)
    assert store.ready()
    assert not store.ready()
    assert store.count() == 0
    assert store.search(QUERIES, 5)[1].shape == (len(QUERIES), 0)
    assert store.search(QUERIES, 5, IDS[:3])[1].shape == (len(QUERIES), 0)
    store.upsert(IDS[:0], VECTORS[:0], [])
    store.delete(IDS[:3])
    for _ in range(2):  # doing it twice changes nothing
        store.upsert(IDS[:100], VECTORS[:100], FACTS[:100])
        assert store.count() == 100
    assert_found(store.search(QUERIES, 10), expected(10, np.arange(COUNT) < 100))  # at once
    store.delete(np.append(IDS[:50], [10**9]))
    assert store.count() == 50
    store.delete(IDS[:50])
    assert store.count() == 50
    assert_found(store.search(QUERIES, 10), expected(10, np.arange(COUNT) // 50 == 1))
    # The same ids with other vectors and facts; the last of an id that comes twice counts.
    changed = FACTS[50]._replace(format="GIF", camera="new")
    ids, vectors = IDS[[50, 50]], np.stack((VECTORS[1], QUERIES[2]))
    store.upsert(ids, vectors, [FACTS[50], changed])
    assert store.count() == 50
    scores, found = store.search(QUERIES[2:3], 1)
    assert found[0, 0] == IDS[50]
    assert scores[0, 0] == pytest.approx(1, abs=ROOM)
    if store.can_apply(gif := Filters(types=("gif",))):
        assert store.search(QUERIES, 3, gif)[1].tolist() == [[IDS[50]]] * len(QUERIES)
    store.settle()
    assert store.count() == 50


def test_two_encoders_live_side_by_side_until_one_is_dropped(opened: Open, address: str) -> None:
    if not address:
        pytest.skip("is gone with its object")
    one, other = opened("models", SPEC), opened("models", OTHER)
    assert one.name != other.name
    for store, few in ((one, 20), (other, 30)):
        assert store.ready()
        store.upsert(IDS[:few], VECTORS[:few], FACTS[:few])
        store.settle()
    again = opened("models", SPEC)
    assert again.name == one.name
    assert not again.ready()
    assert (again.count(), other.count()) == (20, 30)
    again.settle()  # and back
    other.drop()
    other.drop()
    assert_found(again.search(QUERIES, 5), expected(5, np.arange(COUNT) < 20))
    wrong = opened("models", EncoderSpec("toy", SPEC.fingerprint, DIM * 2))
    with pytest.raises(StoreError, match=f"{DIM} dimensions, not {2 * DIM}"):
        wrong.ready()


@pytest.mark.slow
def test_among_ten_thousand_all_but_one_in_a_hundred_are_found(opened: Open) -> None:
    rng = np.random.default_rng(8)
    centres = rng.standard_normal((200, 64))
    around = centres[rng.integers(200, size=10_000)] + rng.standard_normal((10_000, 64)) * 0.7
    vectors, ids = unit(around), np.arange(1, 10_001, dtype=np.int64)
    facts = [Facts(i, 1, 1, "JPEG") for i in range(10_000)]
    store = opened("large", EncoderSpec("large", "large", 64))
    store.ready()
    for start in range(0, 10_000, 3000):
        block = slice(start, start + 3000)
        store.upsert(ids[block], vectors[block], facts[block])
    store.settle()
    assert store.count() == 10_000
    queries = unit(centres[:30] + rng.standard_normal((30, 64)) * 0.7)
    for share in (1.0, 0.5, 0.1, 0.01):
        least = round(10_000 * (1 - share))
        passes = np.arange(10_000) >= least
        scores = np.where(passes, queries @ vectors.T, -9)
        nearest = ids[np.argsort(-scores, axis=1)[:, :10]]
        spread = rng.permutation(10_000)[: round(share * 10_000)]
        assert recall(store.search(queries, 10, ids[passes])[1], nearest) >= 0.99
        if store.can_apply(filters := Filters(min_bytes=least)):
            assert recall(store.search(queries, 10, filters)[1], nearest) >= 0.99
        nearest = ids[spread][np.argsort(-(queries @ vectors[spread].T), axis=1)[:, :10]]
        allowed = np.sort(ids[spread])
        assert recall(store.search(queries, 10, allowed)[1], nearest) >= 0.99
    assert store.search(queries[:2], 6000)[1].shape == (2, 6000)
    store.delete(ids[::2])
    assert store.count() == 5000
    assert not np.any(store.search(queries, 10)[1] % 2)


def recall(found: NDArray[np.int64], wanted: NDArray[np.int64]) -> float:
    both = [len(set(a) & set(b)) for a, b in zip(found.tolist(), wanted.tolist(), strict=True)]
    return sum(both) / wanted.size
