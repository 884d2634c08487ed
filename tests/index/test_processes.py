import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from searchengine.errors import IndexChangedError
from searchengine.index import Changes, Index
from searchengine.vectors import VectorIndex
from tests.index.toys import DIM, ROOT, SPEC, found, picture, pictures, unit


def test_another_index_sees_what_was_written(index, folder):
    with Index.open(folder) as other:
        assert found(other, unit(1)[0]) == []
        index.write(Changes(added=pictures(3)))
        assert found(other, unit(3)[2]) == [3]
        changed = {3: picture("2", unit(1, seed=7)[0])}
        index.write(Changes(removed=[1], changed=changed, added=pictures(2, 5, "new")))
        assert found(other, unit(1, seed=7)[0]) == [3]
        assert sorted(found(other, unit(1)[0], 9)) == [2, 3, 4, 5]
        index.save_snapshot()
        assert sorted(found(other, unit(1)[0], 9)) == [2, 3, 4, 5]


def test_an_interrupted_search_leaves_nothing_half_done(index, monkeypatch):
    def interrupt(vectors):
        raise KeyboardInterrupt

    index.write(Changes(added=pictures(3)))
    found(index, unit(1)[0])
    index.write(Changes(added=pictures(3, prefix="b"), removed=[1]))
    with monkeypatch.context() as patch:
        patch.setattr(VectorIndex, "settle", interrupt)
        with pytest.raises(KeyboardInterrupt):
            found(index, unit(1)[0])
    assert sorted(found(index, unit(1)[0], 9)) == [2, 3, 4, 5, 6]
    index.save_snapshot()
    assert index.check() == []


def test_the_second_writer_is_told(index, folder):
    with Index.open(folder) as other:
        other.write(Changes(added=pictures(2)))
        with pytest.raises(IndexChangedError, match="run the same command again"):
            index.write(Changes(added=pictures(3, prefix="late")))
        assert index.count == 2
        other.write(Changes(added=pictures(2, prefix="more")))
        index.add_root(ROOT)
        index.write(Changes(removed=[1]))
        assert (index.count, other.count) == (3, 3)
        assert index.check() == []


def test_a_hit_that_vanished_meanwhile_is_left_out(index, monkeypatch):
    index.write(Changes(added=pictures(3)))
    search = VectorIndex.search

    def search_then_remove(self, *query):
        result = search(self, *query)
        index.write(Changes(removed=[2]))
        return result

    monkeypatch.setattr(VectorIndex, "search", search_then_remove)
    assert 2 not in found(index, unit(3)[1], 3)


def test_threads_share_an_index(index):
    def searches(_):
        return [len(index.search(unit(1), 1000)[0]) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        counts = pool.map(searches, range(4))
        for batch in range(20):
            index.write(Changes(added=pictures(5, prefix=f"{batch}/")))
    assert all(seen == sorted(seen) for seen in counts)
    assert len(index.search(unit(1), 1000)[0]) == 100


PROCESS = """
import sys
import numpy as np
from searchengine.errors import IndexChangedError
from searchengine.index import Changes, Index, NewImage
from searchengine.types import ImageFile, ImageInfo

folder, role = sys.argv[1:]
index = Index.open(folder)
root, _ = index.add_root("/photos")
row = np.eye(16, dtype=np.float32)[0]
batch = 0
while True:
    if role == "reader":
        print(len(index.search(row[np.newaxis], 10**6)[0]), flush=True)
        continue
    batch += 1
    images = [
        NewImage(ImageFile(root, f"{role}/{batch}/{n}", 1, 1), b"d", ImageInfo(1, 1, "PNG"), row)
        for n in range(8)
    ]
    try:
        index.write(Changes(added=images))
    except IndexChangedError:
        sys.exit("changed")
    print(f"{role}/{batch}", flush=True)
    if batch % 5 == 0 and role != "loser":
        index.save_snapshot()
"""


def start(folder, role):
    command = [sys.executable, "-c", PROCESS, str(folder), role]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_kills_lose_nothing_that_was_acknowledged(folder):
    Index.create(folder, SPEC).close()
    acknowledged = set()
    for life in range(10):
        with start(folder, f"life{life}") as writer:
            acknowledged.add(writer.stdout.readline().strip())
            time.sleep(random.uniform(0, 0.2))
            writer.send_signal(signal.SIGKILL)
            acknowledged.update(line.strip() for line in writer.stdout if line.endswith("\n"))
        with Index.open(folder) as index:
            assert index.check() == []
            written = [path.rpartition("/")[0] for path in index.files(ROOT)]
            assert acknowledged <= set(written)
            assert set(map(written.count, set(written))) == {8}  # no batch in part
    assert len(acknowledged) >= 10
    with Index.open(folder) as index:
        assert len(index.search(np.eye(1, DIM, dtype=np.float32), 10**6)[0]) == len(written)


def test_one_of_two_writers_finishes_and_a_reader_answers(folder):
    Index.create(folder, SPEC).close()
    with start(folder, "loser") as loser, start(folder, "reader") as reader:
        try:
            loser.stdout.readline()
            assert int(reader.stdout.readline()) >= 0
            with Index.open(folder) as winner:
                winner.add_root(ROOT)
                while True:  # until the stamp is still ours at the next write
                    try:
                        winner.write(Changes(added=pictures(8, prefix="winner/")))
                        break
                    except IndexChangedError:
                        winner.add_root(ROOT)
                assert loser.wait(10) == 1
                assert loser.stderr.read().strip() == "changed"
                winner.write(Changes(added=pictures(8, prefix="again/")))
                winner.save_snapshot()
                deadline = time.monotonic() + 10
                while int(reader.stdout.readline()) < winner.count:
                    assert time.monotonic() < deadline
                assert winner.check() == []
        finally:
            reader.kill()
            loser.kill()
