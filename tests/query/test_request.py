"""What a person asks for, and what cannot be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchengine.errors import QueryError
from searchengine.query import Part, Request, SearchOptions, check_k


@pytest.mark.parametrize(
    "weight", [0, -1, float("nan"), float("inf"), -float("inf"), 1e300, 1e-300]
)
def test_a_weight_is_a_positive_number_of_ordinary_size(weight: float) -> None:
    with pytest.raises(QueryError, match="weight"):
        Part("dog", weight)


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_text_is_an_error(text: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        Part(text)


@pytest.mark.parametrize("image_id", [-1, 0, 1 << 63, 1 << 70])
def test_an_id_that_no_image_can_have_is_an_error(image_id: int) -> None:
    with pytest.raises(QueryError, match="id"):
        Part(image_id)


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(k: int) -> None:
    with pytest.raises(QueryError, match="at least one"):
        check_k(k)


def test_an_offset_is_not_negative() -> None:
    with pytest.raises(QueryError, match="offset"):
        SearchOptions(offset=-1)


def test_a_request_of_nothing_is_an_error() -> None:
    with pytest.raises(QueryError, match="empty"):
        Request().check()


@pytest.mark.parametrize(
    ("typed", "quotations", "read"),
    [
        ('"IMG_1" dog', ["IMG_1"], "IMG_1  dog"),
        ("“a b” x", ["a b"], "a b  x"),
        ('"unfinished dog', [], "unfinished dog"),
        ('" " dog', [], "dog"),
        ('"', [], '"'),
    ],
)
def test_quotations_are_filters_and_the_encoder_reads_all(
    typed: str, quotations: list[str], read: str
) -> None:
    part = Part(typed)
    assert Request((part,)).quotations == quotations
    assert part.text == read


def test_examples_are_the_ids_of_both_sides() -> None:
    request = Request((Part(3), Part("x"), Part(Path("a.jpg"))), (Part(5), Part(b"")))
    assert request.examples == [3, 5]
    assert request.texts == {"x": 1.0}
