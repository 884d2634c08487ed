"""What tells copies apart, as the catalog gives it."""

from __future__ import annotations

from dataclasses import replace

from tests.catalog.toys import INFO, ROOT, apply, picture


def test_equal_bytes_share_a_content_and_the_one_to_keep_comes_first(catalog):
    older, larger = picture("z", b"y"), picture("y", b"z")
    added = [
        picture("b", b"x"),
        picture("a", b"x"),
        replace(older, file=replace(older.file, mtime_ns=19)),
        replace(larger, info=replace(INFO, width=641, phash=-5)),
    ]
    apply(catalog, added=added)
    with catalog.reading() as rows:
        found = rows.traits()
        paths = {each.id: each.file.path for each in rows.images(range(9)).values()}
        assert sorted(rows.traits([3, 2, 99])) == sorted(
            each for each in found if each.id in (2, 3)
        )
    assert [paths[each.id] for each in found] == ["y", "z", "a", "b"]
    assert [each.content for each in found] == [4, 3, 1, 1]
    assert [each.phash for each in found] == [-5, None, None, None]
    assert found[0][3:] == (INFO.taken_at, INFO.camera)
    assert ROOT not in paths
