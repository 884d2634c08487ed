"""Does fine-tuning help in a domain that the model does not know? Two domains, before and after.

    python scripts/adaptation.py shapes WORK
    python scripts/adaptation.py clipart WORK --openclipart DIR --flickr8k DIR

*shapes* draws two coloured shapes in a spatial relation; the pairs of shapes that are measured were
never trained on. *clipart* takes the drawings of Debian's packages `openclipart-png` and
`openclipart-svg` (DIR holds `png/` and `svg/`) with the titles inside the SVG files, a tenth of the
pictures held out, and watches Flickr8k's development photographs (DIR holds `dev.csv` and
`images/`): they choose how far the WiSE-FT mixture goes.

Everything is written to WORK; the training itself is `searchengine finetune`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import math
import random
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Hashable, Iterable
from pathlib import Path

from PIL import Image, ImageDraw

ENGINE = [sys.executable, "-m", "searchengine"]
Row = tuple[str, str]

# --- shapes -----------------------------------------------------------------------------------

SIDES = {"triangle": 3, "square": 4, "pentagon": 5}
SHAPES = (*SIDES, "circle", "star", "cross")
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 150, 50),
    "blue": (30, 60, 220),
    "yellow": (240, 215, 30),
    "purple": (130, 40, 160),
    "orange": (245, 135, 20),
    "black": (20, 20, 20),
    "pink": (250, 150, 190),
}
RELATIONS = {  # where the first is, seen from the second, and how it is said of the second
    "left of": ((-1, 0), "right of"),
    "right of": ((1, 0), "left of"),
    "above": ((0, -1), "below"),
    "below": ((0, 1), "above"),
}
DRAWINGS = 4  # of each scene to train on
Thing = tuple[str, str]
Scene = tuple[Thing, str, Thing]


def outline(shape: str, x: float, y: float, r: float) -> list[tuple[float, float]]:
    if shape == "cross":
        a = r / 3
        corners = [(-a, -r), (a, -r), (a, -a), (r, -a), (r, a), (a, a)]
        half = [*corners, (a, r), (-a, r), (-a, a), (-r, a), (-r, -a), (-a, -a)]
        return [(x + dx, y + dy) for dx, dy in half]
    points = 10 if shape == "star" else SIDES[shape]
    start = -math.pi / 2 + (math.pi / 4 if shape == "square" else 0)
    radius = [r if shape != "star" or i % 2 == 0 else r * 0.42 for i in range(points)]
    turn = [start + 2 * math.pi * i / points for i in range(points)]
    return [(x + a * math.cos(t), y + a * math.sin(t)) for a, t in zip(radius, turn, strict=True)]


def draw(scene: Scene, rng: random.Random) -> Image.Image:
    """Two shapes of random size at a random place, on a light background."""
    (first, relation, second), size = scene, 224
    image = Image.new("RGB", (size, size), tuple(rng.randint(200, 255) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    dx, dy = RELATIONS[relation][0]
    gap = rng.uniform(44, 60)
    cx, cy = (size / 2 + rng.uniform(-22, 22) for _ in range(2))
    for (colour, shape), sign in ((first, 1), (second, -1)):
        x = cx + sign * dx * gap + (0 if dx else rng.uniform(-15, 15))
        y = cy + sign * dy * gap + (0 if dy else rng.uniform(-15, 15))
        r = rng.uniform(24, 38)
        if shape == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=COLOURS[colour])
        else:
            pen.polygon(outline(shape, x, y, r), fill=COLOURS[colour])
    return image


def said(scene: Scene) -> tuple[str, str]:
    """The two ways to say it."""
    (c1, s1), relation, (c2, s2) = scene
    back = RELATIONS[relation][1]
    return f"a {c1} {s1} {relation} a {c2} {s2}", f"a {c2} {s2} {back} a {c1} {s1}"


def shapes(work: Path, args: argparse.Namespace) -> None:
    """Fine-tune on some combinations, measure on others."""
    rng = random.Random(0)
    things = list(itertools.product(COLOURS, SHAPES))
    alike: dict[Hashable, list[Scene]] = {}
    for a, b in itertools.combinations(things, 2):
        words = frozenset((a[0], b[0])), frozenset((a[1], b[1]))
        alike.setdefault(words, []).extend((a, relation, b) for relation in RELATIONS)
    # Few pairs, in all relations and with their shapes exchanged: a batch then holds scenes that
    # have the same words and differ in what belongs to what.
    families = rng.sample(list(alike.values()), len(alike))
    known = [scene for family in families[: args.families] for scene in family]
    others = [scene for family in families[args.families :] for scene in family]
    test, train = rng.sample(others, args.test), known * DRAWINGS
    for name, chosen in (("test", test), ("train", train)):
        (work / name).mkdir(parents=True, exist_ok=True)
        rows: list[Row] = []
        for number, scene in enumerate(chosen):
            draw(scene, rng).save(work / name / f"{number}.png")
            rows += [(f"{number}.png", text) for text in said(scene)]
        if name == "test":
            rows = rows[::2]  # one caption each: the other is said of the same picture
        write(work / name / "captions.csv", rows)
    print(
        f"{len(known)} scenes drawn {DRAWINGS} times each, measured on {len(test)} of {len(others)}"
    )
    measure("before", "builtin", work / "test" / "captions.csv")
    out = work / "model"
    finetune(
        work / "train" / "captions.csv",
        out,
        *("--epochs", 8, "--batch-size", 128, "--micro-batch", 128, "--crop", 1),
        *("--captions-per-image", 2, "--validation", 0.03, "--patience", 0),
        *("--image-rate", 8e-4, "--text-rate", 4e-4, "--head-rate", 1e-3),
    )
    measure("after", str(out), work / "test" / "captions.csv")


# --- clip art ---------------------------------------------------------------------------------


def title(svg: Path) -> str:
    """The title inside an SVG file, or nothing."""
    content = svg.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError:
        return ""
    work = root.find(".//{http://web.resource.org/cc/}Work")
    found = (work if work is not None else root).find("{http://purl.org/dc/elements/1.1/}title")
    return " ".join((found.text or "").replace("_", " ").split()) if found is not None else ""


def clipart(work: Path, args: argparse.Namespace) -> None:
    """Fine-tune on the titles of drawings, measure on other drawings and on photographs."""
    work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    pictures = sorted((args.openclipart / "png").rglob("*.png"))
    rows = []
    for picture in pictures:
        place = picture.relative_to(args.openclipart / "png").with_suffix(".svg")
        svg = args.openclipart / "svg" / place
        svg = svg if svg.exists() else svg.with_suffix(".svgz")
        if svg.exists() and (text := title(svg)):
            rows.append((str(picture), text))
    rng.shuffle(rows)
    held_out = len(rows) // 10
    parts = {"test": rows[:held_out], "validation": rows[held_out : 2 * held_out]}
    parts["train"] = rows[2 * held_out :]
    for name, part in parts.items():
        write(work / f"{name}.csv", part)
    with (args.flickr8k / "dev.csv").open(encoding="utf-8", newline="") as file:
        dev = [
            (str(args.flickr8k / "images" / r["image"]), r["caption"]) for r in csv.DictReader(file)
        ]
    write(work / "dev.csv", dev)
    tests = ("test", "dev")
    for name in tests:
        measure(f"before, {name}", "builtin", work / f"{name}.csv")
    out = work / "model"
    finetune(
        work / "train.csv",
        out,
        *("--validation", work / "validation.csv", "--general", work / "dev.csv"),
        *("--wise-ft", "sweep", "--epochs", args.epochs, "--micro-batch", 128, "--crop", 0.7),
        *("--image-rate", 4e-4, "--text-rate", 1e-4, "--head-rate", 4e-4),
    )
    for name in tests:
        measure(f"after, {name}", str(out), work / f"{name}.csv")


# --- both -------------------------------------------------------------------------------------


def write(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])


def finetune(pairs: Path, out: Path, *options: object) -> None:
    command = [*ENGINE, "finetune", pairs, "--out", out, *options]
    print("$ searchengine", *command[3:], flush=True)
    started = time.monotonic()
    subprocess.run([str(part) for part in command], check=True)
    print(f"{time.monotonic() - started:.0f} s", flush=True)


def measure(when: str, model: str, pairs: Path) -> None:
    command = [*ENGINE, "evaluate", "recall", str(pairs), "--model", model, "--json"]
    found = json.loads(
        subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ).stdout
    )
    print(f"{when}: text to image {found['text_to_image']}, {found['images']} images", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("domain", choices=["shapes", "clipart"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--families", type=int, default=110, help="shapes: to train on")
    parser.add_argument("--test", type=int, default=400, help="shapes: pictures to measure on")
    parser.add_argument("--epochs", type=int, default=2, help="clipart: passes over the drawings")
    parser.add_argument("--openclipart", type=Path)
    parser.add_argument("--flickr8k", type=Path)
    args = parser.parse_args()
    (shapes if args.domain == "shapes" else clipart)(args.work.absolute(), args)


if __name__ == "__main__":
    main()
