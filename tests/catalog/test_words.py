"""The words of images: found as they were typed, and in step with every change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from searchengine.catalog import Catalog, Changes, Writer, words
from searchengine.catalog.terms import wanted, words_of, words_of_name
from searchengine.errors import IndexFolderError
from searchengine.filters import Filters
from searchengine.types import EncoderSpec, Failure, ImageFile, WordMatch
from tests.catalog.toys import ROOT, SPEC, apply, picture
from tests.postgres import new_place

PATHS = [
    "IMG_beachParty2.jpg",  # 1
    "Holiday/beach.jpg",  # 2
    "Beach/IMG_2041.JPG",  # 3
    "Beach/x.jpg",  # 4
    "2024/Café Größe/caf\udce9 f.png",  # 5
    "odd/100%_x!!.jpg",  # 6
    "plain/y.jpg",  # 7
]
CAPTIONS = {
    4: ("a dog on the beach", "two boats"),
    5: ("Shot at f/2.8, a bobcat.", "no dogs"),
    7: ("the cat sat", "a dog. And boats"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    path = new_place(tmp_path_factory.mktemp("told"))
    catalog = Catalog.create(path, SPEC, {"stamp": "first"})
    with catalog.writing() as rows:
        rows.add_root(ROOT)
        rows.apply(Changes(added=[picture(path) for path in PATHS], captions=CAPTIONS))
    yield catalog
    catalog.close()


def match(
    catalog: Catalog, text: str, limit: int = 99, allowed: list[int] | None = None
) -> list[WordMatch]:
    with catalog.reading() as rows:
        return rows.words(text, limit, None if allowed is None else np.array(allowed, np.int64))


def ids(catalog: Catalog, text: str, **options: object) -> list[int]:
    return [each.id for each in match(catalog, text, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("party", {1: "file name"}),
        ("beachparty2", {1: "file name"}),
        ("Beach", {1: "file name", 2: "file name", 3: "folder", 4: "folder, caption"}),
        ("holiday BEACH", {2: "file name, folder"}),
        ("a dog on the beach", {4: "folder, caption"}),
        ("dog boats", {4: "caption", 7: "caption"}),
        ("cafe größe", {5: "folder"}),
        ("CAFÉ GROSSE", {5: "folder"}),
        ("caf", {5: "file name"}),
        ("jpg", {}),
        ("bea", {}),
        ("photos", {}),
        ("dog elephant", {}),
        ("2041", {3: "file name"}),
        ("f/2.8", {5: "file name, caption"}),
    ],
)
def test_plain_words_must_all_be_there(told: Catalog, text: str, fields: dict[int, str]) -> None:
    found = {each.id: ", ".join(each.fields) for each in match(told, text)}
    assert found == fields


@pytest.mark.parametrize("text", ["beach", '"dog"', "!", "img", "none"])
@pytest.mark.parametrize("filters", [Filters(folder="Beach"), Filters(captioned=True)])
def test_filters_leave_what_the_ids_that_pass_them_leave(
    told: Catalog, text: str, filters: Filters
) -> None:
    with told.reading() as rows:
        passing = rows.matching(filters)
        assert 0 < len(passing) < len(PATHS)
        assert rows.words(text, 9, filters) == rows.words(text, 9, passing)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"IMG_2041"', [3]),
        ('"img_2041.jpg"', [3]),
        ('"IMG 2041"', []),
        ('"IMG-2041"', []),
        ('"f/2.8"', [5]),
        ('"f 2.8"', []),
        ('"on the beach"', [4]),
        ('"the dog"', []),
        ('"dog. and"', [7]),
        ('"dog and"', []),
        ('"cat."', []),  # the bobcat is another word
        ('"beach two"', []),  # across two captions
        ('"!!"', [6]),
        ('"%_X!!"', [6]),
        ('"%_"', [6]),
        ('"100%_x!!.jpg"', [6]),
        ('".png"', [5]),
        ('"café größe"', [5]),
        ('"CAFE GRÖSSE"', [5]),
        ('"beach" dog', [4]),
        ('beach "img"', [1, 3]),
        ('"!!" "odd"', [6]),
        ('"!!" "??"', []),
        ('"Beach/IMG"', []),
    ],
)
def test_a_quotation_stands_there_literally(told: Catalog, text: str, found: list[int]) -> None:
    assert sorted(ids(told, text)) == found


def test_names_and_captions_come_before_folders(told: Catalog) -> None:
    best = ids(told, "beach")
    assert set(best[:3]) == {1, 2, 4}
    assert best[3] == 3


def test_equal_matches_come_by_id_and_no_more_than_wanted(catalog: Catalog) -> None:
    apply(catalog, added=[picture(f"dog {n:03}.jpg") for n in range(500)])
    assert ids(catalog, "dog") == list(range(1, 100))
    assert ids(catalog, '"dog"', limit=3) == [1, 2, 3]
    assert ids(catalog, '"dog 4"', limit=3) == []
    assert ids(catalog, '"dog 499"', limit=3) == [500]
    assert ids(catalog, "dog", limit=5, allowed=[7, 499, 3, 9999]) == [3, 7, 499]
    assert ids(catalog, "dog", allowed=[]) == ids(catalog, "dog", limit=0) == []


def test_words_that_nearly_all_hold_come_by_id(
    told: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = ids(told, "beach")
    monkeypatch.setattr(words, "_RANKED", 3)
    assert ids(told, "beach") == sorted(ranked) != ranked
    assert ids(told, "beach", limit=2) == [1, 2]


TYPED = [
    *(
        "",
        " ",
        '"',
        '""',
        '"""',
        "AND",
        "NOT",
        "OR OR",
        "NEAR(",
        "NEAR(a b, 2)",
        "*",
        "^",
        "a*",
        "^a",
    ),
    *(
        "-a",
        "name:x",
        "{name}:x",
        "name : x",
        "a AND NOT b",
        '"a" + "b"',
        "'",
        "a'b",
        "(",
        "\\",
        ";",
    ),
    *("--", "%", '"%"', "\0", "a\0b", '"\0"', "\ud800", '"\ud800"', "\udc80", "\u202eabc"),
    *("🐕", '"🐕"', "x" * 10**6),
]
TYPED += ["word " * 50_000, " ".join(map(str, range(3000))), f'"{"x y " * 20_000}"']


@pytest.mark.parametrize("text", TYPED, ids=lambda text: ascii(text[:20]))
def test_nothing_that_is_typed_is_an_operator_or_an_error(told: Catalog, text: str) -> None:
    match(told, text)


@given(st.text() | st.text(alphabet='ab"“” *^-:()!%_.\0\ud800\udce9é🐕\u202e'))
@settings(max_examples=80, deadline=None)
def test_any_text_may_be_typed(told: Catalog, text: str) -> None:
    found = match(told, text)
    assert len(found) <= len(PATHS)
    if not wanted(text).quotations:
        assert [each.id for each in found if not holds(each.id, text)] == []


def holds(image_id: int, text: str) -> bool:
    """Whether all the plain words of a text stand with an image, by a plain look at its texts."""
    *folders, name = PATHS[image_id - 1].split("/")
    there = words_of_name("/".join(folders)) + words_of_name(name.rpartition(".")[0])
    there += [word for caption in CAPTIONS.get(image_id, ()) for word in words_of(caption)]
    return set(wanted(text).words) <= set(there)


letters = st.characters(codec="utf-8", exclude_categories=["Cs", "Co"])


@given(st.text(letters, min_size=1), st.text(letters))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_word_of_a_caption_is_found(catalog: Catalog, caption: str, other: str) -> None:
    with undone(catalog) as (db, rows):
        added = [picture("x.jpg"), picture("y.jpg")]
        rows.apply(Changes(added=added, captions={1: (caption,), 2: (other,)}))
        words.refresh(db)
        for word in words_of(caption):
            assert 1 in [each.id for each in rows.words(word, 9)]
        literal = caption.replace('"', " ").replace("“", " ").replace("”", " ").strip()
        if literal and literal in caption:
            assert 1 in [each.id for each in rows.words(f'"{literal}"', 9)]


def test_a_letter_that_an_old_sqlite_does_not_know_is_part_of_a_word(catalog: Catalog) -> None:
    apply(catalog, added=[picture("x.jpg")], captions={1: ("\u19b9\u19b9 dog",)})
    assert ids(catalog, "dog \u19b9\u19b9") == ids(catalog, '"\u19b9\u19b9"') == [1]


class _UndoError(Exception):
    pass


@contextmanager
def undone(catalog: Catalog) -> Iterator[tuple[Connection, Writer]]:
    """A transaction that leaves everything as it was, ids too."""
    try:
        with catalog._transaction(writes=True) as db:
            if db.dialect.name == "postgresql":  # where it is no part of what is undone
                db.execute(sa.text("ALTER SEQUENCE images_id_seq RESTART"))
            yield db, Writer(db)
            raise _UndoError
    except _UndoError:
        pass


def table(db: Connection) -> list[tuple[object, ...]]:
    id_column = "image_id" if db.dialect.name == "postgresql" else "rowid"
    rows = db.execute(sa.text(f"SELECT {id_column}, * FROM words ORDER BY 1"))
    return [tuple(row) for row in rows]


names = st.sampled_from(["a.jpg", "b.jpg", "dogRun.png", "x/a.jpg", "x/y/b.jpg", "caf\udce9.jpg"])
texts = st.lists(st.sampled_from(["a dog", "two boats", "x", "A dog"]), max_size=3).map(tuple)
steps = st.one_of(
    st.tuples(st.just("add"), names),
    st.tuples(st.just("change"), st.integers(0, 5)),
    st.tuples(st.just("move"), st.integers(0, 5), names),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("fail"), names),
    st.tuples(st.just("caption"), st.integers(0, 5), texts),
    st.tuples(st.just("widen")),
    st.tuples(st.just("move root")),
    st.tuples(st.just("remove root")),
)


def step(rows: Writer, action: str, *arguments: object) -> None:
    """Change something, as far as there is anything to change."""
    root = rows.roots()[0] if rows.roots() else ""
    taken = rows.files(root)
    images = sorted(rows.images(range(1, 99)).values(), key=lambda each: each.id)
    chosen = [
        images[each % len(images)] for each in arguments[:1] if isinstance(each, int) and images
    ]
    if action in ("move root", "remove root", "widen") or not root:
        if not root:
            rows.add_root(f"{ROOT}/in/here")
        elif action == "widen":
            if root.count("/") > 1:
                rows.add_root(root.rpartition("/")[0])
        elif action == "move root":
            rows.move_root(root, f"{root}2")
        else:
            rows.remove_root(root)
        return
    change = Changes()
    for image in chosen:
        match action:
            case "change":
                change.changed[image.id] = replace(picture("", b"new"), file=image.file)
            case "move" if arguments[1] not in taken:
                change.moved[image.id] = ImageFile(root, str(arguments[1]), 1, 1)
            case "remove":
                change.removed.append(image.id)
            case "caption":
                change.captions[image.id] = arguments[1]  # type: ignore[assignment]
    if action == "add" and arguments[0] not in taken:
        change.added.append(replace(picture(""), file=ImageFile(root, str(arguments[0]), 1, 1)))
    if action == "fail":
        change.failed.append(Failure(ImageFile(root, str(arguments[0]), 1, 1), "cut"))
    rows.apply(change)


@given(st.lists(st.lists(steps, max_size=4), max_size=5))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_after_any_changes_the_words_are_those_of_a_rebuilt_table(
    catalog: Catalog, batches: list[list[tuple[str, ...]]]
) -> None:
    with undone(catalog) as (db, rows):
        rows.apply(
            Changes(added=[picture(f"x/dog{n}.jpg") for n in range(3)], captions={1: ("x",)})
        )
        for batch in [[], *batches]:
            for each in batch:
                step(rows, *each)
            words.refresh(db)
            assert words.out_of_step(db) == []
        found = table(db)
        assert len(found) == len(rows.images(range(1, 99)))
        words.rebuild(db)
        assert table(db) == found


def test_every_transaction_that_commits_is_in_step(catalog: Catalog) -> None:
    with catalog.writing() as rows:
        rows.add_root("/elsewhere/deep")
    apply(catalog, added=[picture("trip/a.jpg"), picture("b.jpg")], captions={2: ("a dog",)})
    assert (ids(catalog, "trip"), ids(catalog, "dog")) == ([1], [2])
    apply(catalog, moved={1: ImageFile(ROOT, "tour/dog.jpg", 1, 1)}, captions={2: ()})
    assert (ids(catalog, "trip"), ids(catalog, "dog")) == ([], [1])
    with catalog.writing() as rows:
        rows.add_root("/")
    assert set(match(catalog, "photos")) == {WordMatch(n, ("folder",)) for n in (1, 2)}
    apply(catalog, removed=[1])
    assert ids(catalog, "tour") == []
    with catalog.reading() as rows:
        assert rows.problems() == []


def test_switching_forgets_the_words_of_images_without_a_vector(
    catalog: Catalog,
) -> None:
    apply(catalog, added=[picture("dog.jpg", b"1"), picture("cat.jpg", b"2")])
    other = EncoderSpec("new", "new", 2)
    with catalog.writing() as rows:
        rows.begin_staging(other)
        rows.stage(other, [b"2"], np.array([[1, 0]], np.float32))
        rows.switch(other)
    assert (ids(catalog, "dog"), ids(catalog, "cat")) == ([], [2])


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM words WHERE rowid = 1",
        "UPDATE words SET name = 'cat' WHERE rowid = 1",
        "INSERT INTO words (rowid, name) VALUES (99, 'dog')",
        "DELETE FROM words_data",
        "DELETE FROM words_content",
        "UPDATE words_data SET block = x'0102030405'",
        "DROP TRIGGER words_image_added",
    ],
)
def test_mending_makes_the_words_anew(catalog: Catalog, damage: str) -> None:
    apply(catalog, added=[picture("dog.jpg"), picture("cat.jpg")])
    with catalog.writing() as rows:
        rows._db.exec_driver_sql(damage)
    try:
        with catalog.reading() as rows:
            said = rows.problems()
    except IndexFolderError as error:
        said = [str(error)]
    if "words_data" not in damage and "TRIGGER" not in damage:
        assert said
    with catalog.writing() as rows:
        assert rows.mend() == 0
    assert (ids(catalog, "dog"), ids(catalog, "cat")) == ([1], [2])
    apply(catalog, added=[picture("dogs.jpg")])
    assert ids(catalog, "dogs") == [3]
    with catalog.reading() as rows:
        assert rows.problems() == []
