"""How well `searchengine locate` finds an object, on scenes whose answer is known.

    python scripts/locate_accuracy.py --flickr8k DIR --stamps DIR [--variants]

A scene is a photograph with one cut-out object pasted at a random place. `--flickr8k` holds
`images/` and `dev.csv`; `--stamps` is `/usr/share/tuxpaint/stamps` of Debian's
`tuxpaint-stamps-default` (PNG with transparency and the name beside it). Of both only what
`train_builtin.py` kept from training is used. Prints how often the heat is highest inside the
object's box (pointing), the mean overlap (IoU) of the box found with the true one, and how often
that is at least a half; and the same by chance: for a random point, and for a box as large as the
one found at a random place. With `--variants` also for other ways to make the map and the box.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from searchengine import encoders
from searchengine.evaluation import locate as module
from searchengine.evaluation.locate import Box, locate

SIZES = ((640, 480), (480, 640), (560, 560))
LONGEST_NAME = 4  # words; longer captions tell a story
DRAWS = 100  # random boxes per scene
NEUTRAL = ("a photo", "a picture", "an image", "a background", "a scene", "something")


@dataclass(frozen=True)
class Scene:
    """A photograph with an object in it, the object's name and its true box."""

    image: Image.Image
    text: str
    box: Box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--stamps", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="builtin")
    parser.add_argument(
        "--shares",
        nargs=2,
        type=float,
        default=(0.25, 0.5),
        metavar=("LEAST", "MOST"),
        help="the object's longer side, as a share of the photograph's shorter one",
    )
    parser.add_argument("--variants", action="store_true")
    args = parser.parse_args()
    encoder = encoders.load(encoders.find(args.model), "cpu")
    variants = {"as shipped": (encoder, {})} | (other_ways(encoder) if args.variants else {})
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in variants}
    for number, scene in enumerate(scenes(args)):
        chance = np.random.default_rng(number)
        with mock.patch.object(module, "_encode", remembering(module._encode)):
            for name, (way, changes) in variants.items():
                with mock.patch.dict(vars(module), changes):
                    rows[name].append(measure(way, scene, chance))
    for name, measured in rows.items():
        print(json.dumps({"variant": name, **figures(measured)}))


def measure(encoder: Any, scene: Scene, chance: np.random.Generator) -> tuple[float, ...]:
    """Found or not, overlap, overlap of a half; the same by chance; seconds."""
    started = time.monotonic()
    found = locate(encoder, scene.image, scene.text)
    seconds = time.monotonic() - started
    y, x = np.unravel_index(found.heat.argmax(), found.heat.shape)
    left, top, right, bottom = scene.box
    hit = left <= x < right and top <= y < bottom
    shared = overlap(scene.box, found.box)
    return hit, shared, shared >= 0.5, *by_chance(chance, scene, found.box), seconds


def figures(rows: list[tuple[float, ...]]) -> dict[str, float]:
    """The means, all but the seconds in percent."""
    names = ("pointing", "IoU", "IoU>=0.5", "chance pointing", "chance IoU", "chance IoU>=0.5")
    *shares, seconds = np.mean(rows, axis=0)
    percent = {name: round(100 * value, 1) for name, value in zip(names, shares, strict=True)}
    return {**percent, "seconds": round(seconds, 2)}  # a variant finds its windows encoded


# --- scenes -----------------------------------------------------------------------------------


def scenes(args: argparse.Namespace) -> Iterator[Scene]:
    rng = random.Random(args.seed)
    objects, photos = named_objects(args.stamps), held_out_photos(args.flickr8k)
    for _ in range(args.scenes):
        yield compose(rng, *rng.choice(objects), rng.choice(photos), args.shares)


def held_out_photos(folder: Path) -> list[Path]:
    """The photographs of the development split."""
    with (folder / "dev.csv").open(encoding="utf-8", newline="") as file:
        names = {row["image"] for row in csv.DictReader(file)}
    return [folder / "images" / name for name in sorted(names)]


def named_objects(folder: Path) -> list[tuple[Path, str]]:
    """Cut-out pictures that were kept from training, and their short names."""
    objects = []
    for path in sorted(folder.rglob("*.png")):
        sidecar = path.with_suffix(".txt")
        if not sidecar.exists() or "symbols" in path.relative_to(folder).parts:
            continue
        if hashlib.md5(path.name.encode()).digest()[0] % 5:
            continue
        text = sidecar.read_text(encoding="utf-8", errors="replace").split("\n")[0].strip(" .!")
        if 0 < len(text.split()) <= LONGEST_NAME:
            objects.append((path, text.lower()))
    return objects


def compose(
    rng: random.Random, stamp: Path, text: str, photo: Path, shares: tuple[float, float]
) -> Scene:
    """Paste an object onto a photograph."""
    image = Image.open(photo).convert("RGB").resize(rng.choice(SIZES), Image.Resampling.BICUBIC)
    cutout = Image.open(stamp).convert("RGBA")
    cutout = cutout.crop(cutout.getchannel("A").point(lambda alpha: 255 * (alpha > 32)).getbbox())
    scale = rng.uniform(*shares) * min(image.size) / max(cutout.size)
    width, height = (max(1, round(side * scale)) for side in cutout.size)
    cutout = cutout.resize((width, height), Image.Resampling.LANCZOS)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    image.paste(cutout, (left, top), cutout)
    return Scene(image, text, (left, top, left + width, top + height))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0, width) * max(0, height)
    return shared / (area(one) + area(other) - shared)


def area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def by_chance(rng: np.random.Generator, scene: Scene, box: Box) -> tuple[float, float, float]:
    """What a random point, and a box as large as the one found at a random place, would get."""
    (width, height), (wide, high) = scene.image.size, (box[2] - box[0], box[3] - box[1])
    lefts = rng.integers(0, width - wide, DRAWS, endpoint=True)
    tops = rng.integers(0, height - high, DRAWS, endpoint=True)
    boxes = [(x, y, x + wide, y + high) for x, y in zip(lefts, tops, strict=True)]
    overlaps = np.array([overlap(scene.box, each) for each in boxes])
    return area(scene.box) / (width * height), overlaps.mean(), (overlaps >= 0.5).mean()


# --- other ways -------------------------------------------------------------------------------


def other_ways(encoder: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Encoders, and what to put in the place of which names of the module, by what they try."""
    best = BestWindow(module._heat)
    changes = {
        "windows of 1/2, 1/3, 1/4": {"_SIZES": (1 / 2, 1 / 3, 1 / 4)},
        "windows of 1, 2/3, 1/2, 1/3, 1/4": {"_SIZES": (1, 2 / 3, 1 / 2, 1 / 3, 1 / 4)},
        "windows of 1/2": {"_SIZES": (1 / 2,)},
        "windows of 1/4": {"_SIZES": (1 / 4,)},
        "steps of half a window": {"_STRIDE": 1 / 2},
        "no prior": {"_PRIOR": 0},
        "prior 0.3": {"_PRIOR": 0.3},
        "prior 3": {"_PRIOR": 3},
        "Hann-weighted windows": {"_cover": hann(module._cover)},
        "sizes not centred": {"_centred": lambda cosines, sizes: cosines - cosines.mean()},
        "sizes standardised": {"_centred": standardised},
        "best window as box": {"_heat": best.heat, "_box": best.box},
        **{f"region above {edge}": {"_EDGE": edge} for edge in (0.5, 0.6, 0.75, 0.8)},
    }
    ways = {name: (encoder, change) for name, change in changes.items()}
    return ways | {"less a neutral text": (LessNeutral(encoder), {})}


class LessNeutral:
    """An encoder whose texts, as they are used here, score by their lead over a neutral text."""

    def __init__(self, encoder: Any):
        self.encoder = encoder
        mean = encoder.encode_texts(NEUTRAL).mean(axis=0)
        self.neutral = mean / np.linalg.norm(mean)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """(n, dim), no unit vectors."""
        return self.encoder.encode_texts(texts) - self.neutral


class BestWindow:
    """The window with the highest score as the box."""

    def __init__(self, heat: Callable[..., np.ndarray]):
        self.plain, self.window = heat, np.zeros(4, int)

    def heat(self, windows: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The usual map."""
        self.window = windows[scores.argmax()]
        return self.plain(windows, scores, size)

    def box(self, heat: np.ndarray, size: tuple[int, int]) -> Box:
        """The best window of the map made last."""
        left, top, right, bottom = self.window.tolist()
        return left, top, right, bottom


def standardised(cosines: np.ndarray, sizes: list[np.ndarray]) -> np.ndarray:
    """Mean 0 and deviation 1 for each size."""
    parts = np.split(cosines, np.cumsum([len(windows) for windows in sizes])[:-1])
    return np.concatenate([(part - part.mean()) / max(part.std(), 1e-4) for part in parts])


def hann(cover: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A window counts most in its middle and nothing at its edge."""

    def weighted(starts: np.ndarray, ends: np.ndarray, length: int, cells: int) -> np.ndarray:
        middles = (np.arange(cells) + 0.5) * length / cells
        place = (middles - starts[:, np.newaxis]) / (ends - starts)[:, np.newaxis]
        return cover(starts, ends, length, cells) * np.sin(np.pi * place.clip(0, 1)) ** 2

    return weighted


def remembering(encode: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Encode each window of one picture once."""
    known: dict[tuple[int, ...], np.ndarray] = {}

    def encode_new(encoder: Any, image: Image.Image, windows: np.ndarray) -> np.ndarray:
        new = np.array([each for each in windows if tuple(each) not in known])
        if len(new):
            known.update(zip(map(tuple, new), encode(encoder, image, new), strict=True))
        return np.stack([known[tuple(each)] for each in windows])

    return encode_new


if __name__ == "__main__":
    main()
