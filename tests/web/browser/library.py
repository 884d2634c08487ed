"""Folders of real and drawn pictures, and their indexes, for the tests in a browser.

The photographs are those that scikit-learn (CC-BY) and matplotlib (public domain) carry.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import sklearn
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from searchengine import SearchEngine
from searchengine.index import Changes, Index, NewImage
from searchengine.types import ImageFile, ImageInfo
from tests.pictures import jpeg, picture

SOURCES = {
    "flower": Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg",
    "temple": Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg",
    "admiral": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
}
GARDEN, TRAVEL, PEOPLE, DATED, UNDATED = 5, 4, 3, 48, 12
COPY = "flower copy.jpg"
ODD_FOLDER = "Süß: a & b, 100 %"
ODD = 2
OLD = 946_684_800  # the year 2000
ALL = GARDEN + 1 + TRAVEL + PEOPLE + DATED + UNDATED + ODD
"""Pictures in the index `photos`; the copy counts too."""
MANY = 2000


@dataclass(frozen=True)
class Taken:
    """When, with what and where a picture was taken."""

    date: str
    camera: str
    latitude: float | None = None
    longitude: float | None = None

    def exif(self) -> Image.Exif:
        exif = Image.Exif()
        exif.update({Base.Make: self.camera.split()[0], Base.Model: self.camera})
        exif.get_ifd(IFD.Exif).update({Base.DateTimeOriginal: self.date})
        if self.latitude is not None and self.longitude is not None:
            exif.get_ifd(IFD.GPSInfo).update(
                {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (self.latitude, 0.0, 0.0)}
                | {GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (self.longitude, 0.0, 0.0)}
            )
        return exif


@cache
def photograph(name: str, number: int = 0) -> Image.Image:
    """A photograph, or for numbers above 0 one that looks like it: its middle."""
    with Image.open(SOURCES[name]) as image:
        image.load()
    width, height = image.size
    cut = 0.05 * number
    return image.crop(
        (int(width * cut), int(height * cut), int(width * (1 - cut)), int(height * (1 - cut)))
    )


def write_photos(folder: Path) -> None:
    """75 pictures and a broken file."""
    for name in ("garden", "travel", "people", "drawn", ODD_FOLDER):
        (folder / name).mkdir(parents=True)
    for number in range(GARDEN):
        day = 1 if number < 3 else 2
        taken = Taken(f"2024:07:0{day} 10:0{number}:00", "Nikon D90", 48.2, 16.4)
        path = folder / "garden" / f"flower-{number}.jpg"
        photograph("flower", number).save(path, exif=taken.exif())
    shutil.copy(folder / "garden" / "flower-0.jpg", folder / "garden" / COPY)
    for number in range(TRAVEL):
        taken = Taken(f"2019:05:1{number} 08:00:00", "Canon EOS 80D", 39.9, 116.4)
        path = folder / "travel" / f"temple-{number}.jpg"
        photograph("temple", number).save(path, exif=taken.exif())
    for number in range(PEOPLE):
        photograph("admiral", number).save(folder / "people" / f"admiral-{number}.jpg")
    for number in range(DATED):
        year, month = 2022 + number // 24, number % 24 // 2 + 1
        taken = Taken(f"{year}:{month:02}:{number % 2 + 5:02} 12:00:00", "Pentax K-1")
        size = ((300, 400), (400, 300), (300, 300))[number % 3]
        picture(number, size).save(folder / "drawn" / f"{number:04}.jpg", exif=taken.exif())
    for number in range(DATED, DATED + UNDATED):
        size = {DATED: (1500, 200), DATED + 1: (120, 900)}.get(number, (320, 240))
        kind = "png" if number < DATED + UNDATED - 2 else "webp"
        picture(number, size).save(folder / "drawn" / f"{number:04}.{kind}")
    for number in range(ODD):
        path = folder / ODD_FOLDER / f"#{number} “a+b” 50 %.jpg"
        picture(100 + number, (400, 300)).save(path)
    (folder / "broken.jpg").write_text("not a picture")
    for number, path in enumerate(sorted(folder.rglob("*.*"))):
        os.utime(path, (OLD - number, OLD - number))  # counts where a camera wrote no date


def make(home: Path) -> None:
    """`photos`, `others` (3 pictures), `empty` and `many` below `indexes`."""
    write_photos(home / "photos")
    (home / "others").mkdir()
    for number in range(3):
        picture(200 + number, (400, 300)).save(home / "others" / f"{number}.jpg")
    indexes = home / "indexes"
    for name in ("photos", "others"):
        with SearchEngine.open(indexes / name, device="cpu") as engine:
            engine.index(home / name)
    with Index.open(indexes / "photos") as index:
        first = next(each for path, each in ids(index) if path == "drawn/0000.jpg")
        index.write(Changes(captions={first: ("a harbour, quite empty", "evening")}))
    SearchEngine.open(indexes / "empty", device="cpu").close()
    make_many(indexes / "many", home / "many")


def ids(index: Index) -> Iterator[tuple[str, int]]:
    """The path below its root and the id of every image."""
    for root in index.roots():
        for path, state in index.files(root).items():
            yield path, state[0]


def make_many(folder: Path, root: Path) -> None:
    """An index of 2,000 pictures with random vectors; all their files are the same few."""
    root.mkdir()
    for number in range(20):
        (root / f"{number:05}.jpg").write_bytes(jpeg(number, (320, 240)))
    for number in range(20, MANY):
        os.link(root / f"{number % 20:05}.jpg", root / f"{number:05}.jpg")
    vectors = np.random.default_rng(0).standard_normal((MANY, 1000), dtype=np.float32)
    SearchEngine.open(folder, device="cpu").close()
    with Index.open(folder) as index:
        vectors = vectors[:, : index.spec.dim]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        base, _ = index.add_root(root)
        files = [ImageFile(base, f"{number:05}.jpg", 1000, number) for number in range(MANY)]
        info = ImageInfo(320, 240, "JPEG")
        images = zip(files, vectors, strict=True)
        index.write(Changes([NewImage(file, file.path.encode(), info, v) for file, v in images]))
        index.save_snapshot()
