"""Bands, and what they are told by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.query.composition import Away
from searchengine.query.relevance import BANDS, LIKELY, STRONG, Judge, Penalty, bands
from tests.query.toys import images, reference

REFERENCE = reference()
IMAGES = images(12, seed=3)
COSINES = np.linspace(0.3, 0.1, 12, dtype=np.float32)


@given(st.lists(st.floats(0, 1)))
def test_bands_never_rise_again(probabilities: list[float]) -> None:
    found = [BANDS.index(each) for each in bands(probabilities)]
    assert found == sorted(found)
    assert len(found) == len(probabilities)


def test_bands_begin_where_they_say() -> None:
    assert bands([STRONG, STRONG - 0.01, LIKELY, LIKELY - 0.01, 1.0]) == [
        "strong",
        "likely",
        "likely",
        "weak",
        "weak",
    ]


@pytest.mark.parametrize("text", ["dog", "a dog and a cat in a boat under the tree"])
def test_a_known_text_gets_probabilities_and_an_order(text: str) -> None:
    evidence = REFERENCE.beside(IMAGES)
    order, probabilities = Judge(REFERENCE, closed=False)({text: 1.0}, COSINES, evidence)
    assert order.shape == probabilities.shape == (12,)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert not np.allclose(order, COSINES)


def test_of_an_unknown_word_only_a_closed_vocabulary_tells() -> None:
    evidence = REFERENCE.beside(IMAGES)
    order, probabilities = Judge(REFERENCE, closed=False)({"zeppelin": 1.0}, COSINES, evidence)
    assert probabilities is None
    assert np.array_equal(order, COSINES)
    _, probabilities = Judge(REFERENCE, closed=True)({"zeppelin": 1.0}, COSINES, evidence)
    assert probabilities is not None
    assert (probabilities < LIKELY).all()


@pytest.mark.parametrize("texts", [[], ["the"], ["写真"]])
def test_without_words_nothing_is_told(texts: list[str]) -> None:
    found = Judge(REFERENCE, closed=True)(
        dict.fromkeys(texts, 1.0), COSINES, REFERENCE.beside(IMAGES)
    )
    assert found[1] is None


def test_a_picture_like_what_people_call_so_is_more_probable() -> None:
    pictures = REFERENCE.embeddings[[0, 1]]  # of a dog, of a cat
    cosines = np.zeros(2, np.float32)
    judge = Judge(REFERENCE, closed=True)
    _, probabilities = judge({"cat": 1.0}, cosines, REFERENCE.beside(pictures))
    assert probabilities is not None
    assert probabilities[1] > probabilities[0]


@pytest.mark.parametrize("judge", [None, Judge(REFERENCE, closed=True)])
@pytest.mark.parametrize("text", [None, "dog"])
def test_a_picture_loses_only_for_being_unusually_like_what_is_excluded(
    judge: Judge | None, text: str | None
) -> None:
    sample = images(200, seed=4)
    evidence = judge.reference.beside(sample) if judge else None
    lost = Penalty([Away(sample[7], 1.0, text)], sample, judge)(sample, evidence, 0.1)
    assert (lost >= 0).all()
    assert (lost == 0).mean() > 0.5
    if judge is None or text is None:
        assert lost.argmax() == 7
    heavier = Penalty([Away(sample[7], 2.0, text)], sample, judge)(sample, evidence, 0.1)
    assert np.allclose(heavier, 2 * lost, rtol=1e-4)


def test_a_heavier_text_counts_more() -> None:
    evidence = REFERENCE.beside(IMAGES)
    judge = Judge(REFERENCE, closed=True)
    flat = np.zeros(len(IMAGES), np.float32)
    alone, _ = judge({"dog": 1.0}, flat, evidence)
    heavy, _ = judge({"dog": 9.0, "cat": 1.0}, flat, evidence)
    light, _ = judge({"dog": 1.0, "cat": 9.0}, flat, evidence)
    assert np.abs(heavy - alone).max() < np.abs(light - alone).max()
    assert np.allclose(judge({"dog": 5.0}, flat, evidence)[0], alone, atol=1e-6)
