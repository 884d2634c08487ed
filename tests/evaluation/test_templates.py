"""Template sets, and class names embedded over them."""

from __future__ import annotations

import numpy as np
import pytest

from searchengine.errors import EvaluationError
from searchengine.evaluation import templates
from searchengine.evaluation.templates import TEMPLATES, embed_classes
from tests.fakes import FakeEncoder

ENCODER = FakeEncoder()


def test_every_set_has_distinct_templates_with_one_place_for_the_name() -> None:
    assert {name: len(each) for name, each in TEMPLATES.items()} == {
        "plain": 1,
        "photo": 1,
        "simple": 7,
        "imagenet": 64,
    }
    for each in TEMPLATES.values():
        assert len(set(each)) == len(each)
        assert all(template.count("{}") == 1 for template in each)
        assert all(template.isascii() and "  " not in template for template in each)


def test_a_class_is_the_normalised_mean_of_its_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "_TEXTS", 20)  # two names at a time
    names = ["tench", "gas pump", "golf ball", "church", "parachute"]
    steps: list[tuple[int, int]] = []
    found = embed_classes(ENCODER, names, TEMPLATES["simple"], lambda *step: steps.append(step))
    for name, row in zip(names, found, strict=True):
        texts = [template.format(name) for template in TEMPLATES["simple"]]
        mean = ENCODER.encode_texts(texts).astype(np.float64).mean(axis=0)
        assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert found.dtype == np.float32
    assert steps == [(2, 5), (4, 5), (5, 5)]


def test_one_template_is_the_encoded_text() -> None:
    found = embed_classes(ENCODER, ["dog"], ["a photo of a {}."])
    assert np.allclose(found, ENCODER.encode_texts(["a photo of a dog."]), atol=1e-6)


def test_other_braces_stay_as_they_are() -> None:
    found = embed_classes(ENCODER, ["{0} {x}"], ["my {} {y}"])
    assert np.allclose(found, ENCODER.encode_texts(["my {0} {x} {y}"]), atol=1e-6)


@pytest.mark.parametrize("bad", [["a photo"], ["{}", "a {name}"], []])
def test_a_template_without_a_place_is_an_error(bad: list[str]) -> None:
    with pytest.raises(EvaluationError, match=r"photo of a \{\}"):
        embed_classes(ENCODER, ["dog"], bad)
