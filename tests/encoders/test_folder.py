"""What makes a folder a model, and what its fingerprint stands for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from searchengine.encoders import ModelFolder, load
from searchengine.encoders.folder import (
    CARD,
    CONFIG,
    IMAGE_GRAPH,
    TEXT_GRAPH,
    TOKENIZER,
    WEIGHTS,
    compute_fingerprint,
)
from searchengine.errors import ModelError
from tests.encoders.helpers import model_error
from tests.models import DIM


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_spec(clip_folder: ModelFolder) -> None:
    spec = ModelFolder.open(clip_folder.path, "given").spec
    assert (spec.name, spec.dim) == ("given", DIM)
    assert spec.fingerprint == compute_fingerprint(clip_folder.path)
    assert len(spec.fingerprint) == 64
    assert ModelFolder.open(clip_folder.path).spec.name == str(clip_folder.path)


def test_every_folder_has_its_own_fingerprint(
    clip_folder: ModelFolder,
    hf_folder: ModelFolder,
    exported_clip: ModelFolder,
    exported_hf: ModelFolder,
) -> None:
    folders = (clip_folder, hf_folder, exported_clip, exported_hf)
    assert len({folder.spec.fingerprint for folder in folders}) == 4


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, WEIGHTS])
def test_fingerprint_changes_with(name: str, copied_clip: Path) -> None:
    before = compute_fingerprint(copied_clip)
    flip_last_byte(copied_clip / name)
    assert compute_fingerprint(copied_clip) != before
    flip_last_byte(copied_clip / name)
    assert compute_fingerprint(copied_clip) == before


def test_fingerprint_stays_with_anything_else(copied_clip: Path) -> None:
    before = compute_fingerprint(copied_clip)
    for name in (IMAGE_GRAPH, TEXT_GRAPH, CARD):
        flip_last_byte(copied_clip / name)
    (copied_clip / "notes.txt").write_text("mine")
    moved = copied_clip.rename(copied_clip.with_name("elsewhere"))
    assert compute_fingerprint(moved) == before


def test_fingerprint_without_a_card(copied_clip: Path, clip_folder: ModelFolder) -> None:
    (copied_clip / CARD).unlink()
    assert ModelFolder.open(copied_clip).spec.fingerprint == clip_folder.spec.fingerprint


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, WEIGHTS])
def test_missing_file(name: str, copied_clip: Path) -> None:
    (copied_clip / name).unlink()
    with model_error(str(copied_clip), name):
        ModelFolder.open(copied_clip)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with model_error(str(tmp_path / "none"), CONFIG, WEIGHTS, TOKENIZER):
        ModelFolder.open(tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"{}",
        b'{"model_cfg": []}',
        b'{"model_cfg": {"embed_dim": 4}}',
        b'{"model_cfg": {"embed_dim": 4, "text_cfg": {}}}',
        b'{"model_cfg": {"embed_dim": 4, "text_cfg": [], "vision_cfg": {}}}',
        b'{"model_cfg": {"embed_dim": "many", "text_cfg": {}, "vision_cfg": {}}}',
    ],
)
def test_broken_config(content: bytes, copied_clip: Path) -> None:
    (copied_clip / CONFIG).write_bytes(content)
    with model_error(str(copied_clip), CONFIG):
        ModelFolder.open(copied_clip)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3"])
def test_broken_card(content: bytes, copied_clip: Path) -> None:
    (copied_clip / CARD).write_bytes(content)
    with model_error(str(copied_clip), CARD):
        ModelFolder.open(copied_clip)


@pytest.mark.parametrize("name", [IMAGE_GRAPH, TEXT_GRAPH])
def test_has_graphs_means_both(name: str, copied_clip: Path) -> None:
    assert ModelFolder.open(copied_clip).has_graphs
    (copied_clip / name).unlink()
    assert not ModelFolder.open(copied_clip).has_graphs


def test_the_built_in_model() -> None:
    from searchengine.encoders import BUILTIN, find

    if not BUILTIN.is_dir():
        pytest.skip("the built-in model is not in the package yet")
    folder = find("builtin")
    assert folder.spec.name == "builtin"
    assert folder.spec.fingerprint == compute_fingerprint(BUILTIN)
    encoder = load(folder, "cpu")
    words = ["a dog runs on the beach", "a puppy by the sea", "a red car in the city"]
    dog, puppy, car = encoder.encode_texts(words)
    assert dog @ puppy > dog @ car


def test_a_path_may_be_relative(copied_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied_clip.parent)
    folder = ModelFolder.open(Path(copied_clip.name))
    assert folder.name == str(copied_clip)
    with pytest.raises(ModelError):
        ModelFolder.open(Path("other"))


def test_the_card_is_json_for_people(clip_folder: ModelFolder) -> None:
    card = json.loads((clip_folder.path / CARD).read_text(encoding="utf-8"))
    assert card["dim"] == DIM
    assert card["licence"] == "none"
    assert card["name"] == clip_folder.path.name
