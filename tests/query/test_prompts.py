"""Texts to embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from searchengine.query.prompts import SHORT, TEMPLATES, embed_texts, is_short
from searchengine.query.text_cache import TextCache
from tests.query.toys import CountingEncoder

LONG = "a dog that runs on a beach"


def test_short_texts_are_averaged_over_templates() -> None:
    encoder = CountingEncoder()
    (found,) = embed_texts(encoder.encode_texts, "f", ["red dog"], TextCache(None), raw=False)
    assert encoder.asked == [each.replace("{}", "red dog") for each in TEMPLATES]
    mean = encoder.encode_texts(encoder.asked[:]).mean(0)
    assert np.allclose(found, mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize(("text", "raw"), [(LONG, False), (LONG, True), ("dog", True)])
def test_long_and_raw_texts_are_encoded_as_they_are(text: str, raw: bool) -> None:
    encoder = CountingEncoder()
    found = embed_texts(encoder.encode_texts, "f", [text], TextCache(None), raw=raw)
    assert encoder.asked == [text]
    assert np.allclose(found, encoder.encode_texts([text]), atol=1e-6)


def test_a_short_text_has_three_words_at_most() -> None:
    assert is_short(" ".join("x" * SHORT))
    assert not is_short(" ".join("x" * (SHORT + 1)))


def test_many_texts_are_encoded_in_one_call_and_keep_their_places() -> None:
    encoder, calls = CountingEncoder(), []

    def encode(texts):
        calls.append(len(texts))
        return encoder.encode_texts(texts)

    texts = ["dog", LONG, "{}", "dog"]
    together = embed_texts(encode, "f", texts, TextCache(None), raw=False)
    assert calls == [2 * len(TEMPLATES) + 1]
    for text, row in zip(texts, together, strict=True):
        alone = embed_texts(encode, "f", [text], TextCache(None), raw=False)
        assert np.allclose(row, alone[0], atol=1e-6)


def test_what_is_known_is_not_encoded_again(tmp_path: Path) -> None:
    cache, encoder = TextCache(tmp_path / "texts.db"), CountingEncoder()
    first = embed_texts(encoder.encode_texts, "f", ["dog", LONG], cache, raw=False)
    asked = len(encoder.asked)
    again = embed_texts(encoder.encode_texts, "f", [LONG, "dog"], cache, raw=False)
    assert len(encoder.asked) == asked
    assert np.array_equal(again, first[::-1])
    embed_texts(encoder.encode_texts, "f", ["dog"], cache, raw=True)
    assert encoder.asked[asked:] == ["dog"]
    embed_texts(encoder.encode_texts, "another model", [LONG], cache, raw=False)
    assert encoder.asked[asked + 1 :] == [LONG]
