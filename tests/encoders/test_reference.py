"""Reference texts of a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from searchengine.encoders.folder import BUILTIN, CARD, CONFIG, TOKENIZER, WEIGHTS, ModelFolder
from searchengine.encoders.reference import (
    EMBEDDINGS,
    TEXTS,
    Evidence,
    Reference,
    calibrate,
    describe,
)
from searchengine.errors import ModelError
from tests.encoders.helpers import model_error
from tests.fakes import FakeEncoder
from tests.index.toys import unit

DIM = FakeEncoder().spec.dim
SAID = "dog:1 lying:0.6 grass:0.2\ncat:0.8 running:0.4\ndogs:0.6\n"


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    """What a model folder needs to be one, of the fake encoder's dimension, with references."""
    for name in (WEIGHTS, TOKENIZER):
        (tmp_path / name).touch()
    sizes = {"embed_dim": DIM, "text_cfg": {}, "vision_cfg": {}}
    (tmp_path / CONFIG).write_text(json.dumps({"model_cfg": sizes}))
    (tmp_path / CARD).write_text(json.dumps({"fingerprint": "f", "logit_scale": 20.0}))
    (tmp_path / TEXTS).write_text(SAID)
    np.save(tmp_path / EMBEDDINGS, unit(3, dim=DIM).astype(np.float16))
    return ModelFolder.open(tmp_path, "toy")


def opened(folder: ModelFolder) -> Reference:
    reference = Reference.open(folder)
    assert reference is not None
    return reference


def test_a_folder_without_embeddings_has_no_references(folder: ModelFolder) -> None:
    (folder.path / EMBEDDINGS).unlink()
    assert Reference.open(folder) is None


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"garbage", b"half"])
def test_damaged_embeddings_are_one_error_with_the_remedy(
    folder: ModelFolder, content: bytes
) -> None:
    path = folder.path / EMBEDDINGS
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == b"half" else content)
    with model_error(EMBEDDINGS, "searchengine models calibrate toy"):
        Reference.open(folder)


@pytest.mark.parametrize("shape", [(2, DIM), (4, DIM), (3, DIM + 1), (3 * DIM,), (0, DIM)])
def test_embeddings_that_do_not_fit_are_one_error(folder: ModelFolder, shape) -> None:
    np.save(folder.path / EMBEDDINGS, np.ones(shape, np.float16))
    with model_error("does not fit", "calibrate toy"):
        Reference.open(folder)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_texts_that_cannot_be_read_are_one_error(
    folder: ModelFolder, content: bytes | None
) -> None:
    (folder.path / TEXTS).unlink()
    if content:
        (folder.path / TEXTS).write_bytes(content)
    with model_error(TEXTS, "calibrate toy"):
        Reference.open(folder)


def test_the_nearest_reference_says_most() -> None:
    cosines = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    evidence = Evidence.from_cosines(cosines, 30.0)
    assert evidence.weights.argmax(0).tolist() == [0, 1]
    assert np.allclose(evidence.weights.sum(0), 1)
    assert np.allclose(evidence.hubness, cosines.mean(0))


def test_words_are_known_in_every_form(folder: ModelFolder) -> None:
    reference = opened(folder)
    for word in ("dog", "lie", "cat", "run", "grass"):
        assert reference.knows(word), word
    for word in ("do", "zeppelin", "l", "ca"):
        assert not reference.knows(word), word


def test_the_share_that_says_a_word_is_that_of_the_nearest(folder: ModelFolder) -> None:
    reference = opened(folder)
    evidence = reference.beside(reference.embeddings)
    said = {word: reference.share_that_says(word, evidence) for word in ("dog", "cat", "lie")}
    assert np.allclose(said["dog"], [1, 0, 0.6], atol=0.01)
    assert np.allclose(said["cat"], [0, 0.8, 0], atol=0.01)
    assert np.allclose(said["lie"], [0.6, 0, 0], atol=0.01)
    assert reference.share_that_says("zeppelin", evidence).tolist() == [0, 0, 0]


def test_shares_of_the_builtin_model_are_shares() -> None:
    reference = opened(ModelFolder.open(BUILTIN, "builtin"))
    evidence = reference.beside(unit(5, dim=reference.embeddings.shape[1]))
    for word in ("dog", "lie", "man", "zeppelin"):
        share = reference.share_that_says(word, evidence)
        assert share.shape == (5,)
        assert ((share >= 0) & (share <= 1 + 1e-5)).all()
        assert (share > 0).all() == (word != "zeppelin")


def test_photographs_are_described_by_the_words_that_people_share() -> None:
    lines = describe([["A dog runs.", "Two dogs running"], ["the cat"], [], ["!"]])
    assert lines == ["dog:1 runs:1", "cat:1", "", ""]


def test_calibration_writes_both_files_and_a_second_one_the_same(folder: ModelFolder) -> None:
    for name in (TEXTS, EMBEDDINGS):
        (folder.path / name).unlink()
    done: list[tuple[int, int]] = []
    count = calibrate(folder, FakeEncoder(), lambda *now: done.append(now))
    assert done[-1] == (count, count)
    first = [(folder.path / name).read_bytes() for name in (TEXTS, EMBEDDINGS)]
    assert first[0] == (BUILTIN / TEXTS).read_bytes()
    assert opened(folder).embeddings.shape == (count, DIM)
    assert calibrate(folder, FakeEncoder()) == count
    assert [(folder.path / name).read_bytes() for name in (TEXTS, EMBEDDINGS)] == first


def test_a_folder_keeps_texts_of_its_own(folder: ModelFolder) -> None:
    assert calibrate(folder, FakeEncoder()) == 3
    assert (folder.path / TEXTS).read_text() == SAID
    expected = FakeEncoder().encode_texts(["dog lying", "cat running", "dogs"])
    assert np.allclose(opened(folder).embeddings, expected, atol=1e-3)


def test_a_folder_that_cannot_be_written_is_an_error(folder: ModelFolder) -> None:
    (folder.path / EMBEDDINGS).unlink()
    (folder.path / EMBEDDINGS).mkdir()
    with pytest.raises(ModelError, match="cannot write"):
        calibrate(folder, FakeEncoder())


def test_the_builtin_references_fit_its_texts(tmp_path: Path) -> None:
    copy = tmp_path / TEXTS
    shutil.copy(BUILTIN / TEXTS, copy)
    reference = opened(ModelFolder.open(BUILTIN, "builtin"))
    assert len(reference.embeddings) == copy.read_text().count("\n") > 1000
    assert np.allclose(np.linalg.norm(reference.embeddings, axis=1), 1, atol=1e-2)
