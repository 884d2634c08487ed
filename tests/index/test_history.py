"""Any history of an index, against a plain oracle."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine.index import Changes, Index
from searchengine.types import Failure, ImageFile
from tests.index.toys import ROOT, SPEC, damage, paths, picture, snapshots, unit

CHANGES = ["add", "add", "remove", "move", "change", "copy", "fail"]
EVENTS = ["search", "save", "reopen", "lose", "corrupt"]
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(CHANGES + EVENTS), st.integers(0, 2**16)), max_size=25
)


def agrees(index, oracle, query):
    """Check the top 7 against brute force over path -> embedding."""
    ids = {image_id: path for path, image_id in paths(index).items()}
    assert set(ids.values()) == set(oracle)
    (hits,) = index.search(query[np.newaxis], 7)
    scores = {path: min(float(query @ row), 1) for path, row in oracle.items()}
    best = sorted(scores.values(), reverse=True)[:7]
    np.testing.assert_allclose([hit.score for hit in hits], best, atol=1e-6)
    for hit in hits:
        assert hit.image.file.path == ids[hit.id]
        assert hit.score == pytest.approx(scores[ids[hit.id]], abs=1e-6)
    assert len({hit.id for hit in hits}) == len(hits)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.id))


def change(operation, number, oracle, ids):
    """Make a batch, and do the same to the oracle."""
    new = {f"{number}-{i}": row for i, row in enumerate(unit(number % 4 + 1, number))}
    if operation == "add":
        fresh = {path: row for path, row in new.items() if path not in oracle}
        oracle.update(fresh)
        return Changes(added=[picture(path, row) for path, row in fresh.items()])
    if not oracle:
        return Changes()
    path = sorted(oracle)[number % len(oracle)]
    row = unit(1, number)[0]
    target = ImageFile(ROOT, f"moved-{number}", 1, 1)
    if operation == "change":
        oracle[path] = row
        return Changes(changed={ids[path]: picture(path, row)})
    if operation in ("move", "copy") and target.path in oracle:
        return Changes()
    if operation == "copy":
        oracle[target.path] = oracle[path]
        return Changes(added=[picture(target.path, oracle[path])])
    row = oracle.pop(path)
    if operation == "move":
        oracle[target.path] = row
        return Changes(moved={ids[path]: target})
    if operation == "fail":
        return Changes(failed=[Failure(ImageFile(ROOT, path, 1, 1), "garbage")])
    return Changes(removed=[ids[path]])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OPERATIONS)
def test_any_history_searches_like_brute_force(operations):
    with tempfile.TemporaryDirectory() as folder:
        oracle = {}
        index = Index.create(folder, SPEC)
        index.add_root(ROOT)
        for operation, number in operations:
            if operation == "search":
                agrees(index, oracle, unit(1, number + 1)[0])
            elif operation == "save":
                assert index.save_snapshot()
            elif operation in ("reopen", "lose", "corrupt"):
                index.close()
                for name in snapshots(folder) if operation != "reopen" else []:
                    damage(Path(folder) / name, "lost" if operation == "lose" else "truncated")
                index = Index.open(folder)
                agrees(index, oracle, unit(1, number + 1)[0])
            else:
                index.write(change(operation, number, oracle, paths(index)))
        agrees(index, oracle, unit(1)[0])
        index.save_snapshot()
        assert index.check() == []
        index.close()
