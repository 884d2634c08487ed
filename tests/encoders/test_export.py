"""Model folders appear whole or not at all, and say what was wrong."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer

from searchengine.encoders import ModelFolder, find, load, pulled_folder
from searchengine.encoders.export import export, pull, save_model
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
from tests.encoders.helpers import assert_unit, model_error, noise
from tests.models import CLIP_CONFIG, DIM

pytestmark = pytest.mark.slow

TAG = "ViT-B-32/laion2b_s34b_b79k"
TINY = "searchengine-test-tiny"
TINY_CONFIG = {
    **CLIP_CONFIG,
    "vision_cfg": {**CLIP_CONFIG["vision_cfg"], "layers": 1},
    "text_cfg": {**CLIP_CONFIG["text_cfg"], "layers": 1, "context_length": 16},
}


def tiny_model() -> Any:
    torch.manual_seed(1)
    return CLIP(**copy.deepcopy(CLIP_CONFIG)).eval()


def save(destination: Path) -> ModelFolder:
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": {"size": 32}}
    return save_model(tiny_model(), config, SimpleTokenizer(), destination, card={})


def nothing_in(path: Path) -> bool:
    return not path.exists() or not list(path.iterdir())


# save_model


def test_save_model_writes_every_file(clip_folder: ModelFolder, hf_folder: ModelFolder) -> None:
    every = {CONFIG, WEIGHTS, TOKENIZER, IMAGE_GRAPH, TEXT_GRAPH, CARD}
    assert {path.name for path in clip_folder.path.iterdir()} == every
    assert {path.name for path in hf_folder.path.iterdir()} == {
        *every,
        "config.json",
        "tokenizer_config.json",
    }
    for folder in (clip_folder, hf_folder):
        assert list(folder.path.parent.iterdir()) == [folder.path]
        assert folder.card["fingerprint"] == compute_fingerprint(folder.path)


def test_a_saved_hugging_face_tower_needs_nothing_outside(hf_folder: ModelFolder) -> None:
    assert hf_folder.text_config["hf_model_name"] == "."
    assert hf_folder.text_config["hf_tokenizer_name"] == "."


def test_save_model_leaves_the_callers_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tower:
        def to_json_file(self, path: Path) -> None:
            path.write_text("{}")

    def stop(*_: object) -> None:
        raise ModelError("far enough")

    monkeypatch.setattr("searchengine.encoders.export.save_weights", stop)
    model = tiny_model()
    model.text = type("Text", (), {"config": Tower()})
    config = copy.deepcopy({"model_cfg": CLIP_CONFIG})
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "bert"
    before = copy.deepcopy(config)
    with model_error("far enough"):
        save_model(model, config, None, tmp_path / "new", card={})
    assert config == before


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("save_weights", OSError("disk full")),
        ("write_tokenizer", ModelError("no")),
        ("export_graphs", KeyboardInterrupt()),
        ("os.replace", OSError("disk full")),
    ],
)
def test_save_model_is_atomic(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    # What comes before the failing step is real, what comes after is never reached.
    monkeypatch.setattr(f"searchengine.encoders.export.{step}", fail)
    if step == "os.replace":  # reached without the seconds that graphs take
        monkeypatch.setattr("searchengine.encoders.export.export_graphs", lambda *_: None)
        monkeypatch.setattr("searchengine.encoders.export.check_agreement", lambda *_: None)
    with pytest.raises(type(error)):
        save(tmp_path / "below" / "model")
    assert nothing_in(tmp_path / "below")


def test_save_model_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with model_error(str(tmp_path / "mine"), "exists"):
        save(tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "diary.txt"]


# export


def test_export_restores_a_clip_folder(
    clip_folder: ModelFolder, exported_clip: ModelFolder
) -> None:
    assert {p.name for p in exported_clip.path.iterdir()} == {
        p.name for p in clip_folder.path.iterdir()
    }
    original, copied = (f.path / TOKENIZER for f in (clip_folder, exported_clip))
    assert original.read_bytes() == copied.read_bytes()
    assert exported_clip.card["fingerprint"] == compute_fingerprint(exported_clip.path)
    encoder = load(exported_clip, "cpu")
    assert_unit(encoder.encode_texts(["a dog", "two red boats"]), 2, DIM)
    assert_unit(encoder.encode_images(noise(2, encoder.pixel_shape)), 2, DIM)


def test_export_restores_a_hugging_face_folder(
    hf_folder: ModelFolder, exported_hf: ModelFolder
) -> None:
    assert {p.name for p in exported_hf.path.iterdir()} == {
        p.name for p in hf_folder.path.iterdir()
    }
    texts = ["a dog", "two red boats at dusk", "", "写真 " * 50]
    a, b = (load(folder, "cpu").encode_texts(texts) for folder in (hf_folder, exported_hf))
    assert np.sum(a * b, axis=1).min() > 0.999


@pytest.fixture
def no_graphs_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a test of the rest of `export` the seconds that the graphs take."""

    def copy_graphs(folder: ModelFolder, destination: Path) -> None:
        for name in (IMAGE_GRAPH, TEXT_GRAPH):
            shutil.copy(folder.path / name, destination)

    monkeypatch.setattr("searchengine.encoders.export.export_graphs", copy_graphs)


@pytest.mark.usefixtures("no_graphs_made")
def test_export_renews_the_card(copied_clip: Path) -> None:
    card = json.loads((copied_clip / CARD).read_text())
    (copied_clip / CARD).write_text(json.dumps(card | {"fingerprint": "stale", "note": "kept"}))
    renewed = export(copied_clip).card
    assert renewed == card | {"note": "kept"}


@pytest.mark.usefixtures("no_graphs_made")
def test_export_mends_a_tokenizer_that_cuts_or_pads_otherwise(
    hf_folder: ModelFolder, tmp_path: Path
) -> None:
    """As it comes from the Hugging Face hub, where padding is said in another file."""
    path = Path(shutil.copytree(hf_folder.path, tmp_path / "copy"))
    good = (path / TOKENIZER).read_bytes()
    content = json.loads(good)
    for options in (
        {"truncation": None, "padding": None},
        {"padding": content["padding"] | {"pad_id": 5}},
    ):
        (path / TOKENIZER).write_text(json.dumps(content | options), encoding="utf-8")
        export(path)
        texts = ["dog", "two red boats " * 30]
        expected = load(hf_folder, "cpu").encode_texts(texts)
        assert np.abs(load(find(str(path)), "cpu").encode_texts(texts) - expected).max() < 1e-6


@pytest.mark.usefixtures("no_graphs_made")
def test_graphs_that_differ_from_torch_do_not_stay(copied_clip: Path) -> None:
    proto = onnx.load(copied_clip / IMAGE_GRAPH, load_external_data=False)
    (projection,) = (t for t in proto.graph.initializer if t.name.endswith("visual.proj"))
    (offset,) = (entry for entry in projection.external_data if entry.key == "offset")
    offset.value = str(int(offset.value) + 64)  # now it reads its neighbour
    onnx.save(proto, copied_clip / IMAGE_GRAPH)
    with model_error(IMAGE_GRAPH, "differs from torch"):
        export(copied_clip)
    assert not (copied_clip / IMAGE_GRAPH).exists()
    assert not (copied_clip / TEXT_GRAPH).exists()


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_export_needs_configuration_and_weights(name: str, copied_clip: Path) -> None:
    (copied_clip / name).unlink()
    with model_error(str(copied_clip), CONFIG, WEIGHTS):
        export(copied_clip)


def test_export_of_a_broken_configuration(copied_clip: Path) -> None:
    (copied_clip / CONFIG).write_text("{\n{")
    with model_error(str(copied_clip)):
        export(copied_clip)


def test_export_of_an_architecture_that_cannot_be_exported(
    copied_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("cannot\ntranslate\nthis")

    before = {path.name: path.read_bytes() for path in copied_clip.iterdir()}
    monkeypatch.setattr("torch.onnx.export", fail)
    with model_error(IMAGE_GRAPH, "cannot translate this"):
        export(copied_clip)
    assert {path.name: path.read_bytes() for path in copied_clip.iterdir()} == before
    assert torch.backends.mha.get_fastpath_enabled()


# pull


@pytest.fixture(scope="module")
def tiny_architecture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An architecture small enough to be pulled in a test, known to open_clip by name."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / f"{TINY}.json").write_text(json.dumps(TINY_CONFIG))
    factory = open_clip.factory
    paths, configs = list(factory._MODEL_CONFIG_PATHS), dict(factory._MODEL_CONFIGS)
    open_clip.add_model_config(folder)
    yield TINY
    factory._MODEL_CONFIG_PATHS[:] = paths
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(configs)


@pytest.fixture(scope="module")
def checkpoint(tiny_architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("checkpoints") / "epoch_3.pt"
    state = CLIP(**copy.deepcopy(TINY_CONFIG)).state_dict()
    torch.save({"epoch": 3, "state_dict": state}, path)
    return path


@pytest.fixture
def no_save(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `pull` would save, without the seconds that saving takes."""
    saved: list[dict[str, Any]] = []

    def save(
        model: Any, config: dict[str, Any], tokenizer: Any, destination: Path, *, card: Any
    ) -> None:
        saved.append({"model": model, "config": config, "card": card})
        raise ModelError("not saved")

    monkeypatch.setattr("searchengine.encoders.export.save_model", save)
    return saved


@pytest.mark.slow
def test_pull_of_a_checkpoint_file(tiny_architecture: str, checkpoint: Path, home: Path) -> None:
    folder = pull(f"{tiny_architecture}/{checkpoint}")
    name = f"{tiny_architecture}/epoch_3"
    assert (folder.path, folder.name) == (pulled_folder(name), name)
    assert find(name).spec == folder.spec
    assert list(home.iterdir()) == [folder.path]

    model = open_clip.create_model(tiny_architecture, pretrained=str(checkpoint)).eval()
    tokenizer = open_clip.get_tokenizer(tiny_architecture)
    encoder, texts = load(folder, "cpu"), ["a photo of a dog", "two red boats " * 20]
    pixels = noise(2, encoder.pixel_shape)
    with torch.inference_mode():
        expected_texts = model.encode_text(tokenizer(texts), normalize=True).numpy()
        expected_images = model.encode_image(torch.from_numpy(pixels), normalize=True).numpy()
    assert np.abs(encoder.encode_texts(texts) - expected_texts).max() < 1e-5
    assert np.abs(encoder.encode_images(pixels) - expected_images).max() < 1e-5
    with model_error("exists"):  # another checkpoint may have the same file name
        pull(f"{tiny_architecture}/{checkpoint}")


def test_pull_of_a_pair_that_is_here(
    clip_folder: ModelFolder, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clip_folder.path, pulled_folder(TAG))
    monkeypatch.setattr("open_clip.create_model", lambda *_, **__: pytest.fail("fetched again"))
    folder = pull(TAG)
    assert (folder.path, folder.name) == (pulled_folder(TAG), TAG)


@pytest.mark.parametrize(
    "name",
    [
        "NoSuchNet/openai",
        "ViT-B-32",
        "ViT-B-32/",
        "/openai",
        "",
        "hf-hub:someone/something",
        "local-dir:here/there",
    ],
)
def test_pull_of_an_unknown_architecture(name: str, home: Path) -> None:
    with model_error(f"unknown model {name}", "ARCH/PRETRAINED"):
        pull(name)
    assert nothing_in(home)


def test_pull_of_an_unknown_tag(home: Path, tiny_architecture: str) -> None:
    with model_error("no_such_tag", "ViT-B-32", "laion2b_s34b_b79k"):
        pull("ViT-B-32/no_such_tag")
    with model_error("no_such_tag", "none"):
        pull(f"{tiny_architecture}/no_such_tag")
    assert nothing_in(home)


def test_pull_without_a_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise RuntimeError(
            "Failed to download weights for tag 'laion2b_s34b_b79k': An error happened\n"
            "while trying to locate the file on the Hub.\n\nPlease check your connection."
        )

    monkeypatch.setattr("open_clip.create_model", offline)
    with model_error(TAG, "locate the file on the Hub", "--model"):
        pull(TAG)
    assert nothing_in(home)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint\n" * 9, b"\x80\x02."])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_pull_of_a_broken_checkpoint(
    content: bytes, suffix: str, tiny_architecture: str, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with model_error(f"{tiny_architecture}/broken"):
        pull(f"{tiny_architecture}/{path}")
    assert nothing_in(home)


def test_pull_of_another_architectures_checkpoint(
    tiny_architecture: str, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.pt"
    torch.save(tiny_model().state_dict(), path)
    with model_error(f"{tiny_architecture}/other"):
        pull(f"{tiny_architecture}/{path}")
    assert nothing_in(home)


def test_pull_that_fails_while_saving(
    tiny_architecture: str, checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("cannot export image.onnx")

    monkeypatch.setattr("searchengine.encoders.export.export_graphs", fail)
    with model_error("cannot export"):
        pull(f"{tiny_architecture}/{checkpoint}")
    assert nothing_in(home)


@pytest.mark.parametrize(("quick", "activation"), [(True, "QuickGELU"), (False, "GELU")])
def test_pull_takes_the_activation_that_the_weights_were_trained_with(
    quick: bool,
    activation: str,
    tiny_architecture: str,
    home: Path,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_save: list[dict[str, Any]],
) -> None:
    """The pair ViT-B-32/openai is such a case: open_clip only warns."""
    tag = {"quick_gelu": quick, "license": "mit", "mean": (0.5, 0.5, 0.5)}
    monkeypatch.setattr("open_clip.pretrained.get_pretrained_cfg", lambda *_: tag)
    monkeypatch.setattr("open_clip.factory.get_pretrained_cfg", lambda *_: tag)
    monkeypatch.setattr("open_clip.factory.download_pretrained", lambda *_, **__: str(checkpoint))
    with model_error("not saved"):
        pull(f"{tiny_architecture}/sometag")
    (saved,) = no_save
    assert saved["config"]["model_cfg"].get("quick_gelu", False) == quick
    assert saved["config"]["preprocess_cfg"]["mean"] == (0.5, 0.5, 0.5)
    assert saved["card"] == {
        "name": f"{tiny_architecture}/sometag",
        "licence": "mit",
        "provenance": f"open_clip {tiny_architecture}/sometag",
    }
    kinds = {type(module).__name__ for module in saved["model"].modules()}
    assert activation in kinds
    assert not {"QuickGELU", "GELU"} - {activation} & kinds
