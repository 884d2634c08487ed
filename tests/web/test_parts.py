"""What is typed into the box."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.errors import QueryError
from searchengine.filters import Filters
from searchengine.query import Part
from searchengine.web.asking import SearchBody
from searchengine.web.parts import in_words, request_of, split_minus

TYPED = st.lists(
    st.sampled_from(
        ["dog", "-", "--", "x-ray", '"', "“", "”", " ", "  ", "\n", "-dog", "é", "-5", ","]
    )
).map("".join)


@pytest.mark.parametrize(
    ("typed", "wanted", "unwanted"),
    [
        ("a dog -snow", "a dog", ["snow"]),
        ("-snow", "", ["snow"]),
        ("-snow a dog", "a dog", ["snow"]),
        ('a dog -"a red ball" outdoors', "a dog  outdoors", ["a red ball"]),
        ("a dog -“a red ball”", "a dog", ["a red ball"]),
        ("an x-ray, black-and-white", "an x-ray, black-and-white", []),
        ("a dog - snow", "a dog - snow", []),
        ("a dog --snow", "a dog --snow", []),
        ("a dog -", "a dog -", []),
        ('a dog -""', 'a dog -""', []),
        ('a dog -" "', 'a dog -" "', []),
        ('a dog -"unfinished', 'a dog -"unfinished', []),
        ('"IMG -20" -snow', '"IMG -20"', ["snow"]),
        ("a dog -x-ray", "a dog", ["x-ray"]),
        ("ein Hund -Schnee -Überzahl -雪", "ein Hund", ["Schnee", "Überzahl", "雪"]),
        ("a dog\t-snow", "a dog", ["snow"]),
        ("", "", []),
    ],
)
def test_a_minus_counts_at_the_start_of_a_word(
    typed: str, wanted: str, unwanted: list[str]
) -> None:
    assert split_minus(typed) == (wanted, unwanted)


@given(TYPED | st.text(max_size=40))
def test_nothing_typed_is_lost(typed: str) -> None:
    wanted, unwanted = split_minus(typed)
    assert sorted(letters(typed)) == sorted(letters(wanted + "".join(unwanted)))
    assert all(term.strip() == term != "" for term in unwanted)


@given(TYPED)
def test_what_is_left_has_no_minus_any_more(typed: str) -> None:
    wanted, unwanted = split_minus(typed)
    assert len(unwanted) == 0 or split_minus(wanted)[0] is not None


def letters(text: str) -> list[str]:
    return re.findall(r"[^\s\-\"“”]", text)


def test_parts_become_a_request() -> None:
    body = SearchBody.model_validate(
        {
            "text": "a street without cars -snow",
            "plus": [{"id": 7, "weight": 0.5}, {"upload": "0" * 32}],
            "minus": [{"text": "rain"}],
            "filters": {"types": ["jpg"], "near": {"latitude": 1, "longitude": 2, "km": 3}},
        }
    )
    request = request_of(body, lambda key: key.encode())
    assert request is not None
    assert request.plus == (Part("a street"), Part(7, 0.5), Part(b"0" * 32))
    assert request.minus == (Part("snow"), Part("rain"), Part("cars"))
    assert request.filters.types == ("JPEG",)
    assert in_words(request) == "a street + 0.5:id:7 + a picture - snow - rain - cars"


def test_without_anything_to_search_for_there_is_no_request() -> None:
    assert request_of(SearchBody(), bytes.fromhex) is None
    assert request_of(SearchBody(text=" \n"), bytes.fromhex) is None
    only_minus = request_of(SearchBody(text="-snow"), bytes.fromhex)
    assert only_minus is not None
    assert (only_minus.plus, only_minus.filters) == ((), Filters())


def test_raw_leaves_the_words_of_a_negation_alone() -> None:
    request = request_of(SearchBody(text="a street without cars -snow", raw=True), bytes.fromhex)
    assert request is not None
    assert (request.plus, request.minus) == ((Part("a street without cars"),), (Part("snow"),))


def test_a_format_that_does_not_exist_is_an_error() -> None:
    body = SearchBody.model_validate({"text": "dog", "filters": {"types": ["docx"]}})
    with pytest.raises(QueryError, match="docx"):
        request_of(body, bytes.fromhex)
