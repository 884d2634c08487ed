import numpy as np
import pytest

from searchengine.catalog import Catalog, Changes, NewImage, decode, postgresql, sqlite
from searchengine.errors import IndexFolderError
from searchengine.types import Failure, ImageFile, Scope
from tests.catalog.toys import INFO, ROOT, SPEC, apply, failed, files, picture


def test_an_image_is_read_as_it_was_written(catalog):
    apply(catalog, added=[picture("a/caf\udce9.jpg")])
    with catalog.reading() as rows:
        (image,) = rows.images([1]).values()
        vectors = rows.vectors([1])
    assert image.file == ImageFile(ROOT, "a/caf\udce9.jpg", 10, 20)
    assert image.info == INFO
    np.testing.assert_allclose(decode([vectors[1]], 2), [[0.6, 0.8]], atol=1e-3)
    with pytest.raises(IndexFolderError, match="check --repair"):
        decode([vectors[1]], 3)


def test_two_images_may_change_places(catalog):
    apply(catalog, added=[picture("a"), picture("b"), picture("c")])
    moved = {1: ImageFile(ROOT, "b", 1, 1), 2: ImageFile(ROOT, "c", 2, 2)}
    apply(catalog, moved=moved, removed=[3], added=[picture("a")])
    assert files(catalog) == {"b": 1, "c": 2, "a": 4}


def test_a_path_holds_an_image_or_a_failure(catalog):
    apply(catalog, added=[picture("a"), picture("b")])
    broken = [Failure(ImageFile(ROOT, name, 1, 1), "cut short") for name in ("a", "x", "y")]
    apply(catalog, failed=broken)
    assert files(catalog) == {"b": 2}
    assert failed(catalog) == dict.fromkeys("axy", "cut short")
    apply(catalog, added=[picture("x")], moved={2: ImageFile(ROOT, "a", 1, 1)})
    assert failed(catalog) == {"y": "cut short"}
    apply(catalog, failed=[Failure(ImageFile(ROOT, "y", 2, 2), "still")])
    assert failed(catalog) == {"y": "still"}
    apply(catalog, forgotten=[ImageFile(ROOT, "y", 2, 2)])
    assert failed(catalog) == {}


def test_images_are_found_by_their_content(catalog):
    apply(catalog, added=[picture("a", b"1"), picture("b", b"2"), picture("c", b"2")])
    with catalog.reading() as rows:
        same = rows.by_digest([b"2", b"unknown"])
    assert {digest: [image.file.path for image in found] for digest, found in same.items()} == {
        b"2": ["b", "c"]
    }


def test_changed_content_keeps_the_id_and_numbers_the_vector_anew(catalog):
    apply(catalog, added=[picture("a", b"1"), picture("b", b"2")])
    with catalog.reading() as rows:
        before = rows.last_seq()
    apply(catalog, changed={1: picture("a", b"3", size=11)})
    with catalog.reading() as rows:
        (blocks,) = rows.vectors_after(before)
        assert blocks[0].tolist() == [1]
        assert rows.files(ROOT)["a"] == (1, 11, 20)
        assert list(rows.by_digest([b"1", b"3"])) == [b"3"]


def test_ids_and_vector_numbers_are_never_used_twice(catalog):
    apply(catalog, added=[picture("a"), picture("b")])
    apply(catalog, removed=[2])
    apply(catalog, added=[picture("c")])
    assert files(catalog) == {"a": 1, "c": 3}
    with catalog.reading() as rows:
        assert rows.last_seq() == 3


def test_a_batch_is_written_whole_or_not_at_all(catalog):
    apply(catalog, added=[picture("a")])
    with pytest.raises(IndexFolderError, match=r"(?i)unique"):
        apply(catalog, added=[picture("b"), picture("a")])
    with pytest.raises(IndexFolderError, match="not a root"):
        apply(catalog, removed=[1], added=[NewImage(ImageFile("/x", "b", 1, 1), b"", INFO, None)])
    assert files(catalog) == {"a": 1}


def test_more_ids_than_one_statement_takes(catalog):
    apply(catalog, added=[picture(f"{n}") for n in range(2000)])
    with catalog.reading() as rows:
        assert len(rows.images(range(3000))) == 2000


def test_a_wider_root_takes_in_the_narrower_ones(catalog):
    with catalog.writing() as rows:
        rows.add_root("/photosynthesis")
    apply(catalog, added=[picture("a/b")], failed=[Failure(ImageFile(ROOT, "x", 1, 1), "no")])
    with catalog.writing() as rows:
        assert rows.add_root("/") == [ROOT, "/photosynthesis"]
    assert files(catalog, "/") == {"photos/a/b": 1}
    assert failed(catalog) == {"photos/x": "no"}


def test_a_wider_root_excludes_what_the_narrower_ones_did(catalog):
    with catalog.writing() as rows:
        rows.set_scope(ROOT, Scope(("raw/", "/b/c"), include_hidden=True))
        rows.add_root("/else", Scope(("!x",)))
        rows.add_root("/", Scope(("tmp",)))
        assert rows.scopes() == {
            "/": Scope(("tmp", "/photos/**/raw/", "/photos/b/c", "!/else/**/x"))
        }


def test_readers_answer_while_one_writes(catalog):
    with catalog.writing() as rows:
        rows.apply(Changes(added=[picture("a")]))
        assert files(catalog) == {}
    assert files(catalog) == {"a": 1}


def test_a_reader_sees_one_state(catalog):
    with catalog.reading() as rows:
        assert rows.count() == 0
        apply(catalog, added=[picture("a")])
        assert rows.count() == 0


def test_a_second_writer_gives_up_after_a_while(path, monkeypatch):
    for database in (sqlite, postgresql):
        monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    catalog = Catalog.create(path, SPEC, {})
    with (
        catalog.writing(),
        pytest.raises(IndexFolderError, match=r"lock.*; another process"),
        catalog.writing(),
    ):
        pass
    catalog.close()


def test_only_the_holder_of_the_stamp_changes_it(catalog):
    with catalog.writing() as rows:
        rows.add_root("/else")
        held = rows.root_stamps()
        assert len({*held.values(), ""}) == 3
        for stale in ({**held, ROOT: "other"}, {**held, "/gone": ""}):
            assert not rows.restamp(stale, "mine")
            assert (rows.stamp(), rows.root_stamps()) == ("first", held)
        assert rows.restamp({ROOT: held[ROOT]}, "second")
        assert (rows.stamp(), rows.root_stamps()) == ("second", {**held, ROOT: "second"})
        assert not rows.restamp(held, "third")
        rows.restamp_all("fourth")
        assert {rows.stamp(), *rows.root_stamps().values()} == {"fourth"}
