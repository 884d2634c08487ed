"""What a text says should not be there is taken out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.query.negation import split_negation


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("beach without people", "beach", ["people"]),
        ("a street with no cars", "a street", ["cars"]),
        ("a man without a hat, at night", "a man, at night", ["hat"]),
        ("a dog but not a cat", "a dog", ["cat"]),
        ("a dog, no people", "a dog", ["people"]),
        ("x not y not z", "x", ["y", "z"]),
        ("a room except the bed and no chairs", "a room", ["bed", "chairs"]),
        ("A House WITHOUT\nWindows", "A House", ["Windows"]),
    ],
)
def test_what_is_negated_is_taken_out(text: str, wanted: str, unwanted: list[str]) -> None:
    assert split_negation(text) == (wanted, unwanted)


@pytest.mark.parametrize(
    "text",
    ["dog", "no entry sign", "notable north woman", "without", "a dog, not", 'a "no smoking" sign'],
)
def test_a_thing_with_no_in_its_name_stays(text: str) -> None:
    assert split_negation(text) == (text, [])


@given(st.text())
def test_any_text_keeps_something_to_look_for(text: str) -> None:
    wanted, unwanted = split_negation(text)
    assert bool(wanted.strip()) == bool(text.strip())
    assert all(part.strip() for part in unwanted)
