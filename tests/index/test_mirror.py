"""A store on a server follows the catalog, whatever fails in between."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine.errors import StoreError
from searchengine.filters import Filters
from searchengine.index import Changes, Index, mirror
from searchengine.types import EncoderSpec, Failure
from tests.index.toys import DIM, ROOT, SPEC, paths, picture, pictures, snapshots, unit

OTHER = EncoderSpec("other", "0" * 64, DIM)


@dataclass
class Server:
    """What outlives the processes: collections by name, the one in use, and when it fails next."""

    collections: dict = field(default_factory=dict)
    alias: str | None = None
    patience: int | None = None
    """Requests that it answers before it is gone."""
    requests: list = field(default_factory=list)

    def open(self, alias, spec):
        return ToyStore(self, f"toy/{alias}_{spec.fingerprint[:3]}", spec.dim)

    def open_elsewhere(self, alias, spec):
        return ToyStore(self, f"elsewhere/{alias}_{spec.fingerprint[:3]}", spec.dim)

    def asked(self, what):
        if self.patience is not None:
            if self.patience == 0:
                raise StoreError("the server is gone; start it again")
            self.patience -= 1
        self.requests.append(what)

    def held(self):
        """Id -> embedding of the collection in use."""
        return self.collections[self.alias]


class ToyStore:
    """Exact search in a dictionary on a `Server`; it applies filters of the format."""

    def __init__(self, server, name, dim):
        self.server, self.name, self.dim = server, name, dim

    def ready(self):
        self.server.asked("ready")
        is_new = self.name not in self.server.collections
        self.server.collections.setdefault(self.name, {})
        return is_new

    def count(self):
        return len(self.server.collections[self.name])

    def upsert(self, ids, embeddings, facts):
        assert embeddings.shape == (len(ids), self.dim)
        for image_id, embedding, each in zip(ids.tolist(), embeddings, facts, strict=True):
            self.server.asked("upsert")
            self.server.collections[self.name][image_id] = (embedding, each)

    def delete(self, ids):
        for image_id in ids.tolist():
            self.server.asked("delete")
            self.server.collections[self.name].pop(image_id, None)

    def settle(self):
        self.server.asked("settle")
        self.server.alias = self.name

    def can_apply(self, filters):
        return filters == Filters(types=filters.types)

    def search(self, queries, k, among=None):
        self.server.asked(("search", among))
        held = self.server.collections[self.name]
        ids = [
            each
            for each, (_, facts) in held.items()
            if among is None
            or (facts.format in among.types if isinstance(among, Filters) else each in among)
        ]
        if not ids:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores = queries @ np.stack([held[each][0] for each in ids]).T
        best = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(scores, best, 1), np.array(ids, np.int64)[best]

    def drop(self):
        self.server.asked("drop")
        self.server.collections.pop(self.name, None)

    def close(self):
        pass


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def index(folder, server):
    with Index.create(folder, SPEC, server.open) as index:
        index.add_root(ROOT)
        yield index


def write(index, *images, **changes):
    index.write(Changes(added=list(images), **changes))


def is_mirrored(index, server):
    """Whether the collection in use holds what the catalog holds."""
    ids = np.sort(index.ids()).tolist()
    held = server.held()
    if sorted(held) != ids:
        return False
    stored = index.embeddings(ids) if ids else np.empty((0, DIM))
    return all(np.array_equal(held[each][0], row) for each, row in zip(ids, stored, strict=True))


def first(index, query):
    return index.nearest(query[np.newaxis], 1)[1][0, 0]


def test_what_is_written_is_found_in_the_store(index, server):
    rows = unit(5)
    write(index, *(picture(f"{i}.jpg", row) for i, row in enumerate(rows)))
    index.save_snapshot()
    assert is_mirrored(index, server)
    assert [hit.path for hit in index.search(rows[3:4], 1)[0]] == [f"{ROOT}/3.jpg"]


def test_no_file_of_vectors_is_written(index, folder):
    write(index, *pictures(3))
    index.save_snapshot()
    assert snapshots(folder) == []


def test_a_search_brings_what_another_process_wrote(index, folder, server):
    index.save_snapshot()
    row = unit(1, seed=7)[0]
    with Index.open(folder, SPEC, server.open) as other:
        other.add_root(ROOT)
        write(other, picture("late.jpg", row))
    assert first(index, row) == paths(index)["late.jpg"]


def test_what_is_removed_replaced_or_moved_is_so_in_the_store(index, server):
    one, two, three = pictures(3)
    write(index, one, two, three)
    index.save_snapshot()
    known = paths(index)
    index.write(
        Changes(
            removed=[known["0"]],
            changed={known["1"]: picture("1", unit(1, seed=9)[0])},
            failed=[Failure(three.file, "gone bad")],
        )
    )
    index.save_snapshot()
    assert list(server.held()) == [known["1"]]
    assert is_mirrored(index, server)


def test_a_second_run_sends_nothing(index, server):
    write(index, *pictures(4))
    index.save_snapshot()
    server.requests.clear()
    index.save_snapshot()
    assert "upsert" not in server.requests
    assert "delete" not in server.requests


@pytest.mark.parametrize("patience", range(12))
def test_a_server_that_goes_away_loses_nothing(index, folder, server, patience):
    write(index, *pictures(3))
    index.save_snapshot()
    index.write(Changes(added=pictures(4, 1, "new"), removed=[paths(index)["0"]]))
    server.patience = patience
    try:
        index.save_snapshot()
    except StoreError:
        assert index.count == 6
    server.patience = None
    with Index.open(folder, SPEC, server.open) as again:
        again.save_snapshot()
        assert is_mirrored(again, server)


def test_what_was_sent_but_not_recorded_is_sent_again_and_is_there_once(index, server, monkeypatch):
    write(index, *pictures(3))
    with monkeypatch.context() as patched:
        patched.setattr("searchengine.catalog.Writer.set_store_state", _killed)
        with pytest.raises(KeyboardInterrupt):
            index.save_snapshot()
    index.save_snapshot()
    assert is_mirrored(index, server)


def _killed(*_):
    raise KeyboardInterrupt


def test_a_server_that_lost_everything_is_filled_again(index, folder, server):
    rows = unit(3)
    write(index, *(picture(str(i), row) for i, row in enumerate(rows)))
    index.save_snapshot()
    server.collections.clear()
    with Index.open(folder, SPEC, server.open) as again:
        assert first(again, rows[1]) == paths(again)["1"]
        assert is_mirrored(again, server)


def test_a_search_does_not_wait_for_another_process_that_fills_the_store(index, server):
    rows = unit(2)
    write(index, picture("0", rows[0]))
    index.save_snapshot()
    write(index, picture("1", rows[1]))
    name = f"store-{hashlib.sha256(server.alias.encode()).hexdigest()[:12]}"
    with index._catalog.alone(name) as mine:
        assert mine
        assert first(index, rows[1]) == paths(index)["0"]
    assert first(index, rows[1]) == paths(index)["1"]


def test_a_search_brings_a_large_backlog_in_parts(index, server, monkeypatch):
    monkeypatch.setattr(mirror, "_BLOCKS", 1)
    write(index, *pictures(1))
    index.save_snapshot()
    write(index, *pictures(5000, 1, "new"))
    row = unit(1)[0]
    first(index, row)
    assert 1 < len(server.held()) < 5001
    for _ in range(4):
        first(index, row)
    assert is_mirrored(index, server)


def test_filters_that_the_store_applies_reach_it_and_others_as_ids(index, server):
    write(index, *pictures(3))
    index.save_snapshot()
    query = unit(1)
    assert index.narrowed(Filters(types=("JPEG",))) == Filters(types=("JPEG",))
    index.nearest(query, 2, index.narrowed(Filters(types=("JPEG",))))
    assert server.requests[-1] == ("search", Filters(types=("JPEG",)))
    among = index.narrowed(Filters(min_width=10))
    assert among.tolist() == sorted(paths(index).values())
    assert index.nearest(query, 2, among)[1].size == 2


def test_filters_given_to_a_store_that_does_not_apply_them_become_ids(index, server):
    write(index, *pictures(3))
    assert index.nearest(unit(1), 2, Filters(min_width=10_000))[1].size == 0
    assert index.nearest(unit(1), 9, Filters(min_width=10))[1].size == 3


def test_check_tells_of_a_store_that_differs_and_repair_mends_it(index, server):
    write(index, *pictures(3))
    index.save_snapshot()
    assert index.check() == []
    server.held().popitem()
    assert index.check() == [f"{server.alias} holds 2 embeddings, the catalog 3"]
    assert index.repair() == [f"filled {server.alias} anew with 3 vectors"]
    assert index.check() == []
    assert is_mirrored(index, server)


def test_the_kind_of_search_is_the_store(index, server):
    index.save_snapshot()
    assert index.kind == server.alias


class TestAnotherEncoder:
    @pytest.fixture
    def staged(self, index, server):
        write(index, *[picture(str(i), row, bytes([i]) * 32) for i, row in enumerate(unit(3))])
        index.save_snapshot()
        index.begin_staging(OTHER)
        index.stage(OTHER, [bytes([i]) * 32 for i in range(3)], unit(3, seed=5))
        return index

    def test_its_collection_is_filled_before_the_alias_moves(self, staged, server, monkeypatch):
        before = server.alias
        seen = []
        real = ToyStore.settle
        monkeypatch.setattr(
            ToyStore, "settle", lambda self: (seen.append((server.alias, self.count())), real(self))
        )
        staged.switch(OTHER)
        assert seen[0] == (before, 3)
        assert server.alias != before
        assert is_mirrored(staged, server)

    def test_searches_answer_from_the_present_one_until_then(self, staged, server):
        assert first(staged, unit(3)[1]) == paths(staged)["1"]

    def test_a_server_that_goes_away_leaves_the_present_one(self, staged, folder, server):
        server.patience = 2
        with pytest.raises(StoreError):
            staged.switch(OTHER)
        server.patience = None
        with Index.open(folder, None, server.open) as again:
            assert again.spec == SPEC
            assert first(again, unit(3)[1]) == paths(again)["1"]

    def test_going_back_sends_nothing(self, staged, server):
        one = server.alias
        staged.switch(OTHER)
        staged.begin_staging(SPEC)
        assert staged.unstaged(SPEC) == []
        server.requests.clear()
        staged.switch(SPEC)
        assert server.alias == one
        assert "upsert" not in server.requests
        assert is_mirrored(staged, server)

    def test_going_back_brings_what_changed_meanwhile(self, staged, server):
        staged.switch(OTHER)
        known = paths(staged)
        staged.write(
            Changes(
                added=[picture("3", unit(1, seed=8)[0], b"3" * 32)],
                removed=[known["0"]],
                changed={known["1"]: picture("1", unit(1, seed=9)[0], b"4" * 32)},
            )
        )
        staged.begin_staging(SPEC)
        staged.stage(SPEC, [b"3" * 32, b"4" * 32], unit(2, seed=11))
        staged.switch(SPEC)
        assert is_mirrored(staged, server)

    def test_a_third_one_takes_the_place_of_the_oldest(self, staged, server):
        staged.switch(OTHER)
        third = EncoderSpec("third", "1" * 64, DIM)
        staged.begin_staging(third)
        assert len(server.collections) == 1
        staged.stage(third, [bytes([i]) * 32 for i in range(3)], unit(3, seed=6))
        staged.switch(third)
        assert len(server.collections) == 2
        assert is_mirrored(staged, server)


class TestTwoStores:
    def test_each_has_its_own_state(self, index, folder, server):
        write(index, *pictures(3))
        index.save_snapshot()
        elsewhere = Server()
        with Index.open(folder, SPEC, elsewhere.open_elsewhere) as other:
            other.save_snapshot()
            other.remove_root(ROOT)
            other.save_snapshot()
            assert is_mirrored(other, elsewhere)
        assert len(server.held()) == 3
        index.save_snapshot()
        assert server.held() == {}

    def test_what_both_know_to_be_gone_is_forgotten(self, index, server):
        write(index, *pictures(3))
        index.save_snapshot()
        index.remove_root(ROOT)
        index.save_snapshot()
        with index._catalog.reading() as rows:
            assert rows.dropped_after(0)[0].size == 0


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "change", "save", "search", "reopen"]),
            st.integers(0, 9),
            st.none() | st.integers(0, 6),
        ),
        max_size=12,
    )
)
def test_whatever_happens_the_next_run_makes_it_right(tmp_path_factory, steps):
    folder, server = tmp_path_factory.mktemp("mirrored") / "index", Server()
    index = Index.create(folder, SPEC, server.open)
    index.add_root(ROOT)
    for number, (what, which, patience) in enumerate(steps):
        server.patience = patience
        known = paths(index)
        name = str(which)
        row = unit(1, seed=100 + number)[0]
        try:
            if what == "add" and name not in known:
                write(index, picture(name, row))
            elif what == "remove" and name in known:
                index.write(Changes(removed=[known[name]]))
            elif what == "change" and name in known:
                index.write(Changes(changed={known[name]: picture(name, row)}))
            elif what == "save":
                index.save_snapshot()
            elif what == "search" and known:
                index.nearest(row[np.newaxis], 3)
            elif what == "reopen":
                index.close()
                index = Index.open(folder, SPEC, server.open)
                index.add_root(ROOT)
        except StoreError:
            pass
    server.patience = None
    index.save_snapshot()
    assert is_mirrored(index, server)
    assert index.check() == []
    index.close()
