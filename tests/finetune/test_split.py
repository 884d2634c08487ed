"""Validation images are apart from the others by content, not by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchengine.errors import TrainingError
from searchengine.finetune.split import split, without
from searchengine.types import CaptionedImage
from tests.pictures import jpeg


def collection(folder: Path, contents: list[int]) -> list[CaptionedImage]:
    found = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.jpg"
        path.write_bytes(jpeg(content))
        found.append(CaptionedImage(path.name, ("a", "b"), str(path)))
    return found


def contents(captioned: list[CaptionedImage]) -> set[bytes]:
    return {Path(image.path).read_bytes() for image in captioned}


def test_no_picture_is_on_both_sides_even_under_two_names(tmp_path: Path) -> None:
    captioned = collection(tmp_path, [*range(20), *range(20)])
    for seed in range(5):
        train, validation = split(captioned, 0.3, seed)
        assert len(train) + len(validation) == 40
        assert len(validation) == 12
        assert not contents(train) & contents(validation)


def test_the_same_seed_gives_the_same_split_and_another_one_another(tmp_path: Path) -> None:
    captioned = collection(tmp_path, list(range(20)))
    assert split(captioned, 0.2, 1) == split(captioned, 0.2, 1)
    assert split(captioned, 0.2, 1) != split(captioned, 0.2, 2)


def test_too_few_pictures_to_hold_some_out(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="too few"):
        split(collection(tmp_path, [1, 2, 3]), 0.5, 0)
    with pytest.raises(TrainingError, match="too few"):
        split(collection(tmp_path, [1] * 10), 0.5, 0)


def test_copies_of_validation_images_are_not_trained_on(tmp_path: Path) -> None:
    captioned = collection(tmp_path, [1, 2, 3, 1])
    assert without(captioned[:3], captioned[3:]) == captioned[1:3]


def test_members_of_archives_are_told_apart_by_their_place(tmp_path: Path) -> None:
    shard = tmp_path / "shard.tar"
    shard.write_bytes(b"x" * 100)
    captioned = [CaptionedImage(str(n), ("a",), str(shard), (n, 5)) for n in range(8)]
    train, validation = split(captioned, 0.25, 0)
    assert len(train) == 6
    assert len(validation) == 2
