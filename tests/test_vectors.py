from itertools import product

import numpy as np
import pytest

from searchengine.errors import IndexFolderError, ModelError, QueryError
from searchengine.vectors import VectorIndex
from searchengine.vectors import index as module
from searchengine.vectors.probing import hard_queries

DIM = 16


def unit(n, seed=0, dim=DIM):
    """Random embeddings that float16 holds exactly."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def build(embeddings, ids=None):
    index = VectorIndex(embeddings.shape[1])
    index.add(np.arange(len(embeddings)) if ids is None else np.array(ids), embeddings)
    index.settle()
    return index


def brute_force(embeddings, ids, queries, k):
    scores = queries @ embeddings.T
    order = np.lexsort((np.broadcast_to(ids, scores.shape), -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.asarray(ids)[order]


@pytest.fixture
def partitioned(monkeypatch):
    for name, value in {"EXACT_LIMIT": 1000, "CLOSE": 100, "MOST": 2}.items():
        monkeypatch.setattr(module, name, value)
    index = build(unit(3000))
    assert index.kind == "ivf55"
    return index


def test_search_equals_brute_force():
    embeddings, queries, ids = unit(500), unit(20, seed=1), np.arange(500) * 7 + 3
    scores, found = build(embeddings, ids).search(queries, 10)
    expected, expected_ids = brute_force(embeddings, ids, queries, 10)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_array_equal(found, expected_ids)
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)


def test_no_more_results_than_vectors():
    index = VectorIndex(DIM)
    assert index.search(unit(2), 5)[1].shape == (2, 0)
    index.add(np.array([4, 9]), unit(2))
    assert sorted(index.search(unit(1), 5)[1][0]) == [4, 9]
    assert index.search(unit(0), 5)[1].shape == (0, 2)


def test_equal_scores_are_ordered_by_id():
    same = np.repeat(unit(1), 12, axis=0)
    index = build(same, [50, 3, 8, 1, 90, 4, 7, 2, 60, 5, 6, 9])
    assert index.search(unit(1), 3)[1].tolist() == [[1, 2, 3]]


def test_allowed_is_exact_within():
    embeddings, queries = unit(500), unit(5, seed=1)
    allowed = np.array([3, 77, 78, 410, 9999, 3])
    scores, found = build(embeddings).search(queries, 10, allowed)
    expected, ids = brute_force(embeddings[allowed[:4]], allowed[:4], queries, 4)
    np.testing.assert_array_equal(found, ids)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert build(embeddings).search(queries, 3, np.empty(0, np.int64))[1].shape == (5, 0)


def test_remove_and_add_again():
    index = build(unit(10))
    index.remove(np.array([2, 5, 99]))
    index.add(np.array([5]), unit(1, seed=9))
    assert index.count == 9
    assert index.search(unit(1, seed=9), 1)[1].tolist() == [[5]]
    assert 2 not in index.search(unit(1), 10)[1]


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (unit(2, dim=8), r"\(n, 16\).*\(2, 8\)"),
        (unit(2)[0], r"\(n, 16\)"),
        (unit(2).astype(np.float64), "float64"),
        (unit(2) * 2, "2 of 2 .* unit norm"),
        (np.full((2, DIM), np.nan, np.float32), "not finite"),
        (np.full((2, DIM), np.inf, np.float32), "not finite"),
    ],
)
def test_what_is_no_embedding_is_refused(embeddings, message):
    index = build(unit(2), [10, 11])
    with pytest.raises(ModelError, match=message):
        index.add(np.arange(2), embeddings)
    with pytest.raises(ModelError, match=message):
        index.search(embeddings, 1)
    assert index.count == 2


def test_ids_are_unique():
    index = build(unit(2))
    for ids in ([5, 5], [1, 6]):
        with pytest.raises(IndexFolderError, match="twice"):
            index.add(np.array(ids), unit(2))
    with pytest.raises(ModelError, match="1 ids for 2"):
        index.add(np.array([7]), unit(2))
    assert index.count == 2


def test_k_is_positive():
    with pytest.raises(QueryError, match="at least 1"):
        build(unit(2)).search(unit(1), 0)


def test_partitioned_search_finds_what_exact_search_does(partitioned):
    embeddings, queries = unit(3000), unit(50, seed=1)
    _, expected = brute_force(embeddings, np.arange(3000), queries, 10)
    _, found = partitioned.search(queries, 10)
    hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), expected.tolist(), strict=True)]
    assert np.mean(hits) >= 9
    _, nearest = partitioned.search(embeddings[:50], 1)
    assert nearest[:, 0].tolist() == list(range(50))


def test_partitioned_search_is_exact_within_allowed_and_returns_as_many_as_asked(partitioned):
    embeddings, queries, allowed = unit(3000), unit(5, seed=1), np.arange(0, 3000, 100)
    _, found = partitioned.search(queries, 10, allowed)
    _, expected = brute_force(embeddings[allowed], allowed, queries, 10)
    np.testing.assert_array_equal(found, expected)
    _, everything = partitioned.search(queries, 5000)
    np.testing.assert_array_equal(np.sort(everything), [np.arange(3000)] * 5)


def test_partitions_are_learned_again_when_it_has_doubled(partitioned):
    partitioned.add(np.arange(3000, 5800), unit(2800, seed=2))
    partitioned.settle()
    assert partitioned.kind == "ivf55"
    partitioned.add(np.arange(5800, 6100), unit(300, seed=3))
    partitioned.settle()
    assert partitioned.kind == "ivf78"
    partitioned.remove(np.arange(3000))
    assert partitioned.search(unit(1, seed=3), 1)[1].tolist() == [[5800]]
    assert partitioned.count == 3100


def test_a_few_more_are_found_and_removed_ones_are_not_without_learning_anew(partitioned):
    learned, more = partitioned._partitions, unit(30, seed=8)
    partitioned.add(np.arange(3000, 3030), more)
    partitioned.remove(np.arange(20))
    partitioned.settle()
    assert partitioned._partitions is learned
    assert learned.count == partitioned.count == 3010
    assert partitioned.search(more, 1)[1][:, 0].tolist() == list(range(3000, 3030))
    assert partitioned.search(unit(20), 10)[1].min() >= 20
    assert partitioned.search(more, 5, np.arange(15))[1].size == 0
    within = partitioned.search(more[:3], 5, np.arange(1500))[1]
    assert (within.min(), within.max()) >= (20, 20)
    assert within.max() < 1500


def test_partitioned_search_equals_brute_force_within_any_share(partitioned):
    embeddings, queries = unit(3000), unit(20, seed=4)
    for share, k in product([0.001, 0.02, 0.2, 0.7, 1], [1, 10, 200]):
        allowed = np.random.default_rng(5).choice(3000, round(3000 * share), replace=False)
        scores, found = partitioned.search(queries, k, allowed)
        expected, ids = brute_force(embeddings[allowed], allowed, queries, k)
        np.testing.assert_array_equal(found, ids)
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_within_near_duplicates_it_is_exact_though_estimates_cannot_tell_them_apart(monkeypatch):
    for name, value in {"EXACT_LIMIT": 1000, "CLOSE": 100, "MOST": 2}.items():
        monkeypatch.setattr(module, name, value)
    rows = unit(1, seed=1) + 0.02 * unit(3000)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    rows, queries, allowed = rows.astype(np.float32), unit(10, seed=2), np.arange(0, 3000, 2)
    index = build(rows)
    assert index.kind == "ivf55"
    scores, _ = index.search(queries, 10, allowed)
    expected, _ = brute_force(rows[allowed], allowed, queries, 10)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("count", [500, 3000])
def test_what_is_allowed_is_known_again_until_the_index_changes(partitioned, count):
    rows, ids, queries = unit(count), np.arange(count), unit(5, seed=1)
    index = build(rows)  # all compared, or partitioned
    allowed = np.arange(0, 2 * count, 2)  # half of them are not there yet
    allowed.setflags(write=False)

    def expect(rows, ids):
        here = np.isin(ids, allowed)
        expected = brute_force(rows[here], ids[here], queries, 10)[1]
        for _ in range(2):
            np.testing.assert_array_equal(index.search(queries, 10, allowed)[1], expected)

    expect(rows, ids)
    rows, ids = np.concatenate([rows, unit(count, seed=9)]), np.arange(2 * count)
    index.add(ids[count:], rows[count:])
    expect(rows, ids)
    index.remove(ids[:100])
    expect(rows[100:], ids[100:])
    assert np.isin(index.search(queries, 10, allowed[:70])[1], allowed[:70]).all()
    expect(rows[100:], ids[100:])


@pytest.mark.parametrize("far", [1, 10**12])
def test_ids_may_lie_far_apart_and_what_is_not_there_may_be_allowed(partitioned, far):
    embeddings, queries, ids = unit(3000), unit(5, seed=3), np.arange(3000) * far
    index = build(embeddings, ids)
    assert index.kind == "ivf55"
    allowed = np.concatenate([ids[::3], [-1, -(10**15), 10**15 + 1, 10**17]])
    _, expected = brute_force(embeddings[::3], ids[::3], queries, 10)
    np.testing.assert_array_equal(index.search(queries, 10, allowed)[1], expected)
    assert index.search(queries, 10, np.array([-5, 10**16]))[1].shape == (5, 0)


def test_as_many_partitions_are_probed_as_hard_queries_need(partitioned):
    queries, partitions = hard_queries(partitioned._store), partitioned._partitions
    assert 1 < partitions.probed <= partitions.number
    _, expected = brute_force(unit(3000), np.arange(3000), queries, 10)
    _, found = partitioned.search(queries, 10)
    hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), expected.tolist(), strict=True)]
    assert np.mean(hits) >= 9.8


def test_items_are_the_vectors_by_id(partitioned):
    for index in (build(unit(50)[::-1], np.arange(50)[::-1]), partitioned):
        ids, stored = index.items()
        np.testing.assert_array_equal(ids, np.arange(index.count))
        np.testing.assert_array_equal(
            stored, unit(3000)[: index.count] if index is partitioned else unit(50)
        )


def test_saved_and_loaded(partitioned, tmp_path):
    for index in (VectorIndex(DIM), build(unit(50), np.arange(50) + 5), partitioned):
        path = tmp_path / "caf\udce9.faiss"
        index.save(path)
        loaded = VectorIndex.load(path)
        assert (loaded.count, loaded.dim, loaded.kind) == (index.count, DIM, index.kind)
        for one, other in zip(index.items(), loaded.items(), strict=True):
            np.testing.assert_array_equal(one, other)
        loaded.remove(loaded.ids[:10])
        loaded.add(np.array([100_000]), unit(1, seed=5))
        assert loaded.search(unit(1, seed=5), 1)[1].tolist() == [[100_000]]
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("length", [0, 3, 40, 500, -1])
def test_a_truncated_file_is_refused(tmp_path, length, mapped):
    path = tmp_path / "a.faiss"
    build(unit(50)).save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IndexFolderError, match="damaged"):
        VectorIndex.load(path, mapped=mapped)


def test_another_kind_of_file_is_refused(tmp_path):
    import faiss

    path = tmp_path / "a.faiss"
    for other in (faiss.IndexFlatIP(DIM), faiss.IndexIDMap(faiss.IndexFlatIP(DIM))):
        faiss.write_index(other, str(path))
        with pytest.raises(IndexFolderError, match="damaged"):
            VectorIndex.load(path)
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(IndexFolderError, match="damaged"):
        VectorIndex.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.faiss"
    build(unit(5)).save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        build(unit(9)).save(path)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [before]


def test_a_mapped_file_is_searched_as_it_lies_and_copied_before_it_is_changed(tmp_path):
    embeddings, path = unit(300), tmp_path / "v.faiss"
    index = build(embeddings)
    index.save(path)
    before = path.read_bytes()
    mapped = VectorIndex.load(path, mapped=True)
    np.testing.assert_array_equal(
        mapped.search(embeddings[:5], 7)[1], index.search(embeddings[:5], 7)[1]
    )
    mapped.add(np.array([300]), unit(1, seed=1))
    mapped.remove(np.array([2]))
    assert (mapped.count, 2 in mapped.search(embeddings[2:3], 300)[1]) == (300, False)
    assert path.read_bytes() == before


def test_a_mapped_file_may_be_deleted_while_it_is_searched(tmp_path):
    embeddings, path = unit(50), tmp_path / "v.faiss"
    build(embeddings).save(path)
    mapped = VectorIndex.load(path, mapped=True)
    path.unlink()
    assert mapped.search(embeddings[9:10], 1)[1].tolist() == [[9]]


def test_partitions_of_a_mapped_file(tmp_path, partitioned):
    partitioned.save(tmp_path / "v.faiss")
    mapped = VectorIndex.load(tmp_path / "v.faiss", mapped=True)
    queries = unit(5, seed=2)
    np.testing.assert_array_equal(mapped.search(queries, 9)[1], partitioned.search(queries, 9)[1])
    mapped.remove(np.array([7]))
    assert mapped.count == partitioned.count - 1


@pytest.mark.parametrize("mapped", [False, True])
def test_damaged_partitions_are_refused(tmp_path, partitioned, mapped):
    path = tmp_path / "v.faiss"
    build(unit(3000)).save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    start = 3000 * (2 * DIM + 8) + 500  # behind the vectors and the ids
    for place in rng.integers(start, len(content), size=50):
        damaged = bytearray(content)
        damaged[place] ^= 1 + rng.integers(255)
        path.write_bytes(damaged)
        with pytest.raises(IndexFolderError, match="damaged"):
            VectorIndex.load(path, mapped=mapped)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_damaged_file_never_ends_the_process(tmp_path, mapped):
    whole, path = tmp_path / "whole.faiss", tmp_path / "v.faiss"
    build(unit(50)).save(whole)
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content[: rng.integers(len(content)) + 1])
        for place in rng.integers(len(damaged), size=rng.integers(1, 20)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            index = VectorIndex.load(path, mapped=mapped)
        except IndexFolderError:
            continue
        index.search(unit(1), 10)
