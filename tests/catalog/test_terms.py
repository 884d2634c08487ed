"""How texts are cut into words, and what a person who types looks for."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.catalog.terms import fold, wanted, words_of, words_of_name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog, on the Beach!", "a dog on the beach"),
        ("Café CAFÉ cafe\u0301", "cafe cafe cafe"),
        ("Straße İzmir", "strasse izmir"),
        ("f/2.8 it's", "f 2 8 it s"),
        ("под дъжда 海辺 हिन्दी", "под дъжда 海辺 हिनदी"),
        ("שָׁלוֹם", "שלום"),
        ("caf\udce9 \U0010fe80 \0 🐕 !!", "caf"),
        ("", ""),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, words: str) -> None:
    assert words_of(text) == [unicodedata.normalize("NFD", each) for each in words.split()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("IMG_beachParty2", "img beachparty2 beach party 2"),
        ("HTMLPage", "htmlpage html page"),
        ("DSC01234", "dsc01234 dsc 01234"),
        ("2024-07 Trip", "2024 07 trip"),
        ("IMG_2041", "img 2041"),
        ("dogDog", "dogdog dog dog"),
        ("StraßenFest", "strassenfest strassen fest"),
        ("CaféBar", "cafebar cafe bar"),
        ("iPhone", "iphone i phone"),
    ],
)
def test_names_are_also_found_by_their_parts(name: str, words: str) -> None:
    assert words_of_name(name) == words.split()


@given(st.text())
def test_words_of_any_text_are_words_themselves(text: str) -> None:
    for word in words_of(text):
        assert words_of(word) == [word]
        assert word.isprintable()
    assert words_of(text.swapcase()) == words_of(text) or not text.isascii()
    assert words_of(unicodedata.normalize("NFD", text)) == words_of(text)
    assert set(words_of(text)) <= set(words_of_name(text))


@given(st.text())
def test_folding_takes_case_and_diacritics_only(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert [c for c in folded if c in "!?._-/ "] == [
        c for c in unicodedata.normalize("NFD", text) if c in "!?._-/ "
    ]


@pytest.mark.parametrize(
    ("text", "words", "quotations"),
    [
        ("a dog on the beach", ["dog", "beach"], []),
        ("to be or not to be", ["not"], []),
        ("On the", ["on", "the"], []),
        ("the dog the Dog", ["dog"], []),
        ('red "f/2.8" boat', ["red", "boat"], ["f/2.8"]),
        ('the "IMG_2041"', [], ["IMG_2041"]),
        ("“sunny day” x", ["x"], ["sunny day"]),
        ('"a" "a" ""  " "', [], ["a"]),
        ('dog "cat', ["dog", "cat"], []),
        ("dog AND -cat OR NEAR(x, 2) col:y* ^z", "dog cat near x 2 col y z".split(), []),  # noqa: SIM905
        ("!!", [], []),
        ('"!!"', [], ["!!"]),
    ],
)
def test_what_a_person_looks_for(text: str, words: list[str], quotations: list[str]) -> None:
    found = wanted(text)
    assert list(found.words) == words
    assert [each.typed for each in found.quotations] == quotations
    assert bool(found) == bool(words or quotations)


def test_a_quotation_may_end_in_the_extension_of_a_file() -> None:
    (name,) = wanted('"IMG_2041.JPG"').quotations
    assert (name.folded, name.words) == ("img_2041.jpg", ("img", "2041", "jpg"))
    assert name.stem == ("img", "2041")
    (extension,) = wanted('".jpg"').quotations
    assert (extension.words, extension.stem) == (("jpg",), ())
    (phrase,) = wanted('"St. Anna"').quotations
    assert phrase.stem == phrase.words == ("st", "anna")
