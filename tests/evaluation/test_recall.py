"""Recall in both directions, against full matrices and on cases that are plain to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import EvaluationError
from searchengine.evaluation.recall import evaluate_recall, recall
from searchengine.types import CaptionedImage
from tests.evaluation.toys import unit
from tests.fakes import FakeEncoder
from tests.pictures import fill


def naive(scores: np.ndarray, own: np.ndarray) -> tuple[list[float], float]:
    """R@1, R@5, R@10 in percent and the median rank, without ties, from all scores at once."""
    order = np.argsort(-scores, axis=1)
    first = np.array([np.flatnonzero(own[row][order[row]])[0] + 1 for row in range(len(scores))])
    return [100 * float(np.mean(first <= k)) for k in (1, 5, 10)], float(np.median(first))


def test_both_directions_equal_the_full_matrix() -> None:
    random = np.random.default_rng(3)
    images = unit(random.standard_normal((60, 12)))
    owner = random.integers(0, 50, 170)  # some have many captions, the last ten none
    texts = unit(images[owner] + 0.35 * random.standard_normal((170, 12)))
    found = recall(images, texts, owner)
    scores = texts.astype(np.float64) @ images.T.astype(np.float64)
    own = owner[:, None] == np.arange(60)
    by_text, text_median = naive(scores, own)
    assert list(found.text_to_image.at.values()) == pytest.approx(by_text)
    assert found.text_to_image.median_rank == text_median
    captioned = np.unique(owner)
    by_image, image_median = naive(scores.T[captioned], own.T[captioned])
    assert list(found.image_to_text.at.values()) == pytest.approx(by_image)
    assert found.image_to_text.median_rank == image_median
    assert 0 < found.text_to_image.at[1] < found.text_to_image.at[10] < 100
    assert (found.images, found.captions) == (60, 170)
    assert found.mean_recall == pytest.approx(np.mean([*by_text, *by_image]))


def test_a_model_that_sees_no_difference_has_the_recall_of_guessing() -> None:
    found = recall(unit(np.ones((40, 8))), unit(np.ones((40, 8))), np.arange(40))
    for direction in (found.text_to_image, found.image_to_text):
        assert list(direction.at.values()) == pytest.approx([100 / 40, 500 / 40, 1000 / 40])
        assert direction.median_rank == 20.5
    # With five captions each, the chance that none of them is among the first ten of 200.
    found = recall(unit(np.ones((40, 8))), unit(np.ones((200, 8))), np.repeat(np.arange(40), 5))
    missed = np.prod([(195 - taken) / (200 - taken) for taken in range(10)])
    assert found.image_to_text.at[10] == pytest.approx(100 * (1 - missed))
    assert found.image_to_text.at[1] == pytest.approx(100 * 5 / 200)


def test_a_picture_that_is_twice_in_the_gallery_is_half_found() -> None:
    images = unit([[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    found = recall(images, images, np.arange(3))
    assert found.text_to_image.at[1] == pytest.approx(100 * (0.5 + 0.5 + 1) / 3)
    assert found.text_to_image.at[5] == 100


def test_the_best_placed_of_several_captions_counts() -> None:
    images = unit([[1, 0], [0, 1]])
    texts = unit([[0, 1], [1, 0.1], [0.1, 1]])  # the first is a bad caption of the first picture
    found = recall(images, texts, np.array([0, 0, 1]))
    assert found.image_to_text.at[1] == pytest.approx(50)
    assert found.image_to_text.median_rank == 1.5
    assert found.text_to_image.at[1] == pytest.approx(200 / 3)


def test_pictures_without_captions_stay_in_the_gallery_and_ask_nothing() -> None:
    images = unit([[1, 0], [0, 1], [1, 0.1]])
    found = recall(images, unit([[1, 0.1]]), np.array([0]))
    assert found.text_to_image.at[1] == 0  # the picture without captions is nearer
    assert found.image_to_text.at[1] == 100
    assert (found.images, found.captions) == (3, 1)


def test_json_has_the_fixed_shape() -> None:
    found = recall(unit(np.eye(3)), unit([[1, 0, 0], [1, 1, 0]]), np.array([0, 1])).as_json()
    assert found == {
        "text_to_image": {"R@1": 75.0, "R@5": 100.0, "R@10": 100.0, "median_rank": 1.25},
        "image_to_text": {"R@1": 100.0, "R@5": 100.0, "R@10": 100.0, "median_rank": 1.0},
        "images": 3,
        "captions": 2,
    }


def test_no_caption_and_no_unit_vector_are_errors() -> None:
    with pytest.raises(EvaluationError, match="no caption"):
        recall(unit(np.eye(2)), np.empty((0, 2), np.float32), np.empty(0, np.int64))
    with pytest.raises(EvaluationError, match="unit"):
        recall(unit(np.eye(2)), unit(np.eye(2)) * np.nan, np.arange(2))


def captioned(folder: Path, count: int) -> list[CaptionedImage]:
    fill(folder, count)
    return [
        CaptionedImage(path.name, tuple(f"{path.name} {n}" for n in range(number % 3)), str(path))
        for number, path in enumerate(sorted(folder.iterdir()))
    ]


def test_pictures_are_embedded_with_their_own_captions(tmp_path: Path) -> None:
    class Knowing(FakeEncoder):
        """Its captions begin with the file's name, and get the embedding of that picture."""

        def encode_texts(self, texts):  # type: ignore[no-untyped-def]
            return np.array([known[text.split()[0]] for text in texts])

    from searchengine.evaluation.embedding import embed_pictures

    pictures = captioned(tmp_path, 20)
    embedded = embed_pictures(FakeEncoder(), pictures)
    known = {p.name: row for p, row in zip(pictures, embedded.embeddings, strict=True)}
    (tmp_path / "0004.jpg").write_bytes(b"broken")
    steps: list[tuple[int, int]] = []
    found, broken = evaluate_recall(Knowing(), pictures, lambda *step: steps.append(step))
    assert [each.name for each in broken] == ["0004.jpg"]
    assert found.text_to_image.at[1] == found.image_to_text.at[1] == 100
    assert found.images == 19
    assert found.captions == sum(len(p.captions) for p in pictures if p.name != "0004.jpg")
    assert steps == sorted(steps)
    assert steps[-1][0] <= steps[-1][1]


def test_nothing_to_measure_is_one_error(tmp_path: Path) -> None:
    pictures = captioned(tmp_path, 2)
    (tmp_path / "0001.jpg").write_bytes(b"broken")  # 0000.jpg has no caption
    with pytest.raises(EvaluationError, match="none of the 2 pictures"):
        evaluate_recall(FakeEncoder(), pictures)
