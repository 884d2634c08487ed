"""Pictures and texts are embedded in order, and what is broken is named."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searchengine.evaluation.embedding import embed_pictures, embed_texts
from searchengine.types import CaptionedImage, Embeddings, Pixels
from tests.fakes import FakeEncoder
from tests.pictures import fill, jpeg, picture


def sources(folder: Path) -> list[CaptionedImage]:
    return [CaptionedImage(path.name, (), str(path)) for path in sorted(folder.iterdir())]


def test_rows_are_the_pictures_in_order_less_the_broken_ones(tmp_path: Path) -> None:
    fill(tmp_path, 21)
    (tmp_path / "0000.jpg").write_text("no picture")
    (tmp_path / "0009.jpg").write_bytes(b"")
    (tmp_path / "0020.jpg").unlink()
    pictures = [*sources(tmp_path), CaptionedImage("gone", (), str(tmp_path / "0020.jpg"))]
    steps: list[tuple[int, int]] = []
    found = embed_pictures(FakeEncoder(), pictures, lambda *step: steps.append(step))
    assert found.kept == [n for n in range(20) if n not in (0, 9)]
    assert [name for name, _ in found.broken] == ["0000.jpg", "0009.jpg", "gone"]
    assert all(reason and "\n" not in reason for _, reason in found.broken)
    encoder = FakeEncoder()
    for row, number in enumerate(found.kept):
        pixels = encoder.preprocess(picture(number))
        alone = encoder.encode_images(pixels[np.newaxis])[0]
        assert found.embeddings[row] @ alone > 0.999
    assert steps == [(8, 21), (16, 21), (21, 21)]


def test_a_span_of_a_larger_file_is_a_picture(tmp_path: Path) -> None:
    archive = tmp_path / "shard.tar"
    archive.write_bytes(b"x" * 100 + jpeg(1) + jpeg(2) + b"y" * 7)
    spans = [(100, len(jpeg(1))), (100 + len(jpeg(1)), len(jpeg(2)))]
    pictures = [CaptionedImage(str(n), (), str(archive), span) for n, span in enumerate(spans)]
    (tmp_path / "2.jpg").write_bytes(jpeg(2))
    pictures.append(CaptionedImage("file", (), str(tmp_path / "2.jpg")))
    found = embed_pictures(FakeEncoder(), pictures).embeddings
    assert np.array_equal(found[1], found[2])
    assert not np.array_equal(found[0], found[1])


def test_nothing_and_nothing_readable_give_no_rows(tmp_path: Path) -> None:
    assert embed_pictures(FakeEncoder(), []).embeddings.shape == (0, 48)
    found = embed_pictures(FakeEncoder(), [CaptionedImage("a", (), str(tmp_path / "a"))])
    assert found.embeddings.shape == (0, 48)
    assert len(found.broken) == 1


def test_an_interrupt_ends_the_reading(tmp_path: Path) -> None:
    fill(tmp_path, 60)

    class Interrupted(FakeEncoder):
        read = 0

        def preprocess(self, image: Image.Image) -> Pixels:
            self.read += 1
            return super().preprocess(image)

        def encode_images(self, pixels: Pixels) -> Embeddings:
            raise KeyboardInterrupt

    encoder = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        embed_pictures(encoder, sources(tmp_path))
    assert encoder.read <= 3 * encoder.batch_size
    assert not [each for each in threading.enumerate() if each.name.startswith("decode")]


def test_texts_keep_their_order_and_equal_ones_are_encoded_once() -> None:
    class Counting(FakeEncoder):
        texts = 0

        def encode_texts(self, texts):  # type: ignore[no-untyped-def]
            self.texts += len(texts)
            return super().encode_texts(texts)

    encoder = Counting()
    texts = [f"text {n % 1500}" for n in range(3000)]
    steps: list[tuple[int, int]] = []
    found = embed_texts(encoder, texts, lambda *step: steps.append(step))
    assert encoder.texts == 1500
    assert np.array_equal(found, FakeEncoder().encode_texts(texts))
    assert steps[-1] == (3000, 3000)
    assert np.array_equal(embed_texts(encoder, ["b", "a"]), encoder.encode_texts(["b", "a"]))
    assert embed_texts(encoder, []).shape == (0, 48)
