"""Batches are the same for the same seed, and shared out among processes without a remainder."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from searchengine.encoders.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from searchengine.finetune.batches import Batch, Batches, crop, fitting
from searchengine.finetune.settings import Settings
from searchengine.types import CaptionedImage
from tests.pictures import jpeg, picture

PREPROCESS = Preprocess(16, 16, CLIP_MEAN, CLIP_STD, "bicubic", "squash", 0)
SETTINGS = Settings(batch_size=4, micro_batch=3, crop=0.5)


@pytest.fixture
def captioned(tmp_path: Path) -> list[CaptionedImage]:
    """Ten pictures with three captions each."""
    found = []
    for number in range(10):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(jpeg(number))
        found.append(CaptionedImage(path.name, tuple(f"{number} {c}" for c in "abc"), str(path)))
    return found


def same(one: Batch, other: Batch) -> bool:
    return one.texts == other.texts and all(map(torch.equal, one.pixels, other.pixels))


def test_an_epoch_shows_every_image_once_but_for_the_last_few(
    captioned: list[CaptionedImage],
) -> None:
    batches = Batches(captioned, PREPROCESS, SETTINGS)
    found = list(batches.epoch(0))
    assert len(found) == len(batches) == 2
    texts = [text.split()[0] for batch in found for text in batch.texts]
    assert len(texts) == len(set(texts)) == 8
    assert [len(part) for part in found[0].pixels] == [3, 1]
    assert found[0].pixels[0].shape == (3, 3, 16, 16)
    assert found[0].pixels[0].dtype == torch.uint8


def test_the_same_seed_and_epoch_give_the_same_batches(captioned: list[CaptionedImage]) -> None:
    first, again = (list(Batches(captioned, PREPROCESS, SETTINGS).epoch(3)) for _ in range(2))
    assert all(map(same, first, again))
    other_epoch = list(Batches(captioned, PREPROCESS, SETTINGS).epoch(4))
    other_seed = list(Batches(captioned, PREPROCESS, replace(SETTINGS, seed=1)).epoch(3))
    assert not any(map(same, first, other_epoch))
    assert not any(map(same, first, other_seed))


def test_an_epoch_can_be_taken_up_in_the_middle(captioned: list[CaptionedImage]) -> None:
    batches = Batches(captioned, PREPROCESS, SETTINGS)
    assert same(next(batches.epoch(2, start=1)), list(batches.epoch(2))[1])


def test_two_processes_share_the_batch_of_one(captioned: list[CaptionedImage]) -> None:
    whole = list(Batches(captioned, PREPROCESS, SETTINGS).epoch(0))
    shares = [list(Batches(captioned, PREPROCESS, SETTINGS, r, 2).epoch(0)) for r in range(2)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert Counter(batch.texts) == Counter(text for part in parts for text in part.texts)


def test_all_captions_of_an_image_come_before_one_comes_again(
    captioned: list[CaptionedImage],
) -> None:
    settings = replace(SETTINGS, batch_size=10)
    batches = Batches(captioned, PREPROCESS, settings)
    seen = Counter(text for epoch in range(3) for b in batches.epoch(epoch) for text in b.texts)
    assert len(seen) == 30
    assert set(seen.values()) == {1}


def test_several_captions_an_image(captioned: list[CaptionedImage]) -> None:
    short = [
        replace(image, captions=image.captions[: 1 + i % 3]) for i, image in enumerate(captioned)
    ]
    settings = replace(SETTINGS, batch_size=10, captions_per_image=2)
    (batch,) = Batches(short, PREPROCESS, settings).epoch(0)
    assert len(batch.texts) == sum(min(2, len(image.captions)) for image in short)
    assert batch.fits.shape == (len(batch.texts), 10)
    assert (batch.fits.sum(dim=1) == 1).all()


def test_a_caption_that_two_images_share_fits_both() -> None:
    known = [frozenset({"a dog"}), frozenset({"a cat", "a dog"}), frozenset({"a car"})]
    assert fitting(["A dog", "a cat"], known).tolist() == [
        [True, True, False],
        [False, True, False],
    ]


def test_a_broken_picture_is_left_out_and_named(captioned: list[CaptionedImage]) -> None:
    Path(captioned[3].path).write_bytes(b"not a picture")
    Path(captioned[5].path).unlink()
    settings = replace(SETTINGS, batch_size=10)
    batches = Batches(captioned, PREPROCESS, settings)
    (batch,) = batches.epoch(0)
    assert sum(map(len, batch.pixels)) == len(batch.texts) == 8
    assert set(batches.broken) == {"3.jpg", "5.jpg"}


def test_a_picture_in_an_archive(tmp_path: Path, captioned: list[CaptionedImage]) -> None:
    content = Path(captioned[0].path).read_bytes()
    shard = tmp_path / "shard.tar"
    shard.write_bytes(b"-" * 512 + content)
    inside = replace(captioned[0], path=str(shard), span=(512, len(content)))
    pair = [captioned[0], inside]
    settings = replace(SETTINGS, crop=1.0)
    (batch,) = Batches(pair, PREPROCESS, settings).epoch(0)
    (pixels,) = batch.pixels
    assert torch.equal(pixels[0], pixels[1])


def test_crops_keep_their_share_of_the_picture() -> None:
    image = picture(0, (200, 100))
    for seed in range(200):
        width, height = crop(image, random.Random(seed), 0.5).size
        assert 0.45 <= width * height / 20000 <= 1
        assert 0.6 <= (width / height) / 2 <= 1.6
    assert crop(image, random.Random(0), 1.0) is image
    assert crop(Image.new("RGB", (1, 1)), random.Random(0), 0.1).size == (1, 1)
