"""Content words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.keywords import forms, keywords


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a dog", "The DOGS!"),
        ("children", "a child"),
        ("the dog's bowl", "dogs, a bowl"),
        ("two women", "woman"),
        ("riding a bike", "rides bicycles"),
        ("a photo of a leaf", "leaves"),
    ],
)
def test_what_means_the_same_has_the_same_keywords(one: str, other: str) -> None:
    assert keywords(one) == keywords(other) != []


def test_they_stand_in_order_and_once() -> None:
    assert keywords("a dog and a ball and the dogs") == ["dog", "ball"]


@pytest.mark.parametrize("text", ["", "the", "a picture of it", "写真", "123", "\0\ud800😀"])
def test_a_text_without_content_words_has_none(text: str) -> None:
    assert keywords(text) == []


def test_each_stem_keeps_the_word_it_stands_for() -> None:
    assert forms("running women") == {"run": "running", "woman": "woman"}


@given(st.text())
def test_any_text_has_keywords_that_stay_when_said_again(text: str) -> None:
    assert keywords(f"{text} {text}") == keywords(text)
