"""The home folder in which the examples of docs/cli.md are run.

The photographs are those of the demo. They carry no EXIF, so some are given made-up dates,
cameras and places; a copy, a smaller copy and two shots of a burst are made of others.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from searchengine.encoders.build import BuildSettings, build_model
from searchengine.encoders.folder import CONFIG, WEIGHTS
from searchengine.encoders.torch_encoder import save_weights

CAPTIONS = {
    "Holiday/china.jpg": ("a temple with red walls", "a building in China"),
    "Holiday/flower.jpg": ("a pink flower in a pond",),
    "Holiday/coffee.jpg": ("a cup of coffee on a table", "an espresso and a spoon"),
    "Cats/shot-1.jpg": ("the face of a ginger cat",),
    "Space/rocket.jpg": ("a rocket at launch", "a rocket between its towers"),
    "Space/moon.png": ("craters of the moon",),
    "Space/astronaut.png": ("a smiling astronaut in an orange suit",),
    "camera.png": ("a man with a camera on a tripod",),
    "coins.png": ("rows of old coins",),
    "motorcycle_left.png": ("a motorcycle in a workshop",),
}
GENERAL = {"horse.png": ("a black horse",), "page.png": ("a page of a book",)}
TEXTURES = ("brick", "grass", "gravel")
DATE, LENS, MAKE, MODEL, EXIF, GPS = 36867, 42036, 271, 272, 0x8769, 0x8825


def furnish(home: Path, photos: Path) -> None:
    """Fill `home` with Pictures, Scans, Textures, lists in files, and two tiny models."""
    pictures = home / "Pictures"
    for folder in ("Holiday", "Cats", "Space", "Drafts"):
        (pictures / folder).mkdir(parents=True)
    for name in ("moon.png", "rocket.jpg", "astronaut.png"):
        shutil.copy(photos / name, pictures / "Space")
    for name in ("camera.png", "coins.png", "motorcycle_left.png", "horse.png", "page.png"):
        shutil.copy(photos / name, pictures)
    shutil.copy(photos / "rocket.jpg", pictures / "copy of rocket.jpg")
    shutil.copy(photos / "clock_motion.png", pictures / "Drafts" / "clock.png")
    shutil.copy(photos / "retina.jpg", pictures / ".eye.jpg")
    (pictures / "torn.jpg").write_bytes((photos / "china.jpg").read_bytes()[:100])
    _photograph(photos, pictures)
    (home / "Scans").mkdir()
    shutil.copy(photos / "hubble_deep_field.jpg", home / "Scans" / "stars.jpg")
    for name in TEXTURES:
        _cut_tiles(photos / f"{name}.png", home, name)
    _write_lists(home)
    _make_models(home)


def _photograph(photos: Path, pictures: Path) -> None:
    """The pictures that have EXIF."""
    holiday, cats = pictures / "Holiday", pictures / "Cats"
    nikon, pixel = ("NIKON D750", "50mm f/1.8"), ("Pixel 8", "")
    beijing = ((39.0, 54.0, 0.0), (116.0, 23.0, 0.0))
    _save(Image.open(photos / "china.jpg"), holiday / "china.jpg", "14 10:00:00", nikon, beijing)
    _save(Image.open(photos / "flower.jpg"), holiday / "flower.jpg", "14 16:30:00", nikon)
    coffee = Image.open(photos / "coffee.png")
    _save(coffee, holiday / "coffee.jpg", "15 08:00:00", pixel)
    _save(coffee.resize((300, 200)), holiday / "coffee small.jpg", "15 08:00:00", pixel)
    cat = Image.open(photos / "chelsea.png")
    _save(cat.crop((0, 0, 400, 300)), cats / "shot-1.jpg", "20 09:00:00", nikon)
    _save(cat.crop((50, 0, 450, 300)), cats / "shot-2.jpg", "20 09:00:01", nikon)


def _save(
    picture: Image.Image, path: Path, when: str, camera: tuple[str, str], place: Any = None
) -> None:
    exif = Image.Exif()
    exif[MAKE], exif[MODEL] = camera[0].split()[0], camera[0]
    exif.get_ifd(EXIF)[DATE] = f"2024:07:{when}"
    if camera[1]:
        exif.get_ifd(EXIF)[LENS] = camera[1]
    if place is not None:
        exif.get_ifd(GPS).update({1: "N", 2: place[0], 3: "E", 4: place[1]})
    picture.convert("RGB").save(path, quality=90, exif=exif)


def _cut_tiles(photo: Path, home: Path, name: str) -> None:
    """Sixteen tiles of a photograph of one material: twelve to learn from, four to test with."""
    picture = Image.open(photo).convert("RGB").resize((512, 512))
    for number in range(16):
        left, top = 128 * (number % 4), 128 * (number // 4)
        folder = home / ("Textures" if number < 12 else "More textures") / name
        folder.mkdir(parents=True, exist_ok=True)
        picture.crop((left, top, left + 128, top + 128)).save(folder / f"{number:02}.png")


def _write_lists(home: Path) -> None:
    _write_csv(home / "captions.csv", "image,caption", CAPTIONS)
    _write_csv(home / "general.csv", "image,caption", GENERAL)
    held_out = dict(list(CAPTIONS.items())[-3:])
    _write_csv(home / "held-out.csv", "image,caption", held_out)
    names = {"brick": ("a brick wall",), "grass": ("a lawn",), "gravel": ("small stones",)}
    _write_csv(home / "names.csv", "folder,name", names)
    tiles = {f"{name}/0{number}.png": (name,) for name in TEXTURES for number in range(4)}
    _write_csv(home / "labels.csv", "image,label", tiles)
    (home / "labels.txt").write_text("a cat\na dog\na rocket\n")
    texts = [text for texts in CAPTIONS.values() for text in texts]
    (home / "texts.txt").write_text("".join(f"{text}\n" for text in texts))
    (home / "queries.txt").write_text("a temple\na man with a camera\n")


def _write_csv(path: Path, columns: str, rows: dict[str, tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns.split(","))
        table.writerows((name, text) for name, texts in rows.items() for text in texts)


def _make_models(home: Path) -> None:
    """`tiny`, to fine-tune in seconds; `clip`, an open_clip folder without its ONNX graphs."""
    import open_clip
    import timm
    from transformers import BertConfig, BertTokenizer

    torch.manual_seed(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    bert = home / "bert"
    BertTokenizer(vocab={token: n for n, token in enumerate(vocabulary)}).save_pretrained(bert)
    size = {"hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 64}
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "architectures": ["BertModel"]}
    config = BertConfig(vocab_size=len(vocabulary), **size, **shape)
    config.save_pretrained(bert)
    torch.save(timm.create_model("test_resnet").state_dict(), home / "resnet.pt")
    settings = BuildSettings(dim=32, pretrained=False)
    build_model("timm:test_resnet", f"hf:{bert}", home / "tiny", settings)
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    model_config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    folder = home / "clip"
    folder.mkdir()
    whole = {"model_cfg": model_config, "preprocess_cfg": {"size": 32}}
    (folder / CONFIG).write_text(json.dumps(whole))
    save_weights(open_clip.model.CLIP(**model_config), folder / WEIGHTS, torch.float32)
